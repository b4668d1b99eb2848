"""Two keepalived, as Debian has them: an address that moves when its holder is cut off, and comes back after.

VRRP is multicast (RFC 5798), so a cut that let multicast pass would leave everything as it was.
"""

import json
from dataclasses import dataclass

import pytest
from conftest import Box
from inside import wait_for

SHARED = "172.18.0.100"
MAIN, SPARE = "main", "spare"
SETTINGS = f"""
[guests.{MAIN}]
ip = "172.18.0.1"
[guests.{SPARE}]
ip = "172.18.0.2"
[guests.client]
ip = "172.18.0.9"
"""
CONFIG = """
global_defs {{
    vrrp_version 3
}}
vrrp_instance shop {{
    state BACKUP
    interface eth0
    virtual_router_id 7
    priority {priority}
    advert_int 0.1
    garp_master_delay 1
    virtual_ipaddress {{
        {shared}/24
    }}
}}
"""
WAIT_S = 20


@dataclass
class Pair:
    """A lab with two that can hold the address, and a client."""

    box: Box

    def start(self, name: str, priority: int) -> None:
        """Start keepalived as the lab's root, and what tells the client whom it reached: the guest's host name."""
        self.box.write(f"{name}.conf", CONFIG.format(priority=priority, shared=SHARED))
        files = [f"{option}={self.box.project}/{name}{end}"
                 for option, end in (("--use-file", ".conf"), ("--pid", ".pid"), ("--vrrp_pid", ".vrrp"))]  # fmt: skip
        words = ["keepalived", "--dont-fork", "--log-console", "--vrrp", *files]
        self.box.popen("/opt/vnet/bin/vnet-exec", "--root", name, "--", *words)
        self.box.popen("/opt/vnet/bin/vnet-exec", name, "--", "socat", "TCP-LISTEN:8000,fork", "EXEC:hostname")

    def claim(self) -> set[str]:
        """Name the guests that hold the address."""
        shown = {name: self.box.vnet("exec", name, "--", "ip", "-json", "address").stdout for name in (MAIN, SPARE)}
        return {name for name, text in shown.items() if f'"{SHARED}"' in text}

    def reached(self, node: str) -> str:
        """Name the guest that answers at the address."""
        words = ["socat", "-T1", "STDIO", f"TCP:{SHARED}:8000,connect-timeout=1"]
        return self.box.vnet("exec", node, "--", *words, check=False).stdout.strip()

    def wait(self, claims: set[str], reached: str, *, client: str = "client") -> None:
        """Wait until just these hold the address, and the client reaches one of them."""
        wait_for(lambda: self.claim() == claims, f"{SHARED} to be held by {claims}", timeout_s=WAIT_S)
        wait_for(lambda: self.reached(client) == reached, f"{client} to reach {reached}", timeout_s=WAIT_S)

    def drops(self, source: str, to: str) -> int:
        """Count the packets that the cut has dropped between two guests."""
        cut = json.loads(self.box.vnet("partition", "show", "--json").stdout)["cut"]
        return sum(each["packets"] for each in cut["drops"] if (each["from"], each["to"]) == (source, to))


@pytest.fixture
def pair(box: Box) -> Pair:
    """Give a pair whose address is held by the one that should."""
    if box.run("sh", "-c", "PATH=/usr/sbin:$PATH; command -v keepalived && command -v socat", check=False).returncode:
        pytest.skip("keepalived or socat is not installed: apt-get install keepalived socat")
    box.write("vnet.toml", SETTINGS)
    box.vnet("up")
    made = Pair(box)
    made.start(MAIN, 101)
    made.start(SPARE, 100)
    made.wait({MAIN}, MAIN)
    return made


@pytest.mark.long
@pytest.mark.quick_in("userns")
def test_the_address_moves_when_its_holder_is_cut_off_and_comes_back(pair: Pair) -> None:
    """A split brain, as it is: both claim, each side reaches its own; healed, one of them gives way."""
    pair.box.vnet("partition", "isolate", MAIN)
    pair.wait({MAIN, SPARE}, SPARE)
    assert pair.reached(MAIN) == MAIN
    assert pair.drops(MAIN, SPARE) > 0
    pair.box.vnet("partition", "fullmesh")
    pair.wait({MAIN}, MAIN)


@pytest.mark.quick_in("root")
def test_one_way_is_enough_where_only_the_holder_speaks(pair: Pair) -> None:
    """The spare hears no more from the holder, which hears everything, and outranks it."""
    pair.box.vnet("partition", "oneway", MAIN, "--", SPARE)
    wait_for(lambda: pair.claim() == {MAIN, SPARE}, "both to claim", timeout_s=WAIT_S)
    assert pair.drops(MAIN, SPARE) > 0
    pair.box.vnet("partition", "fullmesh")
    pair.wait({MAIN}, MAIN)
