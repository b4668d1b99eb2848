"""vnet-up changes what differs and nothing else, mends what was taken, and up and down follow each other at any speed."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from conftest import WAYS, Box
from inside import Process
from lab_world import (
    APP,
    BRIDGE,
    DB,
    GATEWAY,
    HOST,
    SHOP,
    SITE,
    TALK,
    WEB,
    as_root,
    ask,
    end,
    inside,
    pings,
    same_host,
    serve,
    standing,
    words_for,
)

NODES = ("gateway", "bridge", "web", "app", "db")
#: What may be taken from a standing lab, and by whom: `host`, or the root of a node.
DAMAGE = {
    "the host's rules": ("host", "iptables -F"),
    "the host's nat rules": ("host", "iptables -t nat -F"),
    "all tables of the host": ("host", "iptables -F; iptables -t nat -F; iptables -X; iptables -t nat -X"),
    "the host's link": ("host", "ip link delete vnet"),
    "the host's address": ("host", "ip address flush dev vnet"),
    "the host's link being up": ("host", "ip link set vnet down"),
    "the host's forwarding": ("host", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    "the gateway's rules": ("gateway", "iptables -F; iptables -t nat -F"),
    "the gateway's forwards": ("gateway", "iptables -t nat -F FORWARDS"),
    "the gateway's forwarding": ("gateway", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    "the gateway's route": ("gateway", "ip route delete default"),
    "the uplink": ("bridge", "ip link delete uplink"),
    "the uplink being up": ("bridge", "ip link set uplink down"),
    "the bridge device being up": ("bridge", "ip link set bridge down"),
    "the uplink's address": ("bridge", "ip address flush dev uplink"),
    "the bridge's rules": ("bridge", "iptables -F; iptables -t nat -F"),
    "the bridge's forwarding": ("bridge", "echo 0 >/proc/sys/net/ipv4/ip_forward"),
    "the bridge's route": ("bridge", "ip route delete default"),
    "the bridge device": ("bridge", "ip link delete bridge"),
    "the bridge's address": ("bridge", "ip address flush dev bridge"),
    "a port": ("bridge", "ip link delete x1x1"),
    "a port's place": ("bridge", "ip link set x1x1 nomaster"),
    "a port being up": ("bridge", "ip link set x1x1 down"),
    "a guest's address": ("web", "ip address flush dev eth0"),
    "a guest's route": ("web", "ip route delete default"),
    "a guest's link": ("web", "ip link delete eth0"),
    "a guest's link being up": ("web", "ip link set eth0 down"),
    "a guest's pin": ("pins", "umount -n /run/netns/vnet-x1x1; rm /run/netns/vnet-x1x1"),
    "the bridge's pin": ("pins", "umount -n /run/netns/vnet-x1; rm /run/netns/vnet-x1"),
    "the gateway's pin": ("pins", "umount -n /run/netns/vnet; rm /run/netns/vnet"),
}
#: Damage that is done together, and mended by one vnet-up.
ROUNDS = (
    ("the host's rules", "the gateway's rules", "the bridge's rules", "a guest's link"),
    ("the host's nat rules", "the gateway's forwarding", "the bridge's forwarding", "a guest's address"),
    ("the host's link", "the uplink", "a port's place"),
    ("the host's address", "the gateway's forwards", "the uplink's address", "a port being up"),
    ("the host's link being up", "the gateway's route", "the bridge's route", "a guest's link being up"),
    ("the host's forwarding", "the bridge's address", "a guest's route", "the uplink being up"),
    ("all tables of the host", "the bridge device", "a port"),
    ("the gateway's pin", "a guest's pin", "the bridge device being up"),
    ("the bridge's pin",),
)


def test_the_rounds_hold_all_damage() -> None:
    """None is left out."""
    assert sorted(name for names in ROUNDS for name in names) == sorted(DAMAGE)


def take(box: Box, where: str, script: str) -> None:
    """Do the damage."""
    if where == "host":
        box.machine.run("sh", "-c", script)
    elif where == "pins":
        enter = ("nsenter", "--mount=/run/vnet/3001.ns/mnt", "--") if box.way == "userns" else ()
        box.machine.run(*enter, "sh", "-c", script)
    else:
        as_root(box, where, "sh", "-c", script)


def troubles(box: Box) -> list[str]:
    """Tell what does not work in the lab."""
    everyone = (WEB, APP, DB, BRIDGE, GATEWAY, HOST, SITE)
    found = [f"{node} does not reach {ip}" for node in ("web", "db") for ip in pings(box, node, *everyone)]
    server = serve(box, "web", "tcp", 8000)
    for node in ("host", "app"):
        try:
            ask(box, node, "tcp", GATEWAY, 8000)
        except AssertionError as error:
            found.append(f"{node} does not reach the forwarded port: {str(error).splitlines()[-1]}")
    end(server)
    return found


def look(box: Box) -> dict[str, Any]:
    """Look inside all nodes: links with their numbers, addresses, routes, rules with their counters of long ago."""
    script = "ip -j address; ip -j route; iptables-save | sed '/^[#:]/d'"
    return {node: as_root(box, node, "sh", "-c", script).stdout for node in NODES}


def test_up_twice_changes_nothing(box: Box) -> None:
    """No command is run, and what a rule has counted is not lost."""
    with standing(box):
        before = look(box)
        pings(box, "web", SITE)
        counted = counts(box)
        assert [line for line in box.vnet("up", "-v").stderr.splitlines() if line.startswith("[#]")] == []
        assert look(box) == before
        assert all(now >= then for then, now in zip(counted, counts(box), strict=True))
        assert box.vnet("up", "--dry-run").stdout == ""


def counts(box: Box) -> list[int]:
    """List the packet counters of the bridge's and the gateway's rules."""
    text = "".join(as_root(box, node, "iptables-save", "-c").stdout for node in ("bridge", "gateway"))
    return [int(line[1:].partition(":")[0]) for line in text.splitlines() if line.startswith("[")]


def hold(box: Box, node: str, address: str, port: int) -> Process:
    """Open a TCP connection that lasts."""
    before = () if node == "host" else ("/opt/vnet/bin/vnet-exec", *words_for(node))
    argv = (*before, *TALK, "hold", address, str(port))
    caller = box.popen(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert caller.stdout.readline().startswith("web ")
    return caller


def lives(caller: Process, word: str) -> bool:
    """Send a word over a connection, and get it back."""
    caller.stdin.write(f"{word}\n")
    caller.stdin.flush()
    return bool(caller.stdout.readline() == f"{word}\n")


@pytest.mark.quick_in("userns")
def test_connections_live_through_an_edited_file(box: Box) -> None:
    """Other guests come, go and get other addresses; ports are added; what is not concerned notices nothing."""
    with standing(box, SHOP + '[guests.mail]\nip = "172.18.0.20"\n'):
        server = serve(box, "web", "tcp", 8000)
        held = [hold(box, "app", WEB, 8000), hold(box, "host", GATEWAY, 8000), hold(box, "app", GATEWAY, 8000)]
        inodes = inside(box, "web", "readlink", "/proc/self/ns/net").stdout
        edited = SHOP.replace('[guests.db]\nip = "172.18.0.9"\n', "[guests.new]\nports = { 9000 = 9000 }\n")
        box.write("vnet.toml", edited + '[guests.mail]\nip = "172.18.0.30"\n')
        for word in ("edited", "again"):
            box.vnet("up")
            assert [lives(each, word) for each in held] == [True] * 3
        assert inside(box, "web", "readlink", "/proc/self/ns/net").stdout == inodes
        assert pings(box, "web", APP, "new", "mail", "172.18.0.30", SITE) == []
        assert pings(box, "web", "172.18.0.20", DB, wait_s=0.4) == ["172.18.0.20", DB]
        assert inside(box, "db", "true", check=False).returncode == 3
        other = serve(box, "new", "tcp", 9000)
        assert ask(box, "host", "tcp", GATEWAY, 9000) == f"new {HOST}"
        end(*held, server, other)


@pytest.mark.quick_in("sudo")
def test_up_mends_what_was_taken(box: Box) -> None:
    """Whatever parts are damaged, the next vnet-up makes the lab whole again; the host is then clean after all of it.

    Each way has a third of it here, and all of it in the long run.
    """
    _mended(box, ROUNDS[list(WAYS).index(box.way) :: len(WAYS)])


@pytest.mark.long
def test_up_mends_each_thing_that_was_taken(box: Box) -> None:
    """As before, one part at a time."""
    _mended(box, tuple((name,) for name in DAMAGE))


def _mended(box: Box, rounds: tuple[tuple[str, ...], ...]) -> None:
    """Do damage, bring the lab up, and see that it is whole."""
    found = {}
    with standing(box):
        assert troubles(box) == []
        for names in rounds:
            for name in names:
                take(box, *DAMAGE[name])
            done = box.vnet("up", check=False)
            wrong = [done.stderr] if done.returncode else troubles(box)
            if wrong:
                found[", ".join(names)] = wrong
                box.vnet("down", "--all", "--gateway")
                box.vnet("up")
        assert found == {}, json.dumps(found, indent=1)


def test_down_with_nothing_up_is_content(box: Box) -> None:
    """Before the first vnet-up, and again after the last vnet-down; the host is not touched."""
    with same_host(box) as before:
        box.write("vnet.toml", SHOP)
        for words in ((), ("--all",), ("--gateway",), ("--all", "--gateway")):
            assert box.vnet("down", *words).stderr == ""
        assert before.diff(box.machine.snapshot()) == []
        box.vnet("up")
        box.vnet("down")
        box.vnet("down")
        assert inside(box, "web", "true", check=False).returncode == 3


@pytest.mark.quick_in("sudo")
def test_a_second_lab_of_one_file_is_meant_only_where_it_is_named(box: Box) -> None:
    """Without -n every verb means the lab that the settings name; by a link to the folder the file is the same."""
    with standing(box, "[guests.web]\n[guests.app]\n"):
        box.vnet("up", "-n", "abc")
        box.vnet("partition", "isolate", "web")
        assert pings(box, "abc:web", APP) == []
        assert pings(box, "project:web", APP, wait_s=0.5) == [APP]
        box.run("ln", "-s", ".", "link")
        assert box.vnet("exec", "-f", "link/vnet.toml", "web", "printenv", "VNET_LAB").stdout == "project\n"
        box.vnet("down")
        assert inside(box, "web", "printenv", "VNET_LAB").stdout == "abc\n"
        box.vnet("up", "-n", "def")
        done = inside(box, "web", "true", check=False)
        assert done.returncode == 2
        assert "are up: abc, def; -n LAB says which" in done.stderr


@pytest.mark.parametrize("box", ["userns"], indirect=True)
@pytest.mark.parametrize(
    "pin", ["mnt", *(pytest.param(pin, marks=pytest.mark.long) for pin in ("admin", "gateway", "user"))]
)
def test_namespaces_that_are_gone_are_told_as_that(box: Box, pin: str) -> None:
    """Every verb says so in its own words; vnet-down forgets the labs, vnet-up makes them anew."""
    with standing(box):
        path = f"/run/vnet/3001.ns/{pin}"
        for again in (False, True):
            box.machine.run("umount", "--no-mtab", path)
            for argv in (("partition", "isolate", "web"), ("exec", "web", "true")):
                if (argv[0], pin) not in (("exec", "gateway"), ("partition", "user")):
                    done = box.vnet(*argv, check=False)
                    assert (done.returncode, done.stdout) == (3, ""), done
                    assert (
                        "the namespaces of your labs are gone (/run/vnet/3001.ns); vnet-up makes them anew"
                        in done.stderr
                    )
            if again:
                assert "project is forgotten" in box.vnet("down").stderr
            box.vnet("up")
            assert pings(box, "web", APP, GATEWAY) == []


@pytest.mark.quick_in("sudo")
def test_a_project_of_the_same_name_takes_nothing_away(box: Box) -> None:
    """Another checkout, whose folder is called the same: its vnet-up is refused, and its trap's vnet-down leaves the lab alone."""
    with standing(box):
        server = serve(box, "web", "tcp", 8000)
        other = f"{box.project}/other/project"
        box.run("mkdir", "-p", other)
        box.write("other/project/vnet.toml", SHOP)
        assert box.vnet("up", cwd=other, check=False).returncode == 2
        for argv in ((), ("web",), ("--dry-run",)):
            done = box.vnet("down", *argv, cwd=other)
            assert [word for word in (f"{box.project}/vnet.toml", "stays") if word not in done.stderr] == []
            assert done.stdout == ""
        assert ask(box, "app", "tcp", WEB, 8000).startswith("web ")
        end(server)
        box.vnet("down", "-n", "project", cwd=other)
        assert inside(box, "web", "true", check=False).returncode == 3


