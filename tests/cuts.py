"""What the tests of cuts share: short ways to make one and to read it."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from vnet.cuts.cut import KINDS, Cut, cut

NODES = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)


def lab(count: int) -> list[str]:
    """Name that many guests; their order is not that of their names."""
    return [f"n{i}" for i in range(1, count + 1)]


def typed(line: str, nodes: str = "a b c d", seed: int | None = None) -> Cut:
    """Make a cut from one line, as in a shell."""
    kind, *words = line.split()
    return cut(kind, words, nodes.split(), seed=seed)


def table(it: Cut) -> dict[str, str]:
    """Map each guest to those that it does not hear, as short text."""
    return {node: " ".join(sorted(sources)) for node, sources in it.grudge.items()}


def hears(it: Cut) -> dict[str, frozenset[str]]:
    """Map each guest to those that it hears, itself among them."""
    grudge = it.grudge
    return {node: frozenset(it.nodes) - grudge.get(node, frozenset()) for node in it.nodes}


def symmetric(it: Cut) -> bool:
    """Tell whether nobody hears one that does not hear him."""
    return {(b, a) for a, b in it.drops()} == set(it.drops())


def joined(groups: Sequence[Sequence[str]]) -> list[str]:
    """Put `--` between groups."""
    return [word for at, group in enumerate(groups) for word in (["--"] * (at > 0) + [*group])]


def both_ways(one: Sequence[str], other: Sequence[str]) -> dict[str, set[str]]:
    """Give the grudge that cuts all links between two sides."""
    return {node: {*far} for near, far in ((one, other), (other, one)) for node in near if far}


@st.composite
def groups_of(draw: st.DrawFn, nodes: Sequence[str]) -> list[list[str]]:
    """Choose some groups, which may overlap and leave guests out."""
    group = st.lists(st.sampled_from(nodes), min_size=1, unique=True)
    return draw(st.lists(group, min_size=1, max_size=4))


@st.composite
def calls(draw: st.DrawFn, nodes: Sequence[str]) -> list[str]:
    """Write the words of a cut of any kind, the kind first."""
    kind = draw(st.sampled_from(KINDS))
    if kind == "split":
        return [kind, *joined(draw(groups_of(nodes)))]
    if kind == "isolate":
        return [kind, *draw(st.lists(st.sampled_from(nodes), min_size=1, unique=True))]
    if kind not in ("disjoint", "oneway"):
        return [kind]
    order = draw(st.permutations(nodes))
    at = draw(st.integers(1, max(1, len(order) - 1)))
    if len(order) == 1 and kind == "oneway":
        return ["halves"]
    end = len(order) if kind == "disjoint" else draw(st.integers(at + 1, len(order)))
    return [kind, *joined([part for part in (order[:at], order[at:end]) if part])]


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """Make a cut of any kind, by words."""
    nodes = draw(NODES)
    kind, *words = draw(calls(nodes))
    return cut(kind, words, nodes, seed=draw(st.integers(0, 99)))
