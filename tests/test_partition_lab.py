"""A cut while things happen: time passes, guests come and go, somebody meddles, a guest's root tries to get round it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from conftest import Box, need_root
from lab_world import as_root, inside, standing
from machine import Machine
from partition_world import saved

A, B, C = "172.18.0.1", "172.18.0.2", "172.18.0.3"
TWO = '[guests.a]\nip = "172.18.0.1"\n[guests.b]\nip = "172.18.0.2"\n'
THREE = f'{TWO}[guests.c]\nip = "172.18.0.3"\n'
FRAMES = ("/opt/vnet/bin/vnet-exec", "a", "--", "python3", "-I", "-S", "/opt/vnet/tests/frames.py")


@contextmanager
def lab(toml: str = THREE) -> Iterator[Box]:
    """Bring a lab of root's up on a machine of its own."""
    need_root()
    with Machine(sudo=False) as machine:
        box = Box(machine, "root", "root")
        machine.run("mkdir", "project")
        box.write("vnet.toml", toml)
        box.vnet("up")
        yield box


def reached(box: Box) -> set[str]:
    """List the pairs of guests (`from>to`) that vnet-status --probe gets through."""
    probe = json.loads(box.vnet("status", "--probe", "--json").stdout)["labs"][0]["probe"]
    return {f"{a}>{b}" for a, b in probe["reached"] if not {a, b} & {"bridge", "gateway"}}


def cut_in_force(box: Box) -> dict[str, object] | None:
    """Read `show --json`."""
    found = json.loads(box.vnet("partition", "show", "--json").stdout)["cut"]
    return found if found is None else dict(found)


def test_a_cut_heals_by_itself_to_the_second() -> None:
    """By the kernel: no process of vnet is there, nor one that waits."""
    with lab() as box:
        before = box.run("ps", "-eo", "args").stdout
        box.vnet("partition", "--for", "5", "isolate", "a")
        assert box.run("ps", "-eo", "args").stdout == before
        assert inside(box, "a", "ping", "-c1", "-W0.2", B, check=False).returncode == 1
        shown = cut_in_force(box)
        assert shown
        assert re.search("heals by itself in [0-5] s", box.vnet("partition", "show").stdout)
        inside(box, "a", "ping", "-i0.05", "-w9", "-c1", B)
        assert 0 <= time.time() - datetime.fromisoformat(str(shown["until"])).timestamp() < 1
        assert cut_in_force(box) is None
        assert reached(box) == {"a>b", "a>c", "b>a", "b>c", "c>a", "c>b"}


DAMAGE = ("iptables -t mangle -F; ip6tables -t mangle -F; iptables -t mangle -X", "ip link delete bridge",
          "sysctl -qw net.bridge.bridge-nf-call-iptables=0", "ip link set bridge group 0")  # fmt: skip


def test_a_cut_stays_true() -> None:
    """Guests come and go, and what was taken from it is put back."""
    with lab(TWO) as box:
        box.vnet("partition", "isolate", "b")
        box.write("vnet.toml", f'{THREE}[guests.d]\nip = "172.18.0.4"\n')
        box.vnet("up")
        now = {"a>c", "a>d", "c>a", "c>d", "d>a", "d>c"}
        assert reached(box) == now
        for damage in DAMAGE:
            as_root(box, "bridge", "sh", "-c", damage)
            box.vnet("up")
            assert reached(box) == now, damage
        box.vnet("partition", "oneway", "a", "--", "c")
        box.vnet("down", "c")
        assert reached(box) == {f"{a}>{b}" for a in "abd" for b in "abd" if a != b}
        box.vnet("up")
        assert "a>c" not in reached(box)
        box.vnet("partition", "fullmesh")
        assert saved(box).count("-A ") == 0