@pytest.mark.quick_in("sudo")
def test_without_a_file_and_names_nothing_is_made(box: Box) -> None:
    """A vnet-up in the wrong folder is refused, and takes no guests from a lab without a file."""
    with same_host(box) as before:
        done = box.vnet("up", check=False)
        assert (done.returncode, done.stderr.count("\n"), "no vnet.toml here" in done.stderr) == (2, 1, True)
        assert before.diff(box.machine.snapshot()) == []
        box.vnet("up", "a", "b")
        assert box.vnet("up", check=False).returncode == 2
        inside(box, "a", "true")


@pytest.mark.quick_in("userns")
def test_labs_are_made_on_the_host(box: Box) -> None:
    """vnet-up, vnet-down and vnet-run in a node are refused, with a line that says where one is; nothing changes."""
    with standing(box):
        for verb in ("up", "down", "run"):
            for options in ((), ("--root",)):
                done = box.vnet("exec", *options, "web", f"vnet-{verb}", check=False)
                assert (done.returncode, "this is the node web of the lab project" in done.stderr) == (2, True), (
                    done.stderr
                )
        assert troubles(box) == []


def test_one_guest_goes_and_comes(box: Box) -> None:
    """`vnet-down GUEST` leaves the others; `vnet-up` brings it back."""
    with standing(box):
        server = serve(box, "web", "tcp", 8000)
        held = hold(box, "app", WEB, 8000)
        box.vnet("down", "db")
        assert inside(box, "db", "true", check=False).returncode == 3
        assert lives(held, "alone")
        box.vnet("up")
        assert pings(box, "web", DB) == []
        assert lives(held, "together")
        assert box.vnet("down", "nobody", check=False).returncode == 3
        end(held, server)


