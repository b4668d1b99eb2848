"""What the tests of labs share: a lab that goes up and down, words to its nodes, and a look inside."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conftest import Box
from inside import Process
from machine import Completed, Machine
from snapshot import Snapshot, assert_same

TALK = ("python3", "-I", "-S", "/opt/vnet/tests/talk.py")
HOST, GATEWAY, BRIDGE, SITE = "172.18.255.1", "172.18.255.2", "172.18.0.254", "203.0.113.80"
WEB, APP, DB = "172.18.0.1", "172.18.0.2", "172.18.0.9"
SHOP = """
[guests.web]
ports = { 8000 = 8000, "5353/udp" = 53 }
[guests.app]
[guests.db]
ip = "172.18.0.9"
"""


def alices(machine: Machine) -> Box:
    """Give alice's project, on a machine with sudo and user namespaces."""
    machine.run("mkdir", "project", user="alice")
    box = Box(machine, "alice", "userns")
    box.write("vnet.toml", SHOP)
    return box


@contextmanager
def same_host(box: Box) -> Iterator[Snapshot]:
    """Take everything down at the end, and assert that the machine is what it was at the beginning."""
    before = box.machine.snapshot()
    yield before
    box.vnet("down", "--all", "--gateway")
    assert_same(before, box.machine)


@contextmanager
def standing(box: Box, toml: str = SHOP) -> Iterator[Completed]:
    """Bring the project's lab up; as same_host()."""
    with same_host(box):
        box.write("vnet.toml", toml)
        yield box.vnet("up")


def inside(box: Box, node: str, *argv: str, **kwargs: Any) -> Completed:
    """Run a command in a node: `NODE`, or `LAB:NODE`."""
    return box.vnet("exec", *words_for(node), *argv, **kwargs)


def words_for(node: str) -> tuple[str, ...]:
    """Write the words of vnet-exec that lead to `NODE` or `LAB:NODE`."""
    lab, _, name = node.rpartition(":")
    return (*(("-n", lab) if lab else ()), name, "--")


def as_root(box: Box, node: str, *argv: str, **kwargs: Any) -> Completed:
    """Run a command in a node, as the lab's root."""
    return box.vnet("exec", "--root", *words_for(node), *argv, **kwargs)


def serve(box: Box, node: str, proto: str, port: int, word: str = "") -> Process:
    """Start a server in a node, or (`host`) on the machine itself, and wait until it listens."""
    before = () if node == "host" else ("/opt/vnet/bin/vnet-exec", *words_for(node))
    argv = (*before, *TALK, "serve", proto, str(port), word or node)
    return listening(box.popen(*argv, stdout=subprocess.PIPE))


def site_serves(box: Box, proto: str, port: int) -> Process:
    """Start a server on the internet."""
    argv = (*TALK, "serve", proto, str(port), "site", SITE)
    return listening(box.machine.internet_popen(*argv, stdout=subprocess.PIPE))


def listening(process: Process) -> Process:
    """Wait until a server says that it is ready."""
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def end(*processes: Process) -> None:
    """End processes, and wait for it."""
    for process in processes:
        process.terminate()
        process.wait(10)


def ask(box: Box, node: str, proto: str, address: str, port: int) -> str:
    """Ask a server, from a node or (`host`) from the machine itself; what it tells."""
    argv = (*TALK, "ask", proto, address, str(port))
    return (box.run(*argv) if node == "host" else inside(box, node, *argv)).stdout.strip()


def silent(box: Box, node: str, proto: str, address: str, port: int) -> bool:
    """Tell whether nobody answers within a moment."""
    argv = (*TALK, "ask", proto, address, str(port), "0.4")
    done = box.run(*argv, check=False) if node == "host" else inside(box, node, *argv, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 1


def pings(box: Box, node: str, *addresses: str, wait_s: float = 2) -> list[str]:
    """Ping each address once from a node, all at the same time; gives back those that did not answer."""
    script = 'for ip; do { ping -c1 -W"$0" "$ip" >/dev/null 2>&1 || echo "$ip"; } & done; wait'
    found = inside(box, node, "sh", "-c", script, f"{wait_s:g}", *addresses).stdout.split()
    return [address for address in addresses if address in found]


def addresses(text: str) -> dict[str, list[str]]:
    """Read `ip -j address`: each link with its IPv4 addresses."""
    return {
        link["ifname"]: [f"{i['local']}/{i['prefixlen']}" for i in link["addr_info"] if i["family"] == "inet"]
        for link in json.loads(text)
    }


def default_route(text: str) -> str:
    """Read `ip -j route`: where the default route leads."""
    return "".join(route["gateway"] for route in json.loads(text) if route["dst"] == "default")
