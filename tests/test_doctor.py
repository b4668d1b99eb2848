"""vnet-doctor: the judgements on facts, and on simulated machines each trouble, mended by the command that is printed."""

from __future__ import annotations

import json
import re
import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Box, need_root
from lab_world import same_host
from machine import Machine
from settings_world import World

from vnet.cli import main
from vnet.cuts.observe import MATCHES
from vnet.doctor.checks import CHECKS, Finding, can, judge
from vnet.doctor.facts import TOOLS, Facts, Route
from vnet.doctor.page import text, to_json
from vnet.doctor.said import Said
from vnet.doctor.tries import FEATURES, NAMESPACES
from vnet.kernel.clash import ClashError
from vnet.picture.look import PLAIN, Look

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "vnet/doctor/doctor.schema.json").read_text())
RULES = "*filter\n:FORWARD {}\n{}COMMIT\n"


@pytest.fixture
def well(tmp_path: Path) -> Facts:
    """Give the facts of a machine on which all is well."""
    wanted = World(tmp_path).read("[guests.a]\n")
    return Facts(
        uid=3001, way="userns", python=(3, 11, 2), lacking=(), tools=dict.fromkeys(TOOLS, True), brctl=True, apt=True,
        sysctls={"user/max_user_namespaces": "15000", "net/ipv4/neigh/default/gc_thresh3": "1024"}, sudo="free",
        container=False, features=dict.fromkeys((NAMESPACES, *(each.name for each in FEATURES)), ""), backend="nft",
        rules={"nft": RULES.format("ACCEPT", ""), "legacy": ""}, chains=[], running=frozenset(), links=frozenset({"lo"}),
        routes=(), settings=wanted, mistakes=(), clash=None, resolv=("nameserver 9.9.9.9\n", ""), refused_neighbours=0,
        gateway_up=False, half_made=(), untrusted=(), strays=(), marks={},
    )  # fmt: skip


def said(facts: Facts) -> list[Finding]:
    """List what is not well."""
    return [finding for finding in judge(facts) if finding.said.level != "ok"]


def test_all_is_well(well: Facts) -> None:
    """Each check says so, in one line, and nothing has to be mended."""
    findings = judge(well)
    assert [name for name, _ in findings] == list(CHECKS)
    assert all((each.level, each.mend) == ("ok", "") and "\n" not in each.what for _, each in findings)
    assert can(findings)