def test_the_root_of_a_guest_gets_round_no_cut() -> None:
    """Not by rules, addresses, routes, tags of a VLAN or PPPoE; frames that carry no IP are not cut."""
    with lab() as box:
        mac = json.loads(inside(box, "b", "ip", "-j", "link", "show", "eth0").stdout)[0]["address"]
        box.popen(*FRAMES, "send", B, mac)
        assert heard(box) == "other plain pppoe stacked vlan"
        box.vnet("partition", "isolate", "a")
        assert heard(box) == "other stacked"
        for attempt in (
            "iptables -F; iptables -t mangle -F; iptables -P OUTPUT ACCEPT",
            "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:07; ip link set eth0 up",
            "ip address add 172.18.0.77/24 dev eth0; ip route replace 172.18.0.2 dev eth0 src 172.18.0.77",
            "ip route replace 172.18.0.2 via 172.18.0.254 src 172.18.0.1",
        ):
            as_root(box, "a", "sh", "-c", attempt)
            assert inside(box, "a", "ping", "-c1", "-W0.3", B, check=False).returncode == 1, attempt
        box.vnet("partition", "fullmesh")
        inside(box, "a", "ping", "-c1", "-W2", B)


def heard(box: Box) -> str:
    """Tell which sorts of frames arrive at b."""
    words = ("b", "--", *FRAMES[3:], "hear", "0.3")
    return box.vnet("exec", *words).stdout.strip()


LACKS = {
    "/proc/sys/net/bridge": "br_netfilter is missing; 'modprobe br_netfilter'",
    "libxt_physdev.so": "lacks the match 'physdev'",
    "libxt_time.so": "lacks the match 'time'",
    "libxt_devgroup.so": "lacks the match 'devgroup'",
}


def test_what_a_machine_lacks_is_told_before_anything_is_touched() -> None:
    """One clear line; what can't be taken from this kernel is hidden: the switches of br_netfilter, parts of iptables."""
    with lab() as box:
        for what, says in LACKS.items():
            hidden = what if what.startswith("/") else box.run("find", "/usr/lib", "-name", what).stdout.strip()
            options = ("-t", "tmpfs", "none") if hidden == what else ("--bind", "/dev/null")
            there = ("nsenter", "--net=/run/netns/vnet-x1")  # each network has a folder of its own there
            box.run(*there, "mount", "--no-mtab", *options, hidden)
            refused = box.vnet("partition", "isolate", "a", check=False)
            box.run(*there, "umount", "--no-mtab", hidden)
            assert refused.returncode == 1
            assert says in refused.stderr
            assert refused.stderr.count("\n") == 1
            assert cut_in_force(box) is None
            assert "-A " not in saved(box) + saved(box, "ip6tables")
        box.vnet("partition", "isolate", "a")


def test_the_other_kind_of_iptables_is_refused() -> None:
    """As in a root file system of a guest's own, or where the machine's was changed: its cuts would be out of the other's sight."""
    with lab() as box:
        programs = {
            kind: f"/usr/sbin/xtables-{name}-multi" for kind, name in (("nf_tables", "nft"), ("legacy", "legacy"))
        }
        made = re.findall(r"\((\w+)\)", box.run("iptables", "-V").stdout)[0]
        (here,) = programs.keys() - {made}
        box.vnet("partition", "isolate", "a")
        before = rules(box)
        box.run("mount", "--no-mtab", "--bind", programs[here], programs[made])
        for words in (["fullmesh"], ["isolate", "b"], ["show"]):
            refused = box.vnet("partition", *words, check=False)
            assert refused.returncode == 1
            assert f"iptables is of the kind {here} here, and the lab project was made with {made}" in refused.stderr
        box.run("umount", "--no-mtab", programs[made])
        assert rules(box) == before
        assert (cut_in_force(box) or {})["kind"] == "isolate"
        box.vnet("partition", "fullmesh")


def rules(box: Box) -> list[str]:
    """List the rules of the cut."""
    return [line for line in saved(box).splitlines() if line.startswith("-A ")]


@pytest.mark.long
def test_a_cut_of_any_size_needs_no_more_processes() -> None:
    """As -v prints them: a cut of 100 guests takes as many as one of 3, and in a user namespace it works."""
    need_root()
    counted = []
    with Machine() as machine:
        box = Box(machine, "alice", "userns")
        machine.run("mkdir", "project", user="alice")
        for names in (("a", "b", "c"), tuple(f"n{number}" for number in range(100))):
            with standing(box, "".join(f"[guests.{name}]\n" for name in names)):
                box.vnet("partition", "halves")
                commands = [box.vnet("partition", "-v", *words).stderr.count("[#] ") for words in
                            (("majorities-ring", "--seed", "1"), ("isolate", names[0]), ("fullmesh",))]  # fmt: skip
                counted.append(commands)
    assert counted[0] == counted[1]
    assert max(counted[0]) < 12
