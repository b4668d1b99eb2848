"""Rights: three ways found out by itself, sudo called once, a state that outlives a logout, two users on one machine."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import Box, need_root
from lab_world import GATEWAY, HOST, SHOP, SITE, ask, end, inside, pings, same_host, serve
from machine import Machine

SUDO_LOG = "/var/log/sudo.log"
HEAD = "vnet-up: the gateway is made once, as root. These commands will run under sudo:"
SAID = "vnet-up:   "
#: What a second user sets, and the host's address and the gateway's that he then has.
SECOND, SECOND_HOST, SECOND_GATEWAY = (
    '[host]\nip = "172.19.255.1"\ninterface = "vnet1"\n',
    "172.19.255.1",
    "172.19.255.2",
)


@contextmanager
def user_on(machine: Machine, user: str, toml: str = SHOP, way: str = "userns") -> Iterator[Box]:
    """Give a user with a project on a machine."""
    machine.run("mkdir", "-p", "project", user=user)
    box = Box(machine, user, way)
    box.write("vnet.toml", toml)
    yield box


@pytest.mark.quick_in("userns", "sudo")
def test_the_state_is_the_owners_and_outlives_a_logout(box: Box) -> None:
    """It is no part of the session's folder, which is taken away; no process was left to be ended with it either."""
    uid = box.machine.run("id", "-u", box.user).stdout.strip()
    session = f"/run/user/{uid}"
    with same_host(box) as before:
        box.machine.run("install", "-d", "-m", "0700", "-o", uid, session)
        box.write("vnet.toml", SHOP)
        box.vnet("up", env={"XDG_RUNTIME_DIR": session})
        assert box.machine.snapshot().sections["processes"] == before.sections["processes"] == {}
        assert json.loads(box.run("cat", f"/run/vnet/{uid}/gateway.json").stdout)["gateway"]["way"] == box.way
        assert box.run("stat", "-c", "%a %u", f"/run/vnet/{uid}").stdout.split() == ["700", uid]
        assert box.run("find", "/run/vnet", "-perm", "/022", "!", "-type", "l").stdout == ""
        assert box.machine.run("ls", f"/run/vnet/{uid}", user="eve", check=False).returncode != 0
        box.machine.run("rmdir", session)  # empty still
        assert pings(box, "web", "db", SITE) == []
        assert "web" in box.vnet("status").stdout
        assert box.vnet("up", "-v").stderr.count("[#]") == 0
        box.vnet("down")
        assert inside(box, "web", "true", check=False).returncode == 3


def test_root_needs_neither_sudo_nor_user_namespaces() -> None:
    """As on some CI images."""
    need_root()
    with Machine(userns=False, sudo=False) as machine, user_on(machine, "root") as box, same_host(box):
        box.vnet("up")
        assert pings(box, "web", "db", SITE) == []


def test_a_user_without_sudo_is_told_so() -> None:
    """Nothing is touched; there is nothing to take down either."""
    need_root()
    with Machine(sudo=False) as machine, user_on(machine, "alice") as box:
        before = machine.snapshot()
        refused = box.vnet("up", check=False)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "install sudo" in refused.stderr
        assert box.vnet("down", "--all", "--gateway").stderr == ""
        assert before.diff(machine.snapshot()) == []


@pytest.mark.parametrize("userns", [True, False], ids=["userns", "sudo"])
def test_sudo_is_called_as_seldom_as_can_be(userns: bool) -> None:
    """With user namespaces once for the gateway, and once for the end of it; else once for each command at most."""
    need_root()
    calls = [("up",), ("up",), ("exec", "web", "true"), ("exec", "--root", "web", "true"), ("status", "--probe"),
             ("partition", "isolate", "web"), ("partition", "show"), ("partition", "fullmesh"), ("exec", "bridge", "true"),
             ("down", "db"), ("up",), ("down",), ("up",), ("down", "--gateway")]  # fmt: skip
    with Machine(userns=userns) as machine, user_on(machine, "alice") as box:
        machine.write("/etc/sudoers.d/log", f"Defaults logfile={SUDO_LOG}, loglinelen=0\n", mode=0o440)
        machine.write(SUDO_LOG, "")
        counted = []
        for call in calls:
            box.vnet(*call)
            logged = machine.run("cat", SUDO_LOG).stdout.splitlines()
            assert all("alice" in line and "root.py" in line for line in logged), logged
            counted.append(len(logged) - sum(counted))
        expected = [1, *[0] * (len(calls) - 2), 1] if userns else [1] * len(calls)
        assert dict(zip(map(str, enumerate(calls)), counted, strict=True)) == dict(
            zip(map(str, enumerate(calls)), expected, strict=True)
        )