DOCKER = RULES.format("DROP", ":DOCKER - [0:0]\n-A FORWARD -j DOCKER\n")
CHAIN = {"family": "inet", "table": "mine", "name": "fwd", "hook": "forward", "policy": "drop"}
VPN, LAN = "tun0, a VPN", "eth0"
#: What differs, the check that tells, how bad it is, and parts of what it says and of what mends it.
TROUBLES: list[tuple[dict[str, Any], str, str, str, str]] = [
    ({"lacking": ("sh", "toml")}, "python", "fail", "has no sh, toml", "pip install sh toml"),
    ({"tools": {**dict.fromkeys(TOOLS, True), "iptables-restore": False, "setpriv": False}}, "tools", "fail",
     "missing: iptables-restore, setpriv", "sudo apt-get install iptables util-linux"),
    ({"brctl": False}, "tools", "fail", "no brctl", "busybox"),
    ({"sudo": "missing"}, "rights", "fail", "no sudo", "apt-get install sudo"),
    ({"sudo": "blocked"}, "rights", "fail", "no_new_privs", "outside"),
    ({"way": "sudo", "sysctls": {"kernel/apparmor_restrict_unprivileged_userns": "1"}}, "user namespaces", "warn",
     "forbidden by AppArmor", "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
    ({"way": "sudo", "sysctls": {"kernel/unprivileged_userns_clone": "0"}}, "user namespaces", "warn",
     "forbidden by a setting", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    ({"sysctls": {"user/max_net_namespaces": "0"}}, "user namespaces", "fail", "max_net_namespaces is 0", "=15000"),
    ({"way": "sudo"}, "user namespaces", "warn", "forbidden by what runs this machine", "seccomp=unconfined"),
    ({"features": {NAMESPACES: "Operation not permitted"}, "container": True}, "kernel", "fail",
     "no network namespace can be made: Operation not permitted", "--privileged"),
    ({"features": {"veth": "Unknown device type"}}, "kernel", "fail", "no veth, for links", "sudo modprobe veth"),
    ({"features": {"time": "No match by that name"}}, "kernel", "warn", "no time, for network splits", "xt_time"),
    ({"features": None, "sudo": "password"}, "kernel", "note", "sudo asks for a password", "sudo vnet-doctor"),
    ({"mistakes": ("vnet.toml: nam: there is no such key",)}, "settings", "fail", "vnet.toml: nam", "docs/settings.md"),
    ({"clash": ClashError("host.interface: vnet is there already: vnet (dummy)", {"host.interface": "vnet1"})}, "addresses",
     "fail", "vnet is there already", 'set host.interface = "vnet1"'),
    ({"routes": (Route(IPv4Network("172.18.0.0/20"), "tun0", VPN, True),)}, "routes", "warn",
     "can't reach 172.18.0.0/20 of tun0, a VPN: it overlaps networks.guests 172.18.0.0/24", "networks.guests = \"172.19.0.0/24\""),
    ({"routes": (Route(IPv4Network("172.18.200.0/24"), "eth0", LAN, False),)}, "routes", "warn",
     "can't reach 172.18.200.0/24 of eth0: it overlaps networks.bridges", "networks.bridges = \"172.19.0.0/19\""),
    ({"routes": (Route(IPv4Network("172.18.0.0/16"), "tun0", VPN, True),)}, "routes", "warn",
     "it overlaps networks.guests 172.18.0.0/24 and networks.bridges 172.18.192.0/19",
     'set networks.guests = "172.19.0.0/24" and networks.bridges = "172.30.0.0/19"'),
    ({"resolv": ("nameserver 127.0.0.53\n", "")}, "resolver", "warn", "only 127.0.0.53", "host.dns"),
    ({"rules": {"nft": RULES.format("ACCEPT", ""), "legacy": DOCKER}}, "forwarding", "warn",
     "Docker drops what is forwarded, in iptables-legacy", "--set iptables /usr/sbin/iptables-legacy"),
    ({"chains": [CHAIN]}, "forwarding", "warn", "chain inet mine fwd drops",
     "sudo nft insert rule inet mine fwd iifname vnet accept\\; insert rule inet mine fwd oifname vnet accept"),
    ({"rules": None, "sudo": "password"}, "forwarding", "note", "the firewall was not looked at", "sudo vnet-doctor"),
    ({"running": frozenset({"firewalld"})}, "firewalld", "warn", "firewalld runs", "--add-interface=vnet"),
    ({"rules": {"nft": RULES.format("ACCEPT", "-A FORWARD -j X\n"), "legacy": RULES.format("ACCEPT", "-A INPUT -j Y\n")}},
     "iptables", "warn", "rules in both: 1 in iptables-nft, 1 in iptables-legacy", "update-alternatives"),
    ({"refused_neighbours": 7}, "neighbours", "warn", "has been full 7 times; it holds 1024", "gc_thresh3=65536"),
    ({"half_made": ("shop",)}, "leftovers", "warn", "the lab shop is half made", "vnet-down -n shop"),
    ({"strays": ("vnet-x1", "vnet-x1x2")}, "leftovers", "warn", "vnet-x1 vnet-x1x2", "sudo ip netns del $name"),
    ({"untrusted": ("/run/vnet/1: others can write this folder; chmod it",)}, "leftovers", "fail", "others can write", "chmod it"),
]  # fmt: skip


@pytest.mark.parametrize("row", TROUBLES, ids=[f"{row[1]}: {row[3]}"[:60] for row in TROUBLES])
def test_a_trouble(well: Facts, row: tuple[dict[str, Any], str, str, str, str]) -> None:
    """It is told once, with what mends it, and decides whether a lab can be made."""
    change, check, level, what, mend = row
    facts = well._replace(**change)
    ((name, one),) = said(facts)
    assert (name, one.level) == (check, level)
    assert what in one.what
    assert mend in one.mend
    assert can(judge(facts)) == (level != "fail")


def test_an_old_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told before anything is imported that it can't read."""
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert main(["vnet-doctor"]) == 1
    assert "too old: 3.11 is needed" in capsys.readouterr().err


def test_what_is_no_trouble(well: Facts) -> None:
    """A VPN for everything, Docker in vnet's own back end, the vnet that is up, a chain of iptables' own."""
    half = Route(IPv4Network("0.0.0.0/1"), "tun0", VPN, True)
    own = Route(IPv4Network("172.18.0.0/16"), "vnet", "vnet", False)
    facts = well._replace(
        routes=(half, own), marks={"vnet": 3001}, rules={"nft": DOCKER, "legacy": ""}, running=frozenset({"dockerd"}),
        chains=[{**CHAIN, "family": "ip", "table": "filter"}], gateway_up=True, sudo="missing",
    )  # fmt: skip
    assert said(facts) == []
    told = dict(judge(facts))
    assert told["routes"].what.endswith("through tun0, a VPN, as the host does")
    assert told["forwarding"].what == "Docker drops what is forwarded; vnet's rules stand before it"


def test_every_check_is_tried_and_told() -> None:
    """Here, and in docs/doctor.md."""
    assert {check for _, check, *_ in TROUBLES} == set(CHECKS)
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", (ROOT / "docs/doctor.md").read_text(encoding="utf-8"), re.MULTILINE)
    docs = [(name, str(check.__doc__).splitlines()[0]) for name, check in CHECKS.items()]
    assert rows[2:] == docs


FINDINGS = (
    Finding("python", Said("ok", "3.11.2")),
    Finding("kernel", Said("warn", f"no time, for network splits: {'because ' * 12}".strip(), "sudo modprobe xt_time")),
    Finding("settings", Said("fail", "no", "see there")),
)
PAGE = """\
no lab can be made here: 1 problem, 1 warning
  problem  settings         no
                            -> see there
  warning  kernel           no time, for network splits:
                            because because because because
                            because because because because
                            because because because because
                            $ sudo modprobe xt_time
  ok       python           3.11.2"""


def test_the_page() -> None:
    """Problems first; what is said is broken at blanks, commands never; colours on a terminal alone."""
    assert text(FINDINGS, Look(width=60)) == PAGE
    assert len(text(FINDINGS, PLAIN).splitlines()) == 6
    assert "\033[31mproblem\033[0m" in text(FINDINGS, Look(width=80, colour=True))


def test_the_json(well: Facts) -> None:
    """It is as its schema says; what is well has nothing to mend."""
    for findings in (judge(well), FINDINGS):
        jsonschema.validate(json.loads(to_json(findings, "userns")), SCHEMA)
    assert [each["mend"] is None for each in json.loads(to_json(FINDINGS, "root"))["checks"]] == [True, False, False]


# On simulated machines


def looked_at(box: Box, *args: str, **kwargs: Any) -> dict[str, Any]:
    """Run vnet-doctor; its exit status is as its JSON says."""
    done = box.vnet("doctor", "--json", *args, check=False, **kwargs)
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    assert done.returncode == (0 if found["can"] else 1), done
    return found


def troubles(found: dict[str, Any], check: str) -> list[dict[str, Any]]:
    """List what a check complains of."""
    return [each for each in found["checks"] if each["check"] == check and each["level"] != "ok"]


@pytest.mark.quick_in("userns", "sudo")
def test_it_can_be_made_and_nothing_is_changed(box: Box) -> None:
    """In all three ways, before, while and after a lab is up; where namespaces are forbidden, that alone is told."""
    expected = ["user namespaces"] if box.way == "sudo" else []
    with same_host(box):
        found = looked_at(box)
        assert (found["way"], found["can"]) == (box.way, True)
        assert [each["check"] for each in found["checks"] if each["level"] != "ok"] == expected, found
        box.write("vnet.toml", "[guests.a]\n")
        box.vnet("up")
        found = looked_at(box)
        assert [each["check"] for each in found["checks"] if each["level"] != "ok"] == expected, found
        assert "are vnet" in next(each["what"] for each in found["checks"] if each["check"] == "addresses")


#: What is done to the machine, and the check that tells; the command that it prints is run, and takes the trouble away.
REAL = [
    ("ip link add br-0123456789ab up type bridge; ip address add 172.18.0.1/16 dev br-0123456789ab", "addresses",
     "br-0123456789ab, the Docker network"),
    ("ip netns add vnet-x7; ip netns add vnet-x7x1; ip netns add other", "leftovers",
     "no lab on record: vnet-x7 vnet-x7x1"),
    ("iptables -N VNET-vnet9; iptables -A FORWARD -j VNET-vnet9; iptables -t nat -N VNET-vnet9-IN", "leftovers",
     "interface vnet9 is gone"),
]  # fmt: skip


def test_what_it_prints_mends_it() -> None:
    """A Docker network, namespaces and rules of a vnet that was killed: told by name, and the command printed helps."""
    need_root()
    with Machine() as machine:
        box = Box(machine, "alice", "userns")
        machine.run("mkdir", "project", user="alice")
        for what, check, words in REAL:
            machine.run("sh", "-ec", what)
            (one,) = troubles(looked_at(box), check)
            assert words in one["what"]
            again = box.run("bash", "-ec", f"{one['mend']}\n/opt/vnet/bin/vnet-doctor --json || :", timeout_s=30)
            assert troubles(json.loads(again.stdout), check) == [], again
            machine.run("sh", "-c", "ip link del br-0123456789ab 2>/dev/null || :")
        assert machine.run("ip", "netns").stdout.split()[0] == "other"


def test_labs_of_others_are_no_leftovers() -> None:
    """Two users' labs in the host's own /run/netns: neither is told that the other's namespaces and rules belong to nobody."""
    need_root()
    with Machine(userns=False) as machine:
        boxes = [Box(machine, user, "sudo") for user in ("alice", "bob")]
        for box, host in zip(boxes, ("", '[host]\ninterface = "vnetb"\nip = "172.18.254.1"\n'), strict=True):
            machine.run("mkdir", "project", user=box.user)
            box.write("vnet.toml", f"{host}[guests.a]\n")
            box.vnet("up")
        assert {"vnet-x1", "vnetb-x1"} <= set(machine.run("ip", "netns").stdout.split())
        for box in boxes:
            assert troubles(looked_at(box), "leftovers") == []
        boxes[0].vnet("down", "--all", "--gateway")
        for box in boxes:
            assert troubles(looked_at(box), "leftovers") == []


def test_what_stands_in_the_way() -> None:
    """A tool that is missing, a FORWARD policy in the other back end, a VPN over the guests, a resolver on loopback."""
    need_root()
    with Machine(sudo=False) as machine:
        box = Box(machine, "root", "root")
        machine.run("mkdir", "project")
        machine.run("sh", "-ec", "mount --bind /dev/null $(command -v busybox); iptables-legacy -P FORWARD DROP")
        machine.run("sh", "-ec", "ip link add tun0 up type veth; ip route add 172.18.0.0/18 dev tun0")
        machine.write("/etc/resolv.conf", "nameserver 127.0.0.53\n")
        found = looked_at(box)
        assert not found["can"]
        told = {each["check"]: each["what"] for each in found["checks"] if each["level"] in ("fail", "warn")}
        assert told["tools"] == "missing: busybox"
        assert "in iptables-legacy; vnet's rules are in iptables-nft" in told["forwarding"]
        assert "172.18.0.0/18 of tun0, a VPN" in told["routes"]
        assert "only 127.0.0.53" in told["resolver"]
        assert set(told) == {"tools", "forwarding", "routes", "resolver"}


def test_without_rights() -> None:
    """No sudo, and user namespaces forbidden: no lab, and what could not be looked at is told."""
    need_root()
    with Machine(userns=False, sudo=False) as machine:
        done = machine.vnet("doctor", "-q", user="alice", check=False)
        assert done.returncode == 1
        assert done.stdout.startswith("no lab can be made here: 1 problem, 1 warning, 2 unknown\n  problem  rights ")
        assert "\033" not in done.stdout
        assert "  ok " not in done.stdout


def test_all_that_a_cut_matches_by_is_tried() -> None:
    """A machine where the doctor says that all is well can cut."""
    assert MATCHES.keys() <= {each.name for each in FEATURES}
