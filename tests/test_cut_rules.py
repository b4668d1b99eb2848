"""The rules of a cut, read as a kernel would: they drop what the cut says, and load beside what is in force."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

import pytest
from cuts import cuts, joined, lab
from hypothesis import given, settings
from hypothesis import strategies as st

from vnet.cuts.cut import Cut, cut
from vnet.cuts.partition import blocks
from vnet.cuts.step import FAMILIES, GROUPS, PIECE, CutStep
from vnet.model import Gateway, Guest, Lab

NETWORK = IPv4Network("172.18.0.0/24")
GATEWAY = Gateway(1000, 1000, "userns", "vnet", IPv4Address("172.18.255.1"), IPv4Network("172.18.192.0/19"), 1500, True)


def step_of(it: Cut, live: int = 0) -> CutStep:
    """Plan a cut in a lab of its guests."""
    guests = tuple(Guest(name, NETWORK[at + 1]) for at, name in enumerate(it.nodes))
    return CutStep(Lab("shop", 7, None, GATEWAY, NETWORK, 1500, guests), blocks(it), live=live)


class Kernel:
    """What a loaded table does with a bridged packet."""

    def __init__(self, step: CutStep, tool: str) -> None:
        self.first: dict[str, list[list[str]]] = {}
        for line in step.text(tool).splitlines():
            if line.startswith("-A "):
                self.first.setdefault(line.split()[1], []).append(line.split()[2:])
        self.group = GROUPS[step.generation]

    def drops(self, into: str, out: str) -> bool:
        """Tell whether a packet from port to port is dropped."""
        self.packet, self.mark = {"--physdev-in": into, "--physdev-out": out, "-i": "bridge", "-o": "bridge"}, 0
        return self._walk("FORWARD")

    def _walk(self, chain: str) -> bool:
        for rule in self.first.get(chain, []):
            if not self._matches(rule):
                continue
            if rule[-2:] == ["-j", "DROP"]:
                return True
            if rule[-2] == "-g":
                return self._walk(rule[-1])
            assert rule[-4:-1] == ["-j", "MARK", "--set-xmark"]
            self.mark = int(rule[-1].partition("/")[0], 16)
        return False

    def _matches(self, rule: list[str]) -> bool:
        for at, word in enumerate(rule):
            value = rule[at + 1] if at + 1 < len(rule) else ""
            if word in self.packet and self.packet[word] != value:
                return False
            if word == "--src-group" and int(value, 16) != self.group:
                return False
            if word == "--mark" and not self.mark & int(value.partition("/")[2], 16):
                return False
            if word == "-p" or (word == "!" and value == "--physdev-is-bridged"):
                return False
        return True


def dropped(step: CutStep, tool: str) -> Iterator[tuple[str, str]]:
    """List the pairs of guests between which the rules drop."""
    kernel, port = Kernel(step, tool), {guest.name: step.lab.port(guest) for guest in step.lab.guests}
    return ((a, b) for a in port for b in port if a != b and kernel.drops(port[a], port[b]))


@settings(deadline=None)
@given(cuts(), st.integers(0, 2))
def test_rules_drop_what_the_cut_says(it: Cut, live: int) -> None:
    """For any cut of a few guests, a rule for each pair."""
    step = step_of(it, live)
    assert step.by_pairs()
    for tool in FAMILIES:
        assert list(dropped(step, tool)) == list(it.drops())


@pytest.mark.parametrize("kind", ["halves", "majorities-ring", "split"])
def test_rules_of_many_guests_drop_what_the_cut_says(kind: str) -> None:
    """By classes of guests, and marks: also where no two guests are alike, and one word of marks is not enough."""
    nodes = lab(70)
    groups = [nodes[at::7] + nodes[at : at + 20] for at in range(0, 60, 9)] if kind == "split" else []
    it = cut(kind, joined([list(dict.fromkeys(group)) for group in groups]), nodes, seed=3)
    step = step_of(it)
    assert not step.by_pairs()
    assert list(dropped(step, "ip6tables")) == list(it.drops())


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["halves", "majorities-ring", "isolate"]), st.integers(2, 253), st.integers(0, 2))
def test_rules_load_beside_what_is_in_force(kind: str, count: int, live: int) -> None:
    """In pieces that an unprivileged socket takes, none of which names a chain in force."""
    nodes = lab(count)
    step = step_of(cut(kind, nodes[:1] if kind == "isolate" else [], nodes, seed=1), live)._replace(
        left=("cut-1", "cut-2", "cut-1-to-x7x250", "cut-2-to-x7x250", "cut-1-word-0", "cut-2-word-0")
    )
    tool = "ip6tables"
    pieces = step.text(tool).split("COMMIT\n")
    assert pieces.pop() == ""
    assert all(piece.startswith("*mangle\n") and piece.count("\n") <= PIECE + 1 for piece in pieces)
    assert pieces[-1].split("\n")[1] == "-F FORWARD"
    assert not any("FORWARD" in piece for piece in pieces[:-1])
    assert len(step.text(tool).splitlines()) < 4500
    if live:
        assert f"cut-{live}" not in "".join(pieces[:-1])
