"""Cuts as data: exact tables for four guests, and what holds for any cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from cuts import NODES, cuts, groups_of, hears, joined, lab, symmetric, table, typed
from hypothesis import given, settings
from hypothesis import strategies as st

from vnet.cuts.cut import Cut, _made, adapt, blocked, classes, cut


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("disjoint a b -- c d", {"a": "c d", "b": "c d", "c": "a b", "d": "a b"}),
        ("disjoint d -- a -- b c", {"a": "b c d", "b": "a d", "c": "a d", "d": "a b c"}),
        ("disjoint a b c d", {}),
        ("split a b -- b c", {"a": "c d", "b": "d", "c": "a d", "d": "a b c"}),
        ("split a b c", {"a": "d", "b": "d", "c": "d", "d": "a b c"}),
        ("split b", {"a": "b c d", "b": "a c d", "c": "a b d", "d": "a b c"}),
        ("split a b -- b c -- c d -- d a", {"a": "c", "b": "d", "c": "a", "d": "b"}),
        ("isolate a", {"a": "b c d", "b": "a", "c": "a", "d": "a"}),
        ("isolate c a", {"a": "b c d", "b": "a c", "c": "a b d", "d": "a c"}),
        ("isolate a b c d", {"a": "b c d", "b": "a c d", "c": "a b d", "d": "a b c"}),
        ("oneway a -- b c", {"b": "a", "c": "a"}),
        ("oneway a b -- d", {"d": "a b"}),
        ("halves", {"a": "c d", "b": "c d", "c": "a b", "d": "a b"}),
        ("bridge", {"a": "d", "b": "d", "d": "a b"}),
        ("fullmesh", {}),
    ],
)
def test_table_of_four(line: str, expected: dict[str, str]) -> None:
    """Each kind that draws nothing, with who is not heard by whom."""
    it = typed(line)
    assert table(it) == expected
    assert it.seed is None


# Any cut


@given(cuts())
def test_a_cut_is_consistent(it: Cut) -> None:
    """Grudge and drops agree, in guest order, and all kinds but one-way ones cut both ways."""
    assert {(a, b) for b, sources in it.grudge.items() for a in sources} == set(it.drops())
    assert all(a != b and {a, b} <= {*it.nodes} for a, b in it.drops())
    assert all(it.grudge.values())
    order = [(it.nodes.index(a), it.nodes.index(b)) for a, b in it.drops()]
    assert order == sorted(order)
    assert hash(it) == hash(Cut.from_json(it.as_json()))
    one_way = it.kind == "oneway" or (it.kind == "majorities-ring" and len(it.nodes) == 3)
    assert one_way or symmetric(it)


@given(cuts())
def test_json_and_back(it: Cut) -> None:
    """What is written down is read back as the same value."""
    assert Cut.from_json(json.loads(json.dumps(it.as_json()))) == it


@given(NODES.flatmap(lambda nodes: st.tuples(st.just(nodes), groups_of(nodes))))
def test_split_lets_talk_who_shares_a_group(given_: tuple[list[str], list[list[str]]]) -> None:
    """Groups may overlap and leave guests out."""
    nodes, groups = given_
    it = cut("split", joined(groups), nodes)
    for a in nodes:
        for b in nodes:
            together = a == b or any(a in group and b in group for group in groups)
            assert together is (b in hears(it)[a])


def test_json_is_small_for_many_guests() -> None:
    """It grows with the guests and not with the pairs."""
    nodes = lab(250)
    for line in (["halves"], ["bridge"], ["isolate", *nodes[:125]]):
        it = cut(line[0], line[1:], nodes)
        assert len(json.dumps(it.as_json())) < 12_000
        assert Cut.from_json(it.as_json()) == it


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "isolat"},
        {"kind": 5},
        {"nodes": ["a"]},
        {"classes": [{"guests": ["a", "b"], "deaf_to": [1]}]},
        {"classes": [{"guests": ["a", "b"], "deaf_to": [-1]}]},
        {"classes": [{"guests": ["a", "a"], "deaf_to": []}]},
        {"seed": "x"},
        {"more": 1},
    ],
)
def test_json_that_is_no_cut_is_refused(change: dict[str, Any]) -> None:
    """A damaged record is a ValueError, never another cut."""
    with pytest.raises(ValueError, match="is not"):
        Cut.from_json({**typed("isolate a", "a b").as_json(), **change})


# Classes


def any_cut(nodes: Sequence[str], pairs: set[tuple[str, str]]) -> Cut:
    """Make a cut that no kind gives: any pairs (from, to)."""
    return _made("split", (), nodes, {b: {a for a, to in pairs if to == b} - {b} for b in nodes})


def same_role(it: Cut, a: str, b: str) -> bool:
    """Say by the definition whether swapping two guests leaves all the drops as they are."""
    swap = {a: b, b: a}
    return {(swap.get(x, x), swap.get(y, y)) for x, y in it.drops()} == set(it.drops())


RANDOM_CUTS = st.sets(st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"))).map(lambda p: any_cut("abcde", p))


@given(cuts() | RANDOM_CUTS)
def test_classes_are_the_guests_that_can_be_swapped(it: Cut) -> None:
    """Classes are as few as can be, and their pairs give back all the drops."""
    found = classes(it)
    where = {node: at for at, one in enumerate(found) for node in one.guests}
    assert sorted(where) == sorted(it.nodes)
    for a in it.nodes:
        for b in it.nodes:
            assert (where[a] == where[b]) is same_role(it, a, b)
    pairs = blocked(found)
    assert set(it.drops()) == {(a, b) for x, y in pairs for a in found[x].guests for b in found[y].guests if a != b}


@pytest.mark.parametrize(
    ("line", "members", "pairs"),
    [
        ("fullmesh", ["abcd"], []),
        ("halves", ["ab", "cd"], [(1, 0), (0, 1)]),
        ("isolate b d", ["ac", "bd"], [(1, 0), (0, 1), (1, 1)]),
        ("isolate a b c d", ["abcd"], [(0, 0)]),
        ("oneway a -- c d", ["a", "b", "cd"], [(0, 2)]),
        ("bridge", ["ab", "c", "d"], [(2, 0), (0, 2)]),
    ],
)
def test_classes_of_four(line: str, members: list[str], pairs: list[tuple[int, int]]) -> None:
    """Guests of each class, and the pairs (from, to) of classes that are cut."""
    found = classes(typed(line))
    assert ["".join(one.guests) for one in found] == members
    assert sorted(blocked(found)) == sorted(pairs)


# Guests that come and go


@pytest.mark.parametrize(
    ("line", "now", "expected"),
    [
        ("isolate a", "a b c d e", {"a": "b c d e", "b": "a", "c": "a", "d": "a", "e": "a"}),
        ("isolate a", "b c d e", {}),
        ("oneway a -- b", "a b e", {"b": "a"}),
        ("oneway a -- b", "b c d e", {}),
        ("fullmesh", "a e", {}),
        ("disjoint a b -- c d", "a c d e", {"a": "c d e", "c": "a e", "d": "a e", "e": "a c d"}),
        ("split a b -- b c", "a b e f", {"a": "e f", "b": "e f", "e": "a b f", "f": "a b e"}),
        ("halves", "a b c e", {"a": "c e", "b": "c e", "c": "a b e", "e": "a b c"}),
        ("bridge", "a c d e", {"a": "d e", "c": "e", "d": "a e", "e": "a c d"}),
    ],
)
def test_adapt(line: str, now: str, expected: dict[str, str]) -> None:
    """Who leaves vanishes, who comes gets the place that the kind gives."""
    it = adapt(typed(line), now.split())
    assert table(it) == expected
    assert it.nodes == tuple(now.split())


def test_adapt_takes_those_who_left_out_of_the_groups() -> None:
    """A group that is empty keeps its place."""
    assert adapt(typed("disjoint a b -- c d"), ["b", "e"]).groups == (("b",), ())
    assert adapt(typed("isolate a"), ["b"]).groups == ((),)


@given(cuts(), st.lists(st.sampled_from("abcdefghij"), unique=True))
def test_adapt_keeps_the_cut_among_those_who_stay(it: Cut, now: list[str]) -> None:
    """Nothing changes for them, and newcomers are all alike."""
    after, stay = adapt(it, now), {*it.nodes} & {*now}
    assert {d for d in it.drops() if {*d} <= stay} == {d for d in after.drops() if {*d} <= stay}
    for new in {*now} - stay:
        missed = {*now} & {*sum(it.groups, ())} if it.kind == "isolate" else {*now} - {new}
        if it.kind in ("oneway", "fullmesh"):
            missed = set()
        assert {a for a, b in after.drops() if b == new} == {b for a, b in after.drops() if a == new} == missed
    assert (after.kind, after.seed, after.nodes) == (it.kind, it.seed, tuple(now))
    assert Cut.from_json(after.as_json()) == after
    assert adapt(after, now) == after
    assert adapt(it, it.nodes) == it


# For people


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("fullmesh", ["fullmesh", "everyone hears everyone"]),
        ("halves", ["halves: a b -- c d", "a, b: hear nothing from c, d", "c, d: hear nothing from a, b"]),
        ("isolate b", ["isolate: b", "a, c, d: hear nothing from b", "b: hears nobody"]),
        ("isolate a b", ["isolate: a b", "a, b: hear nobody", "c, d: hear nothing from a, b"]),
        ("oneway a -- b c", ["oneway: a -- b c", "b, c: hear nothing from a"]),
        (
            "split a b -- b c -- c d -- d a",
            [
                "split: a b -- b c -- c d -- d a",
                "a, c: hear nothing from each other",
                "b, d: hear nothing from each other",
            ],
        ),
    ],
)
def test_describe(line: str, expected: list[str]) -> None:
    """The heading, then a line for each class that misses some."""
    assert typed(line).describe() == expected


def test_describe_tells_the_seed_and_who_is_gone() -> None:
    """The heading can be typed again."""
    assert typed("one", "a b c d e", seed=7).describe()[0] == "one --seed 7: d -- a b c e"
    assert typed("majorities-ring", seed=7).describe()[0] == "majorities-ring --seed 7"
    assert adapt(typed("oneway a -- b"), ["b"]).describe() == ["oneway: (nobody) -- b", "everyone hears everyone"]


def test_describe_stays_short() -> None:
    """Never a name for each pair."""
    halves = cut("halves", [], lab(250)).describe()
    assert halves[0] == f"halves: {' '.join(lab(125))} -- {' '.join(lab(250)[125:])}"
    assert all(len(line) < 200 for line in halves[1:])
    assert halves[1].startswith("n1, n2, n3, ")
    assert halves[1].endswith(", n137 and 113 more")
    assert len(cut("isolate", lab(125), lab(250)).describe()) == 3
    assert sum(map(len, cut("majorities-ring", [], lab(250), seed=1).describe())) < 250 * 120


@settings(max_examples=50)
@given(cuts())
def test_describe_has_a_line_at_most_for_each_guest(it: Cut) -> None:
    """And each is one line."""
    lines = it.describe()
    assert 2 <= len(lines) <= len(it.nodes) + 1
    assert not any("\n" in line for line in lines)
