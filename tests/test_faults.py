"""Killed, failed and meddled with at each place: the next vnet-up works, and vnet-down leaves nothing (`make faults` has it all)."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import Box, need_root
from faults.campaign import ACTS, Tally, events_of, one, prepare
from faults.meddle import MEDDLES, cut_off, recovers
from faults.storm import clean, storm
from faults.verbs import EDITED, VERBS, Bench
from machine import INTERNET_IP, REPO, Machine
from snapshot import assert_same

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the injector knows the registers of x86-64 alone"
)
KILLED = {
    "first up": "root", "up": "userns", "up, no change": "sudo", "up, converging": "root", "up, mending": "userns",
    "down": "userns", "down GUEST": "sudo", "partition": "root", "heal": "userns", "exec": "sudo", "down --gateway": "root",
}  # fmt: skip
"""The way in which each verb is killed at every point; the campaign does it in all three."""
WAYS = ["root", "userns", "sudo"]
#: How often a first vnet-up writes the gateway's record.
GATEWAY_RECORDS = 2
SETTING = "python3: write /proc/sys"
RECORDS = tuple(f"python3: {call}" for call in ("rename", "unlink", "rmdir", "ftruncate"))


@contextmanager
def bench_of(way: str) -> Iterator[Bench]:
    """Give a bench of one way."""
    need_root()
    made = Bench(way)
    try:
        prepare(made)
        yield made
    finally:
        made.world.close()


def kill_points(events: list[list[str]]) -> list[int]:
    """List the changes after which to kill: each command's end, each record, the last of some settings in a row.

    Of a first vnet-up only those until the gateway stands: the lab's are the same as in `up`. The campaign has all the
    others: each line of an `ip -batch`, each file that is opened.
    """
    changes = [(kind, what) for kind, what in events if kind in ("exit", "sys")]
    gateway = [
        at for at, (_, what) in enumerate(changes) if what.startswith("python3: rename") and "gateway.json" in what
    ]
    changes = changes[: gateway[-1] + 1] if len(gateway) == GATEWAY_RECORDS else changes
    following = [*changes[1:], ("", "")]
    return [
        n for n, ((kind, what), (_, after)) in enumerate(zip(changes, following, strict=False))
        if kind == "exit" or what.startswith(RECORDS) or (what.startswith(SETTING) and not after.startswith(SETTING))
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name == "up, mending")) for name in KILLED]
)
def test_killed_after_each_change(name: str) -> None:
    """All processes of a verb are killed at once, after each of its changes in turn."""
    with bench_of(KILLED[name]) as bench:
        events, tally = events_of(bench, VERBS[name]), Tally()
        points = kill_points(events)
        assert points
        for turn, n in enumerate(points):
            down = turn % 8 == 7 or (name == "first up" and turn % 4 > 0)
            one(bench, VERBS[name], "kill", {"act": "kill", "n": n}, tally, down=down)
        assert tally.wrong == []
        assert tally.missed <= tally.runs // 10


@pytest.mark.parametrize("way", [pytest.param(way, marks=[pytest.mark.long] * (way != "userns")) for way in WAYS])
def test_meddled_with(way: str) -> None:
    """Each part and each record is damaged behind vnet's back; most are recovered by vnet-up, some by vnet-down."""
    with bench_of(way) as bench:
        wrong = []
        for turn, name in enumerate(MEDDLES):
            if turn % 3 == WAYS.index(way):
                wrong += recovers(bench, name, down=turn % 4 == 3, both=False)
        assert wrong == []


