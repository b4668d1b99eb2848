"""A cut as plain data: which guest does not hear which.

Words of the command line become a `Cut`, a cut becomes lines for people, JSON, pairs or classes. No
process, no file, no clock; whoever asks for a random shape brings the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vnet.codec import decode, encode
from vnet.cuts.shapes import RANDOM, RING, SHAPES, Groups, drawn_sides, ring, sides
from vnet.cuts.words import TYPED, listed, read
from vnet.errors import UsageError, hint

KINDS = (*TYPED, *SHAPES, "fullmesh")


class Cut(NamedTuple):
    """Who does not hear whom, and what was typed to get there."""

    kind: str
    groups: Groups  # as typed or drawn, to be read; in `adapt`ed cuts without those who left
    nodes: tuple[str, ...]  # all guests of the lab, in its order
    deaf: tuple[tuple[str, tuple[str, ...]], ...]  # each guest that misses some, and those, in that order
    seed: int | None = None

    @property
    def grudge(self) -> dict[str, frozenset[str]]:
        """Map each guest to those that it does not hear; who hears all is absent."""
        return {node: frozenset(sources) for node, sources in self.deaf}

    def drops(self) -> tuple[tuple[str, str], ...]:
        """List the pairs (from, to) between which nothing arrives, in guest order."""
        grudge = self.grudge
        return tuple((a, b) for a in self.nodes for b in self.nodes if a in grudge.get(b, ()))

    def describe(self, *, whole: bool = False) -> list[str]:
        """Tell people: the kind and its groups, then one line for each sort of guest that misses some.

        Groups are given in full; long lists of who is not heard are cut short, unless wanted `whole`.
        """
        named = " -- ".join(" ".join(group) or "(nobody)" for group in self.groups)
        seed = "" if self.seed is None else f" --seed {self.seed}"
        found = classes(self)
        misses = [_misses(found, at, whole=whole) for at, one in enumerate(found) if one.deaf_to]
        return [self.kind + seed + (named and f": {named}"), *(misses or ["everyone hears everyone"])]

    def as_json(self) -> dict[str, Any]:
        """Give plain data for JSON, by classes: a cut in halves of 250 guests has 31,250 pairs and 2 classes."""
        plain: dict[str, Any] = encode(_Plain(self.kind, self.groups, self.nodes, classes(self), self.seed))
        return plain

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cut:
        """Read what `as_json` gave; `ValueError` where it is anything else."""
        plain: _Plain = decode(_Plain, data)
        grudge = {
            node: {source for i in one.deaf_to for source in plain.classes[i].guests} - {node}
            for one in plain.classes
            for node in one.guests
        }
        return _made(plain.kind, plain.groups, plain.nodes, grudge, plain.seed)


class Class(NamedTuple):
    """Guests that behave alike in a cut, and the classes (by index) that none of them hears.

    Its own index among those means that they do not hear each other.
    """

    guests: tuple[str, ...]
    deaf_to: tuple[int, ...]


class _Plain(NamedTuple):
    """A cut as it is written down."""

    kind: str
    groups: Groups
    nodes: tuple[str, ...]
    classes: tuple[Class, ...]
    seed: int | None

    def check(self) -> None:
        """Refuse what no cut can be."""
        guests = [node for one in self.classes for node in one.guests]
        indexes = {i for one in self.classes for i in one.deaf_to}
        if self.kind not in KINDS or sorted(guests) != sorted(self.nodes) or indexes - set(range(len(self.classes))):
            raise ValueError(f"{self.kind!r:.80} is not a cut of {listed(self.nodes)}")


def is_random(kind: str) -> bool:
    """Tell whether a kind draws its sides, and so needs a seed."""
    return kind in RANDOM


def cut(kind: str, words: Sequence[str], nodes: Sequence[str], *, seed: int | None = None) -> Cut:
    """Make a cut from the words that follow its kind, for the guests of a lab in their order.

    `--` separates groups. A kind that draws nothing takes no notice of the seed. `UsageError`: the words
    are wrong; `ValueError`: a random kind without a seed, which is the caller's mistake and not the user's.
    """
    if kind in TYPED:
        groups = read(kind, words, nodes)
        return _made(kind, groups, nodes, _typed(kind, groups, nodes))
    if kind not in KINDS:
        raise UsageError(
            f"unknown kind {kind!r}{hint(kind, (*KINDS, 'show', 'run'))}; kinds: {', '.join(KINDS)}; or show, run"
        )
    if words:
        instead = "it heals the whole lab" if kind == "fullmesh" else "to name the sides, use disjoint or split"
        raise UsageError(f"{kind}: takes no guests, got {words[0]!r}; {instead}")
    return _shaped(kind, nodes, seed)


def adapt(cut: Cut, nodes_now: Sequence[str]) -> Cut:
    """Keep a cut true for the guests of now: those who left vanish, newcomers get their place.

    - `isolate`: a newcomer is one of the others: it hears all but the isolated, who do not hear it.
    - `oneway`, `fullmesh`: a newcomer is not concerned, and hears everyone.
    - `disjoint`, `split`: a newcomer is in no group, and reaches nobody, nor other newcomers: what
      `split` says of one that is not named.
    - the shapes: they were drawn over the guests of then. A newcomer is on no side, and would be a bridge
      between them if it heard both, so it reaches nobody until the next cut. Nothing is drawn anew: that
      would move guests that nobody asked to move. Where guests leave, a half stays the half of those of then.

    Keep the cut as it was first made and adapt that one each time: a guest that left and comes back then
    finds its old place. Adapted from an adapted cut, it is a newcomer.
    """
    here, before = set(nodes_now), set(cut.nodes)
    grudge = {node: set(sources) & here for node, sources in cut.deaf if node in here}
    shunned = {"isolate": {*sum(cut.groups, ())}, "oneway": set(), "fullmesh": set()}.get(cut.kind, here)
    for new in here - before:
        for other in (shunned & here) - {new}:
            grudge.setdefault(new, set()).add(other)
            grudge.setdefault(other, set()).add(new)
    groups = tuple(tuple(node for node in group if node in here) for group in cut.groups)
    return _made(cut.kind, groups, nodes_now, grudge, cut.seed)


def classes(cut: Cut) -> tuple[Class, ...]:
    """Sort the guests into the fewest classes that tell who hears whom, in guest order.

    Two guests are of one class where swapping them changes nothing. That is what rules scale by. Halves of 250
    guests are 31,250 pairs: at one rule a pair, 190 ms to load with iptables-legacy and 380 with nft, and a packet
    that passes is compared with all of them (with some 375 if a jump by `--physdev-out` leads to a chain for each
    receiver). By classes they are 500 rules and 7 ms: from each port (`--physdev-in`) a jump to the chain of the
    sender's class, and in there one drop for each receiver that is deaf to it.

    The price: a rule counts what it drops, so these count by class of sender, and only one rule a pair
    counts by pair. An isolated guest among 250 is 498 pairs, and halves of 50 are 1,250: cheap either way.
    """
    bit = {node: 1 << i for i, node in enumerate(cut.nodes)}
    rows, columns = dict.fromkeys(cut.nodes, 0), dict.fromkeys(cut.nodes, 0)
    for node, sources in cut.deaf:
        for source in sources:
            rows[node] |= bit[source]
            columns[source] |= bit[node]
    # Guests of a class are alike towards others, and towards each other: all hear, or none does. So compare
    # them as though each were deaf to itself, which finds the second sort, and then as they are.
    mute = {node: (rows[node] | bit[node], columns[node] | bit[node]) for node in cut.nodes}
    alike = Counter(mute.values())
    found: dict[tuple[int, int], list[str]] = {}
    for node in cut.nodes:
        key = mute[node] if alike[mute[node]] > 1 else (rows[node], columns[node])
        found.setdefault(key, []).append(node)
    members = list(found.values())
    return tuple(  # the first of a class and the last of one: not the same guest, save in a class of one
        Class(tuple(guests), tuple(i for i, other in enumerate(members) if rows[guests[0]] & bit[other[-1]]))
        for guests in members
    )


def blocked(found: Sequence[Class]) -> tuple[tuple[int, int], ...]:
    """List the pairs (from, to) of classes between which nothing arrives; i to i: within the class."""
    return tuple((source, at) for at, one in enumerate(found) for source in one.deaf_to)


def _misses(found: Sequence[Class], at: int, *, whole: bool) -> str:
    """Tell whom the guests of a class do not hear, in one line."""
    one, everyone = found[at], sum(len(each.guests) for each in found)
    missed = [name for i in one.deaf_to if i != at for name in found[i].guests]
    alone = len(one.guests) == 1
    who = f"{listed(one.guests, whole=whole)}: {'hears' if alone else 'hear'}"
    if (alone or at in one.deaf_to) and len(missed) + len(one.guests) == everyone:
        return f"{who} nobody"
    return f"{who} nothing from {listed([*(['each other'] if at in one.deaf_to else []), *missed], whole=whole)}"


def _made(
    kind: str, groups: Groups, nodes: Iterable[str], grudge: Mapping[str, Iterable[str]], seed: int | None = None
) -> Cut:
    """Freeze a cut, all in guest order, so that equal cuts are equal values."""
    nodes = tuple(nodes)
    sets = {node: frozenset(sources) for node, sources in grudge.items()}
    deaf = ((node, tuple(n for n in nodes if n in sets[node])) for node in nodes if sets.get(node))
    return Cut(kind, groups, nodes, tuple(deaf), seed)


def _shaped(kind: str, nodes: Sequence[str], seed: int | None) -> Cut:
    """Make a cut that takes no words."""
    if kind == "fullmesh":
        return _made(kind, (), nodes, {})
    if not is_random(kind):
        groups = sides(kind, nodes)
        return _made(kind, groups, nodes, _apart(groups, nodes))
    if seed is None:
        raise ValueError(f"{kind} is drawn at random: pass a seed")
    import random

    draw = random.Random(seed).random  # noqa: S311 -- meant to be repeated
    if kind == RING:
        return _made(kind, (), nodes, {n: set(nodes) - heard for n, heard in ring(nodes, draw).items()}, seed)
    groups = drawn_sides(kind, nodes, draw)
    return _made(kind, groups, nodes, _apart(groups, nodes), seed)


def _typed(kind: str, groups: Groups, nodes: Sequence[str]) -> dict[str, set[str]]:
    """Say who misses whom in groups that were typed."""
    if kind == "oneway":
        return {node: set(groups[0]) for node in groups[1]}
    if kind == "isolate":
        return _apart((tuple(n for n in nodes if n not in groups[0]),), nodes)
    return _apart(groups, nodes)


def _apart(groups: Groups, nodes: Sequence[str]) -> dict[str, set[str]]:
    """Cut each guest from all that share no group with it (Jepsen's `complete-grudge`, groups may overlap)."""
    grudge = {node: set(nodes) - {node} for node in nodes}
    for group in groups:
        for node in group:
            grudge[node].difference_update(group)
    return grudge
