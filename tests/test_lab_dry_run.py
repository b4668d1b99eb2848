"""What --dry-run prints, pasted into a shell, does what the real run does; and printing it does nothing."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from conftest import Box
from inside import search_path, wait_for
from lab_world import APP, DB, SHOP, as_root, inside, pings, same_host
from machine import Completed
from snapshot import Snapshot, assert_same

NODES = ("gateway", "bridge", "web", "db")
CHANGED = SHOP.replace("[guests.app]\n", "").replace("8000 = 8000", "8000 = 80") + "[guests.new]\n"
#: Looks at a namespace's network as snapshot.py does; without iptables-legacy, which user namespaces do not let in.
LOOK = """
import json, pathlib, sys
sys.path.insert(0, "/opt/vnet/tests")
import snapshot
snapshot.IPTABLES_SAVE[:] = ["iptables-save", "ip6tables-save"]
seen = {name: {"all": snapshot._steady(snapshot._ip(words))} for name, words in snapshot.IP.items()}
seen |= {"links": snapshot._links(), "firewall": snapshot._firewall()}
print(json.dumps(seen | {"sysctls": snapshot._sysctls(pathlib.Path("/proc/sys/net"))}))
"""
#: The kernel's own choices: a veth's hardware address and the addresses made from it, numbers of namespaces.
CHANCE = re.compile(r"\b(?!02:76)..(:..){5}\b|fe80::[0-9a-f:]+|(?<=:\[)\d+(?=\])")
NUMBERS = ("ifindex", "link_index", "link_netnsid")
#: What vnet writes for itself, and no command does.
OWN = re.compile("/run/vnet/[0-9]+/((locks|numbers|ports).*|.*[.]json)")
#: A PATH as users have it in Debian.
USERS = {"PATH": ":".join(folder for folder in search_path().split(":") if not folder.endswith("sbin"))}

userns_only = pytest.mark.parametrize("box", ["userns"], indirect=True)


def plain(value: Any) -> Any:
    """Drop what differs from one making to the next."""
    if isinstance(value, dict):
        return {CHANCE.sub("?", key): plain(item) for key, item in value.items() if key not in NUMBERS}
    if isinstance(value, list):
        return sorted((plain(item) for item in value), key=json.dumps)
    return CHANCE.sub("?", json.dumps(value))


def whole(box: Box) -> dict[str, Any]:
    """Look at the machine, and at the network of every node."""
    host = box.machine.snapshot().sections
    del host["namespaces"]  # the mounts tell which are pinned
    found = {"host": {**host, "files": {path: how for path, how in host["files"].items() if not OWN.fullmatch(path)}}}
    for node in NODES:
        found[node] = json.loads(as_root(box, node, "python3", "-I", "-S", "-c", LOOK).stdout)
    files = box.run(
        "sh", "-c", "cd /run/vnet/$(id -u) && head -n 99 nodes labs/*/hosts labs/*/nodes labs/*/resolv.conf"
    )
    return {"files": files.stdout, **plain(found)}


def assert_alike(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Fail with what is not the same in both."""
    for node, seen in first.items():
        if node != "files":
            lines = Snapshot(seen, dict).diff(Snapshot(second[node], dict))  # type: ignore[arg-type]
            assert not lines, f"{node}:\n" + "\n".join(lines)
    assert first["files"] == second["files"]


def dry(box: Box, verb: str, *args: str) -> str:
    """Make a dry run; nothing changes by it."""
    before = box.machine.snapshot()
    done = box.vnet(verb, *args, "--dry-run", env=USERS)
    assert_same(before, box.machine)
    assert done.stderr == ""
    return str(done.stdout)


def paste(box: Box, text: str) -> Completed:
    """Run lines in a shell of the user's; each of them has to work."""
    return box.run("sh", "-e", input=text, env=USERS)


@pytest.mark.quick_in("userns")
def test_pasted_dry_runs_make_the_same_network_and_take_it_away(box: Box) -> None:
    """From a machine without vnet, for all of the figure; and back."""
    with same_host(box) as before:
        box.write("vnet.toml", SHOP)
        up = dry(box, "up")
        box.vnet("up")
        made, down = whole(box), dry(box, "down", "--all", "--gateway")
        paste(box, down)
        assert_same(before, box.machine)
        paste(box, up)
        assert_alike(made, whole(box))
        assert pings(box, "web", "app", "db", "host") == []
        paste(box, down)
        assert_same(before, box.machine)


