"""What the tests of cuts in real labs share: a lab, its prober, and what the model expects of a cut."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from conftest import Box
from machine import Machine
from prober import ALWAYS, BOTH_WAYS, DIRECTED

from vnet.cuts.cut import Cut

PARTITION = "/opt/vnet/bin/vnet-partition"
PROBER = "/opt/vnet/tests/prober.py"
TALK = ("python3", "-I", "-S", "/opt/vnet/tests/talk.py")
FIVE = ("a", "b", "c", "d", "e")
Matrix = dict[str, set[tuple[str, str]]]


def toml(names: Sequence[str]) -> str:
    """Write settings; guest number I has a forwarded port 7000 + I."""
    return "".join(f'[guests.{name}]\nports = {{ "{7000 + at}/udp" = 9000 }}\n' for at, name in enumerate(names))


def only_pairs(nodes: Sequence[str], drops: set[tuple[str, str]], opened: set[tuple[str, str]]) -> Matrix:
    """Say what arrives, by sort, where those pairs (from, to) are cut; `opened`: TCP connections, in either order."""
    pairs = {(a, b) for a in nodes for b in nodes if a != b}
    one_way = pairs - drops
    both = {(a, b) for a, b in one_way if (b, a) in one_way}
    matrix = dict.fromkeys(DIRECTED, one_way) | dict.fromkeys(BOTH_WAYS, both)
    matrix["tcp-open"] = {(a, b) for a, b in one_way if (a, b) in opened or (b, a) in opened}
    matrix |= {sort: {(name, sort) for name in nodes} for sort in ("bridge", "gateway", "site")}
    matrix |= {sort: {(name, "self") for name in nodes} for sort in ("loopback", "loopback6")}
    matrix["forward"] = {pair for name in nodes for pair in (("host", name), (name, "host"))}
    assert {*matrix} == {*DIRECTED, *BOTH_WAYS, *ALWAYS}
    return matrix


class Lab:
    """A lab of root's on a machine, and a prober in it that answers round after round."""

    def __init__(self, machine: Machine, name: str, nodes: Sequence[str], *, probed: bool) -> None:
        self.machine, self.name, self.nodes = machine, name, tuple(nodes)
        if not probed:
            return
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.prober = machine.popen("python3", "-I", "-S", PROBER, name, **pipes)
        assert self.prober.stdout
        assert set(json.loads(self.prober.stdout.readline())) == set(nodes)
        self.mutual = {(a, b) for a in nodes for b in nodes if a < b}

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self.prober.stdin
        assert self.prober.stdout
        self.prober.stdin.write(json.dumps(request) + "\n")
        self.prober.stdin.flush()
        return json.loads(self.prober.stdout.readline() or "null")

    def cut(self, *words: str) -> None:
        """Call vnet-partition."""
        self.machine.run(PARTITION, "-q", "-n", self.name, *words, cwd="/root/project")

    def heal(self) -> None:
        """Let everyone hear everyone, and open all connections."""
        self.cut("fullmesh")
        self.mutual = {(a, b) for a in self.nodes for b in self.nodes if a < b}
        self.open()

    def open(self) -> None:
        """Open connections between all that hear each other now, where there is none."""
        self._ask({"open": sorted(self.mutual)})

    def wrong(self, cut: Cut, limit_s: float = 2) -> dict[str, Any]:
        """Measure, and tell by sort what arrived and should not have, and what did not and should have."""
        return self.wrong_pairs(set(cut.drops()), limit_s)

    def wrong_pairs(self, drops: set[tuple[str, str]], limit_s: float = 2) -> dict[str, Any]:
        """As wrong(), for pairs (from, to)."""
        wanted = only_pairs(self.nodes, drops, self.mutual)
        expect = {sort: sorted(pairs) for sort, pairs in wanted.items()}
        found = {sort: {(a, b) for a, b in pairs} for sort, pairs in
                 self._ask({"expect": expect, "limit_s": limit_s}).items()}  # fmt: skip
        self.mutual = {(a, b) for a, b in wanted["tcp"] if a < b}
        return {sort: {"too much": sorted(found.get(sort, set()) - pairs), "missing": sorted(pairs - found.get(sort, set()))}
                for sort, pairs in wanted.items() if found.get(sort, set()) != pairs}  # fmt: skip


@contextmanager
def lab_of(machine: Machine, nodes: Sequence[str] = FIVE, *, probed: bool = True) -> Iterator[Lab]:
    """Bring a lab of root's up; with a prober, a site on the internet and connections that are open, if it is `probed`."""
    machine.run("mkdir", "-p", "project")
    machine.write("/root/project/vnet.toml", toml(nodes))
    machine.vnet("up", cwd="/root/project")
    if not probed:
        yield Lab(machine, "project", nodes, probed=False)
        return
    site = machine.internet_popen(*TALK, "serve", "udp", "7777", "site", stdout=subprocess.PIPE)
    assert site.stdout
    assert site.stdout.readline() == "ready\n"
    lab = Lab(machine, "project", nodes, probed=True)
    lab.open()
    yield lab
    lab.prober.kill()


def saved(box: Box, tool: str = "iptables", *options: str) -> str:
    """Read the bridge's mangle table."""
    return box.vnet("exec", "--root", "bridge", "--", f"{tool}-save", "-t", "mangle", *options).stdout