@pytest.mark.quick_in("userns", "sudo")
def test_down_ends_what_runs(box: Box) -> None:
    """TERM, and KILL for what does not listen to it."""
    with standing(box):
        polite = box.popen("/opt/vnet/bin/vnet-exec", "web", "sleep", "99")
        stubborn = box.popen(
            "/opt/vnet/bin/vnet-exec", "app", *TALK, "serve", "tcp", "8000", "x", stdout=subprocess.PIPE
        )
        assert stubborn.stdout.readline() == "ready\n"
        box.vnet("down")
        assert (polite.wait(5), stubborn.wait(5)) == (-15, -15)


def _many(box: Box, times: int) -> None:
    """Go up and down, without a pause."""
    with same_host(box):
        box.write("vnet.toml", SHOP)
        script = f'i=0; while [ $i -lt {times} ]; do "$0"/vnet-up -q && "$0"/vnet-down || exit 1; i=$((i+1)); done'
        box.run("sh", "-c", script, "/opt/vnet/bin", timeout_s=60 + 4 * times)
        box.vnet("up")
        assert troubles(box) == []


def test_down_and_up_follow_each_other_quickly(box: Box) -> None:
    """No up meets what the down before it left."""
    _many(box, 5)


@pytest.mark.long
def test_down_and_up_follow_each_other_a_thousand_times(box: Box) -> None:
    """As before, a thousand times."""
    _many(box, 1000)


@pytest.mark.quick_in("root")
def test_a_network_does_not_change_under_its_guests(box: Box) -> None:
    """It is refused, with status 2, and the lab runs on."""
    with standing(box):
        before = look(box)
        for key, value in (("guests", '"172.18.0.0/23"'), ("mtu", "1400")):
            box.write("vnet.toml", f"[networks]\n{key} = {value}\n{SHOP}")
            refused = box.vnet("up", check=False)
            assert (refused.returncode, f"networks.{key}" in refused.stderr, "vnet-down" in refused.stderr) == (
                2,
                True,
                True,
            )
        assert look(box) == before
