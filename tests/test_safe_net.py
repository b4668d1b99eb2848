"""No one let in: what a guest's root, the gateway's, a neighbour and another user of the machine try with real packets.

Each silence has its control beside it: the same packet where it may go is heard.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import Box, box_of
from inside import Process
from lab_world import GATEWAY, HOST, SITE, WEB, as_root, ask, end, inside, listening, pings, serve, standing, words_for
from machine import MACHINE_IP, NEIGHBOUR_IP, REPO

FORGER = ("python3", "-I", "-S", "/opt/vnet/tests/forger.py")
MARK = "not-to-be-seen"
OTHER = "[guests.web]\n[guests.app]\n"
AWAY = ("172.18.0.1", "172.18.192.1", "172.18.192.2", GATEWAY)


@pytest.fixture(params=["userns"])
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    """Give a machine, in one of the ways: the packets are the same in all."""
    with box_of(request.param) as made:
        yield made


@contextmanager
def two_labs(box: Box) -> Iterator[None]:
    """Bring up the shop, and another lab beside it."""
    with standing(box):
        box.write("../other/vnet.toml", OTHER)
        box.vnet("up", cwd=f"{box.project.rpartition('/')[0]}/other")
        yield


class Ear:
    """Hears frames with the mark, in a namespace, until it is asked what it heard."""

    def __init__(self, start: Callable[..., Process], *before: str) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = listening(start(*before, *FORGER, "hear", "60", MARK, **pipes))

    def heard(self) -> set[str]:
        """End it, and tell the links and kinds of frames."""
        out, _ = self.process.communicate("\n", timeout=20)
        return set(out.split())


def in_node(box: Box, node: str) -> Ear:
    """Hear in a node."""
    return Ear(box.popen, "/opt/vnet/bin/vnet-exec", "--root", *words_for(node))


def on_host(box: Box) -> Ear:
    """Hear on the machine itself."""
    return Ear(box.machine.popen)


def mac(text: str) -> str:
    """Read a hardware address from `ip -br link`."""
    return text.split()[2]


def test_the_hosts_loopback_is_out_of_reach(box: Box) -> None:
    """From a guest, from the gateway with routes and frames of its root's making, and from a neighbour."""
    with standing(box):
        tcp = listening(box.machine.popen(*talk("tcp"), stdout=subprocess.PIPE))
        udp = listening(box.machine.popen(*talk("udp"), stdout=subprocess.PIPE))
        for node in ("web", "bridge", "gateway"):
            script = """
                echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
                ip route del local 127.0.0.0/8 dev lo table local; ip route del local 127.0.0.1 dev lo table local
                ip route add 127.0.0.1 via {} || exit 9
                for proto in tcp udp; do python3 -I -S /opt/vnet/tests/talk.py ask $proto 127.0.0.1 7000 0.4 && exit 8; done
                true
            """
            via = {"web": "172.18.0.254", "bridge": "172.18.192.1", "gateway": HOST}[node]
            as_root(box, node, "sh", "-c", script.format(via))
        host_mac = mac(box.machine.run("ip", "-br", "link", "show", "dev", "vnet").stdout)
        ear = on_host(box)
        for source in (GATEWAY, HOST, "127.0.0.1", MACHINE_IP, NEIGHBOUR_IP):
            as_root(box, "gateway", *FORGER, "udp", "vnet_guest", host_mac, source, "127.0.0.1", "7000", MARK)
        assert ear.heard() == {"vnet:ipv4"}, "they came to the host, and no answer went out"
        box.machine.neighbour(
            "sh", "-c", f"ip route del local 127.0.0.1 dev lo table local; ip route add 127.0.0.1 via {MACHINE_IP}"
        )
        for proto in ("tcp", "udp"):
            asked = box.machine.neighbour("python3", "-I", "-S", "/opt/vnet/tests/talk.py", "ask", proto, "127.0.0.1", "7000",
                                          "0.4", check=False)  # fmt: skip
            assert asked.returncode == 1
            assert box.machine.run(*TALK_ASK, proto, "127.0.0.1", "7000").stdout == "own 127.0.0.1\n"
        end(tcp, udp)


TALK_ASK = ("python3", "-I", "-S", "/opt/vnet/tests/talk.py", "ask")


def talk(proto: str) -> tuple[str, ...]:
    """Write a server on the machine's 127.0.0.1."""
    return ("python3", "-I", "-S", "/opt/vnet/tests/talk.py", "serve", proto, "7000", "own", "127.0.0.1")