@pytest.mark.parametrize("record", ["labs/project/record.json", "gateway.json"])
def test_a_record_cut_off(record: str) -> None:
    """At some of its bytes; the campaign does it at every one."""
    with bench_of("root") as bench:
        bench.go("lab")
        size = int(bench.world.sh(f"stat -c %s /run/vnet/0/{record}"))
        for at in (0, 1, size // 2, size - 1):
            assert cut_off(bench, record, at) == []


def test_a_full_disk_and_one_that_is_read_only() -> None:
    """What can't be written down is not begun, and said; the lab runs on, and can be taken down all the same."""
    with bench_of("userns") as bench:
        world, run = bench.world, "/run/vnet/3001"
        bench.go("lab")
        world.sh(
            f"mkdir /root/kept; mount -n -t tmpfs -o size=128k,mode=700,uid=3001,gid=3001 full /root/kept; cp -a {run}/. /root/kept"
        )
        world.sh(f"mount -n --bind /root/kept {run}")
        world.sh(f"dd if=/dev/zero of={run}/filler bs=1k 2>/dev/null; true")
        bench.text = EDITED
        world.settings(EDITED)
        for trouble, words in (("true", "No space left"), (f"mount -n -o remount,ro {run}", "Read-only")):
            world.sh(trouble)
            told = world.verb("up")
            assert (told["status"], words in told["said"], "can't be written" in told["said"]) == (1, True, True), told
            assert world.do("works", names=["a", "b", "c"], ports=[8000]) == []
        world.sh(f"mount -n -o remount,rw {run}")
        assert world.verb("down")["status"] == 0
        world.sh(f"rm {run}/filler")
        assert bench.recover_up() == []
        world.sh(f"umount -n {run}; rm -r {run}/*; cp -a /root/kept/. {run}; umount -n /root/kept; rmdir /root/kept")
        assert bench.recover_down() == []


DOCKER = """
ip link add docker0 type bridge && ip address add 172.17.0.1/16 dev docker0 && ip link set docker0 up
iptables -N DOCKER && iptables -P FORWARD DROP && iptables -t nat -N DOCKER
iptables -I FORWARD -i docker0 ! -o docker0 -j ACCEPT && iptables -I FORWARD -o docker0 -j DOCKER
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
"""


@pytest.mark.quick_in("userns")
def test_the_host_goes_on_forwarding_for_others(box: Box) -> None:
    """Docker, started after vnet, needs a host that forwards: vnet works beside it, goes, leaves that on, and says so."""
    box.write("vnet.toml", "[guests.a]\n[guests.b]\n")
    box.vnet("up")
    box.machine.run("sh", "-ec", DOCKER)
    docker = box.machine.snapshot()
    box.vnet("up")
    box.vnet("exec", "a", "--", "ping", "-c1", "-W2", INTERNET_IP)
    said = box.vnet("down", "--all", "--gateway").stderr
    assert "goes on forwarding" in said
    assert "docker0" in said
    after = box.machine.snapshot()
    assert after.sections["sysctls"]["/proc/sys/net/ipv4"]["ip_forward"] == "1"
    rules = {line for lines in after.sections["firewall"].values() for line in lines}
    assert not [line for line in rules if "vnet" in line.lower()]
    assert {line for lines in docker.sections["firewall"].values() for line in lines} - rules == {
        line for lines in docker.sections["firewall"].values() for line in lines if "vnet" in line.lower()
    }
    assert [path for path in after.sections["files"] if path.startswith("/run/vnet")] == []


def test_the_host_stops_forwarding_for_rules_that_were_there_before(machine: Machine) -> None:
    """A firewall that had rules for packets on their way before vnet relied on nothing: the host is as it was."""
    machine.run("sh", "-ec", "iptables -N ufw; iptables -A FORWARD -j ufw; iptables -P FORWARD DROP")
    before = machine.snapshot()
    machine.write("/root/project/vnet.toml", "[guests.a]\n")
    machine.vnet("up", cwd="/root/project")
    assert "forwarding" not in machine.vnet("down", "--all", "--gateway", cwd="/root/project").stderr
    assert_same(before, machine)


def test_a_storm() -> None:
    """Twelve processes for ten seconds, up, down, partition and status at random: nothing twice, nothing left."""
    with bench_of("userns") as bench:
        ends, wrong = storm(bench.world, 12, 10, seed=1)
        assert wrong + clean(bench.world) == []
        assert sum(ends.values()) > 12


def test_the_page_of_promises_names_tests_that_exist() -> None:
    """And the kinds of faults that the campaign knows."""
    page = (REPO / "docs/reliability.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in (REPO / "tests").glob("test_*.py"))
    assert [name for name in re.findall(r"`(test_\w+)`", page) if f"def {name}(" not in tests] == []
    kinds = re.findall(r"`([^`]+)`", " ".join(re.findall(r"kinds? ([^|]*)", page)))
    assert [kind for kind in kinds if kind not in ACTS and not kind.startswith("test_")] == []
    assert [path for path in re.findall(r"`(tests/[\w/.]+)`", page) if not (REPO / path).exists()] == []