@userns_only
def test_pasted_dry_run_of_a_changed_lab(box: Box) -> None:
    """Guests that come and go, another port, and a cut that is kept true: as the real run makes it of the same lab."""
    with same_host(box) as before:
        change(box)
        up = dry(box, "up")
        assert "mangle" in up
        box.vnet("up")
        made, down = whole(box), dry(box, "down", "--all", "--gateway")
        assert pings(box, "web", "new", "bridge") == ["new"]
        assert dry(box, "up") == ""
        paste(box, down)
        assert_same(before, box.machine)
        change(box)
        paste(box, up)
        assert_alike(made, whole(box))
        paste(box, down)
        assert_same(before, box.machine)


def change(box: Box) -> None:
    """Bring a lab up, cut it, and change its settings."""
    box.write("vnet.toml", SHOP)
    box.vnet("up")
    box.vnet("partition", "isolate", "web")
    box.write("vnet.toml", CHANGED)


@userns_only
def test_pasted_dry_run_ends_what_runs(box: Box) -> None:
    """Processes in guests and in the gateway; of one guest alone, too."""
    with same_host(box):
        box.write("vnet.toml", SHOP)
        box.vnet("up")
        sleeping = [box.popen("/opt/vnet/bin/vnet-exec", node, "sleep", "1000") for node in ("web", "db", "gateway")]
        for process, node in zip(sleeping, ("web", "db", "gateway"), strict=True):
            wait_until_inside(box, node, process.inner_pid())
        paste(box, dry(box, "down", "db"))
        assert sleeping[1].wait(10) == -15
        assert pings(box, "app", "web", "db") == ["db"]
        paste(box, dry(box, "down", "--gateway"))
        assert [each.wait(10) for each in sleeping] == [-15] * 3


def wait_until_inside(box: Box, node: str, pid: int) -> None:
    """Wait until a process has become the command that it is to run in a node."""
    wait_for(lambda: "sleep" in box.run("cat", f"/proc/{pid}/cmdline").stdout, f"a sleep in {node}")


@pytest.mark.quick_in("root")
def test_pasted_dry_run_of_a_cut(box: Box) -> None:
    """It cuts; before it is pasted, nothing does."""
    with same_host(box):
        box.write("vnet.toml", SHOP)
        box.vnet("up")
        text = dry(box, "partition", "isolate", "web")
        assert pings(box, "web", APP, DB) == []
        paste(box, text)
        assert pings(box, "web", APP, DB) == [APP, DB]
        assert pings(box, "app", DB) == []
        box.vnet("partition", "fullmesh")
        assert pings(box, "web", APP, DB) == []


def test_a_dry_run_starts_nothing_but_to_look(box: Box) -> None:
    """Of all tools it calls `ip`, to read, and where it must find out whether user namespaces are allowed, `unshare`."""
    with same_host(box):
        box.write("vnet.toml", SHOP)
        box.run(
            "strace",
            "-f",
            "-qq",
            "-s",
            "999",
            "-e",
            "trace=execve",
            "-o",
            "calls",
            "/opt/vnet/bin/vnet-up",
            "--dry-run",
        )
        calls = re.findall(r'execve\("[^"]*", \[(.*?)\], .* = 0$', box.run("cat", "calls").stdout, re.MULTILINE)
        words = [re.findall(r'"([^"]*)"', call) for call in calls]
        tools = [call for call in words if not re.search("python3|/env$|vnet-up$", call[0])]
        assert tools
        for call in tools:
            assert (
                call[:3] in (["ip", "-4", "-j"], ["nft", "-j", "list"])
                or (call[0] == "unshare" and call[-1] == "true")
                or call == ["true"]
            ), call


@userns_only
def test_each_line_is_one_command(box: Box) -> None:
    """A line can be pasted alone, and -v shows the same ones before they run."""
    with same_host(box):
        box.write("vnet.toml", SHOP)
        lines = dry(box, "up").splitlines()
        for line in lines:
            box.run("sh", "-n", "-c", line)
        shown = [
            line.removeprefix("[#] ") for line in box.vnet("up", "-v").stderr.splitlines() if line.startswith("[#]")
        ]
        written = [
            line for line in lines if line.startswith("PATH=") or "/labs/project" in line or " > /run/vnet/" in line
        ]
        run = [line.replace("sudo ", "") for line in lines if line not in written]
        assert shown == run
        inside(box, "web", "true")