def neighbour_reaches(box: Box, *targets: tuple[str, str, int]) -> list[str]:
    """List what answers the neighbour, by TCP, UDP or ping (port 0)."""
    script = """
        while [ "$1" ]; do
            if [ "$3" = 0 ]; then ping -c1 -W0.4 "$2" >/dev/null 2>&1 && echo "$1:$2:$3" &
            else python3 -I -S /opt/vnet/tests/talk.py ask "$1" "$2" "$3" 0.4 >/dev/null 2>&1 && echo "$1:$2:$3" & fi
            shift 3
        done
        wait
    """
    words = [str(word) for target in targets for word in target]
    return box.machine.neighbour("sh", "-c", script, "sh", *words).stdout.split()


LABS = [("tcp", GATEWAY, 8000), ("udp", GATEWAY, 5353), ("tcp", WEB, 8000), ("udp", "172.18.192.2", 5353),
        *(("icmp", ip, 0) for ip in AWAY)]  # fmt: skip
BEHIND = [("icmp", SITE, 0), ("icmp", "10.9.9.2", 0)]


@contextmanager
def neighbour_routes(box: Box) -> Iterator[None]:
    """Let the neighbour take the machine for a router, to the labs, the internet and another link of the machine's."""
    machine = box.machine
    machine.run("sh", "-c", "ip netns add far; ip link add name lan9 type veth peer name eth0 netns far;"
                "echo 1 >/proc/sys/net/ipv6/conf/lan9/disable_ipv6; ip link set dev lan9 up;"
                "ip address add 10.9.9.1/24 dev lan9; ip -n far address add 10.9.9.2/24 dev eth0;"
                "ip -n far link set eth0 up; ip -n far route add default via 10.9.9.1")  # fmt: skip
    for net in ("172.18.0.0/16", SITE, "10.9.9.0/24"):
        machine.neighbour("ip", "route", "add", net, "via", MACHINE_IP)
    machine.run("ping", "-c1", "-W2", "10.9.9.2")
    # else the machine, while it is open, may tell him the way past it (ICMP redirect), and what he reaches by that says nothing
    machine.neighbour("sh", "-ec", "cd /proc/sys/net/ipv4/conf; for each in */accept_redirects; do echo 0 >$each; done")
    yield
    for net in ("172.18.0.0/16", SITE, "10.9.9.0/24"):
        machine.neighbour("ip", "route", "del", net, "via", MACHINE_IP)
    machine.run("ip", "netns", "del", "far")


def test_a_neighbour_reaches_no_lab_and_gains_no_route(box: Box) -> None:
    """With routes by way of the machine, to guests, uplinks, the gateway and its forwarded ports; nor with forged frames."""
    with neighbour_routes(box), standing(box):
        servers = serve(box, "web", "tcp", 8000), serve(box, "web", "udp", 53)
        assert ask(box, "host", "tcp", GATEWAY, 8000) == f"web {HOST}"
        assert neighbour_reaches(box, *LABS, *BEHIND) == []
        machine_mac = mac(box.machine.run("ip", "-br", "link", "show", "dev", "eth0").stdout)
        ears = in_node(box, "gateway"), Ear(box.machine.internet_popen), on_host(box)
        for source in (NEIGHBOUR_IP, HOST, GATEWAY, "172.18.0.1", MACHINE_IP, "127.0.0.1"):
            for target in (GATEWAY, "172.18.192.2", WEB, SITE, "10.9.9.2"):
                box.machine.neighbour(*FORGER, "udp", "eth0", machine_mac, source, target, "5353", MARK)
        gateway, world, host = (ear.heard() for ear in ears)
        assert (gateway, host) == (set(), {"eth0:ipv4"})
        assert world <= {"lan:ipv4", "m0:ipv4", "n0:ipv4"}, "the wire that it was sent on"
        assert ask(box, "host", "udp", GATEWAY, 5353) == f"web {HOST}"
        end(*servers)


FLUSHES = {
    "iptables -F": "open",
    "iptables -t nat -F": "closed",
    "iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X": "open",
    "iptables -P FORWARD DROP": "closed",
    "iptables -F; iptables -P FORWARD DROP": "closed",
    "iptables -D FORWARD -j VNET-vnet": "closed",
    "iptables -I FORWARD 1 -j ACCEPT": "open",
}
"""What is done to the host's rules, and whether a neighbour finds a route through the host until the next vnet-up."""