def test_what_will_run_under_sudo_is_said_before(machine: Machine) -> None:
    """Where sudo wants a password and nobody can type one, the commands have been printed, and nothing was touched."""
    with user_on(machine, "alice") as box:
        machine.write("/etc/sudoers.d/simulated", "alice ALL=(ALL:ALL) ALL\n", mode=0o440)
        box.run("sudo", "-n", "true", check=False)  # sudo remembers that alice was here
        before = machine.snapshot()
        refused = box.vnet("up", check=False)
        lines = refused.stderr.splitlines()
        assert (refused.returncode, lines[0], lines[-2]) == (1, HEAD, "sudo: a password is required")
        assert "on a terminal" in lines[-1]
        commands = [line.removeprefix(SAID) for line in lines[1:-2]]
        assert "install -d -m 0700 -o 3001 -g 3001 /run/vnet/3001" in commands
        assert before.diff(machine.snapshot()) == []


def test_what_runs_under_sudo_is_what_was_said(machine: Machine) -> None:
    """Each program that root starts is in a line that was printed, and each line is run, in that order."""
    with user_on(machine, "alice") as box, same_host(box):
        trace = (
            "strace",
            "-f",
            "-qq",
            "-s4000",
            "-etrace=execve",
            "-estatus=successful",
            "-esignal=none",
            "-o/root/trace",
        )
        become = ("setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "env", f"--chdir={box.project}")
        done = machine.run(*trace, *become, "HOME=/home/alice", "/opt/vnet/bin/vnet-up")
        said = [line.removeprefix(SAID) for line in done.stderr.splitlines() if line.startswith(SAID)]
        ran = started(machine.run("cat", "/root/trace").stdout)
        assert [words for words in ran if not any(words in line for line in said)] == []
        plain = [line.removesuffix(" 2>/dev/null || true").rpartition(" | ")[2] for line in said if is_plain(line)]
        assert [words for words in ran if words in plain] == plain


def is_plain(line: str) -> bool:
    """Tell whether a line is one program; the others hold a namespace until it is pinned, or write one setting."""
    return "$maker" not in line and not line.startswith("busybox sysctl")


def started(trace: str) -> list[str]:
    """List what the part under sudo has started, as it is printed: it starts programs by their whole paths."""
    found = [ast.literal_eval(each) for each in re.findall(r'execve\("[^"]*", (\[.*?\]), 0x', trace)]
    start = next(at for at, argv in enumerate(found) if argv[-1].endswith("/root.py") and "sudo" not in argv[0])
    programs = ([os.path.basename(argv[0]), *argv[1:]] for argv in found[start + 1 :] if argv[0].startswith("/"))
    return [re.sub(r"/proc/\d+/", "/proc/$maker/", shlex.join(argv)).removesuffix(" cat") for argv in programs]


@pytest.mark.parametrize(
    ("userns", "first", "second", "leaves"),
    [
        (True, "alice", "bob", "bob"),
        (False, "alice", "bob", "alice"),
        pytest.param(True, "alice", "bob", "alice", marks=pytest.mark.long),
        pytest.param(True, "root", "alice", "root", marks=pytest.mark.long),
    ],
)
def test_two_users_have_a_gateway_each(userns: bool, first: str, second: str, leaves: str) -> None:
    """The second is told who was first and what to set; then both work, and either goes without harm to the other."""
    need_root()
    with Machine(userns=userns) as machine, user_on(machine, first) as a, user_on(machine, second) as b, same_host(b):
        a.vnet("up")
        before = machine.snapshot()
        refused = b.vnet("up", check=False)
        assert (refused.returncode, f"the vnet of {first} (uid " in refused.stderr) == (2, True)
        assert 'set host.ip = "172.19.255.1" and host.interface = "vnet1"' in refused.stderr
        assert before.diff(machine.snapshot()) == []
        b.write("vnet.toml", SECOND + SHOP)
        b.vnet("up")
        assert troubles(a, HOST, GATEWAY) + troubles(b, SECOND_HOST, SECOND_GATEWAY) == []
        goes, stays, *there = (a, b, SECOND_HOST, SECOND_GATEWAY) if leaves == first else (b, a, HOST, GATEWAY)
        goes.vnet("down", "--all", "--gateway")
        assert troubles(stays, *there) == []
        assert stays.vnet("up", "-v").stderr.count("[#]") == 0
        assert "VNET-CLOSED" in machine.run("iptables", "-S", "FORWARD").stdout
        stays.vnet("down", "--all", "--gateway")


def troubles(box: Box, host: str, gateway: str) -> list[str]:
    """Tell what does not work in a user's lab."""
    found = pings(box, "web", "db", host, gateway, SITE)
    server = serve(box, "web", "tcp", 8000, box.user)
    for node in ("host", "app"):
        if ask(box, node, "tcp", gateway, 8000).split()[0] != box.user:
            found.append(f"the forwarded port, from {node}")
    end(server)
    return found