def test_rules_that_were_taken_away(box: Box) -> None:
    """The labs stay closed in every case. The host may route for its neighbours until the next vnet-up; docs/security.md says so."""
    page = (REPO / "docs/security.md").read_text()
    with neighbour_routes(box), standing(box):
        servers = serve(box, "web", "tcp", 8000), serve(box, "web", "udp", 53)
        for script, said in FLUSHES.items():
            assert f"| `{script}` | {said} |" in page
            box.machine.run("sh", "-c", script)
            found = neighbour_reaches(box, *LABS, *BEHIND)
            assert [each for each in found if "172.18" in each] == [], script
            assert ("open" if found else "closed") == said, (script, found)
            box.vnet("up")
            if script.endswith("1 -j ACCEPT"):  # a rule of somebody else's, in front: vnet-up puts its own before it
                assert neighbour_reaches(box, *LABS) == []
                box.machine.run("iptables", "-D", "FORWARD", "-j", "ACCEPT")
            assert neighbour_reaches(box, *LABS, *BEHIND) == [], script
            assert ask(box, "host", "tcp", GATEWAY, 8000) == f"web {HOST}"
            assert pings(box, "app", SITE, HOST) == [], script
            box.machine.run("iptables", "-P", "FORWARD", "ACCEPT")
        end(*servers)


@pytest.mark.parametrize("box", ["root", "userns"], indirect=True)
def test_what_a_guest_says_falsely_stays_in_its_lab(box: Box) -> None:
    """Router advertisements, forged ARP, DHCP, broadcasts: heard by its own peers, and by nobody else."""
    with two_labs(box):
        before = [box.machine.run("ip", *words).stdout for words in QUESTIONS]
        ears: dict[str, Ear] = {node: in_node(box, node) for node in ("project:app", "project:bridge", "gateway", "other:bridge",
                                                                      "other:web")}  # fmt: skip
        ears |= {"host": on_host(box), "neighbour": Ear(box.machine.neighbour_popen)}
        as_root(box, "project:web", *FORGER, "noise", "eth0", MARK)
        heard = {where: ear.heard() for where, ear in ears.items()}
        assert heard["project:app"] == {"eth0:ipv6", "eth0:arp", "eth0:ipv4"}
        assert {each for each in heard["project:bridge"] if each.startswith("uplink")} == set()
        assert {where: found for where, found in heard.items() if found and not where.startswith("project:")} == {}
        for node in ("project:bridge", "gateway", "other:bridge", "other:web"):
            assert "2001:db8:bad" not in inside(box, node, "ip", "-6", "address").stdout, node
        assert [box.machine.run("ip", *words).stdout for words in QUESTIONS] == before
        assert pings(box, "project:app", HOST, GATEWAY, SITE) == []
        assert pings(box, "other:web", "172.18.0.2", HOST, GATEWAY, SITE) == []


QUESTIONS = (("-6", "-br", "address"), ("-6", "route"), ("route",), ("neighbour", "show", "nud", "permanent"))


def test_another_user_gets_into_no_lab(box: Box) -> None:
    """Not by vnet-exec, not by the pins, not by the records; of the gateway he sees what the host sees."""
    eve: dict[str, Any] = {"user": "eve", "check": False}
    with standing(box):
        server = serve(box, "web", "tcp", 8000)
        for folder in ("/run/vnet/3001", "/run/vnet/3001/labs", "/run/vnet/3001/locks"):
            assert box.machine.run("ls", folder, **eve).returncode != 0
        for verb in (("exec", "web", "id"), ("exec", "-n", "project", "web", "id"), ("partition", "-n", "project", "show"),
                     ("down", "-n", "project", "web")):  # fmt: skip
            assert box.machine.vnet(*verb, env={"VNET_UID": "3001"}, **eve).stdout == ""
        for pin in ("user", "admin"):
            done = box.machine.run("nsenter", f"--user=/run/vnet/3001.ns/{pin}", "id", **eve)
            assert "Operation not permitted" in done.stderr
        done = box.machine.run("nsenter", "--net=/run/vnet/3001.ns/gateway", "id", **eve)
        assert "Operation not permitted" in done.stderr
        for address in (WEB, "172.18.192.2"):
            assert box.machine.run("ping", "-c1", "-W0.3", address, **eve).returncode != 0
        assert box.machine.run(*TALK_ASK, "tcp", GATEWAY, "8000", user="eve").stdout == f"web {HOST}\n"
        assert pings(box, "app", WEB) == []
        end(server)
