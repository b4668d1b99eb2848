"""Jepsen's shapes: exact for few guests, by their definitions for every number, repeatable by seed."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cuts import both_ways, hears, lab, symmetric, table, typed

from vnet.cuts.cut import KINDS, cut, is_random
from vnet.cuts.shapes import SHAPES, _stochastic_ring

ROOT = Path(__file__).parent.parent
MOST = 253
DRAWN = ["one", "majority", "minority-third", "majorities-ring"]


@pytest.mark.parametrize("kind", SHAPES)
def test_one_guest_or_none_is_never_cut(kind: str) -> None:
    """There is nobody to cut it from."""
    assert typed(kind, "", seed=1).drops() == typed(kind, "a", seed=1).drops() == ()


@pytest.mark.parametrize(
    ("kind", "of_two", "of_three"),
    [
        ("halves", {"a": "b", "b": "a"}, {"a": "b c", "b": "a", "c": "a"}),
        ("bridge", {}, {"a": "c", "c": "a"}),
        ("minority-third", {}, {}),
    ],
)
def test_shapes_of_two_and_three(kind: str, of_two: dict[str, str], of_three: dict[str, str]) -> None:
    """Few guests: what Jepsen's functions give there."""
    assert table(typed(kind, "a b", seed=0)) == of_two
    assert table(typed(kind, "a b c", seed=0)) == of_three


def test_drawn_shapes_of_two_and_three() -> None:
    """`one` and `majority` are the same then; a majority of two is both."""
    for seed in range(20):
        for kind in ("one", "majority"):
            assert table(typed(kind, "a b", seed=seed)) == {"a": "b", "b": "a"}
            it = typed(kind, "a b c", seed=seed)
            ((loner,), rest) = it.groups
            assert table(it) == {loner: " ".join(rest), **dict.fromkeys(rest, loner)}
        assert table(typed("majorities-ring", "a b", seed=seed)) == {}


def test_majorities_ring_of_three_goes_one_way_round() -> None:
    """Both directions are drawn, and nothing else."""
    seen = {tuple(sorted(table(typed("majorities-ring", "a b c", seed=seed)).items())) for seed in range(20)}
    assert seen == {(("a", "b"), ("b", "c"), ("c", "a")), (("a", "c"), ("b", "a"), ("c", "b"))}


@pytest.mark.parametrize("count", [4, 5])
def test_majorities_ring_of_four_and_five_is_a_ring(count: int) -> None:
    """Each hears itself and two neighbours, and following them leads round once."""
    for seed in range(20):
        it = cut("majorities-ring", [], lab(count), seed=seed)
        assert symmetric(it)
        heard, path = hears(it), ["n1"]
        while len(path) < count:
            path.append(next(node for node in sorted(heard[path[-1]]) if node not in path))
        assert all(b in heard[a] for a, b in pairwise([*path, "n1"]))
        assert {len(each) for each in heard.values()} == {3}


def test_jepsens_own_examples() -> None:
    """The tables of Jepsen's `nemesis_test.clj`."""
    five = "1 2 3 4 5"
    assert table(typed("halves", five)) == {"1": "3 4 5", "2": "3 4 5", "3": "1 2", "4": "1 2", "5": "1 2"}
    assert table(typed("bridge", five)) == {"1": "4 5", "2": "4 5", "4": "1 2", "5": "1 2"}


# All numbers of guests


@pytest.mark.parametrize(
    ("kind", "cut_off"),
    [
        ("halves", lambda n: n // 2),
        ("one", lambda n: 1),
        ("majority", lambda n: n // 2),
        ("minority-third", lambda n: (n - 1) // 3),
    ],
)
def test_two_sides_of_every_number(kind: str, cut_off: Any) -> None:
    """The sides have the sizes of the definition, and all links between them are cut."""
    for count in range(1, MOST + 1):
        nodes = lab(count)
        it = cut(kind, [], nodes, seed=count)
        small, large = it.groups
        assert (len(small), len(large)) == (cut_off(count), count - cut_off(count))
        assert sorted(small + large) == sorted(nodes)
        assert it.grudge == both_ways(small, large)
        assert kind != "minority-third" or 3 * len(small) < count <= 3 * (len(small) + 1)
        assert kind != "halves" or small + large == tuple(nodes)


def test_bridge_of_every_number() -> None:
    """The first guest of the second half hears and is heard by everyone."""
    for count in range(1, MOST + 1):
        nodes = lab(count)
        left, middle, right = nodes[: count // 2], nodes[count // 2], nodes[count // 2 + 1 :]
        it = cut("bridge", [], nodes)
        assert middle not in it.grudge
        assert it.groups == ((*left, middle), (middle, *right))
        assert it.grudge == both_ways(left, right)


@pytest.mark.long
def test_majorities_ring_of_every_number() -> None:
    """Each hears a majority, no two the same one, and links go both ways."""
    for count in range(1, MOST + 1):
        it = cut("majorities-ring", [], lab(count), seed=count)
        heard, majority = hears(it), count // 2 + 1
        assert all(node in each and len(each) in (majority, majority + 1) for node, each in heard.items())
        assert count == 2 or len(set(heard.values())) == count
        assert count == 3 or all(node in heard[other] for node, each in heard.items() for other in each)


def test_majorities_ring_draws_again_what_jepsen_only_claims() -> None:
    """A draw for 8 guests often lets two see the same majority; none is given out."""
    draw = Random(1).random  # noqa: S311
    alike = sum(len({frozenset(each) for each in _stochastic_ring(8, draw)}) < 8 for _ in range(200))
    assert 5 < alike < 60
    assert all(len(set(hears(cut("majorities-ring", [], lab(8), seed=s)).values())) == 8 for s in range(200))


def test_every_guest_can_be_drawn() -> None:
    """No guest and no pair is spared."""
    nodes = lab(7)
    for kind in ("one", "majority", "minority-third"):
        assert {node for seed in range(200) for node in cut(kind, [], nodes, seed=seed).groups[0]} == set(nodes)
    pairs = {pair for seed in range(200) for pair in cut("majorities-ring", [], nodes, seed=seed).drops()}
    assert len(pairs) == 7 * 6


# Seeds


@pytest.mark.parametrize("kind", DRAWN)
def test_seed_repeats_in_any_order_of_the_guests(kind: str) -> None:
    """One seed, one cut; other seeds, other cuts."""
    nodes = lab(12)
    first = cut(kind, [], nodes, seed=7)
    assert first == cut(kind, [], nodes, seed=7)
    assert set(first.drops()) == set(cut(kind, [], nodes[::-1], seed=7).drops())
    assert len({cut(kind, [], nodes, seed=seed).deaf for seed in range(30)}) > 5
    assert (is_random(kind), first.seed) == (True, 7)


def test_seed_means_the_same_in_every_release_and_process() -> None:
    """Golden: a seed in somebody's notes must not change its meaning, whatever PYTHONHASHSEED is."""
    assert typed("one", "a b c d e", seed=7).groups == (("d",), ("a", "b", "c", "e"))
    assert typed("majority", "a b c d e", seed=7).groups == (("b", "d"), ("a", "c", "e"))
    ring = {"a": "e f", "b": "d e", "c": "d f", "d": "b c", "e": "a b", "f": "a c"}
    assert table(typed("majorities-ring", "a b c d e f", seed=7)) == ring
    program = "import vnet.cuts.cut as c; print(c.cut('majorities-ring', [], list('hgfedcba'), seed=7).drops())"
    assert len({_python(program, hash_seed) for hash_seed in ("1", "2", "3")}) == 1


@pytest.mark.parametrize("kind", sorted({*KINDS} - {*DRAWN}))
def test_other_kinds_need_no_seed(kind: str) -> None:
    """What draws nothing says so."""
    assert not is_random(kind)


def test_random_kind_without_a_seed_is_the_callers_mistake() -> None:
    """It is no UsageError: no user can leave the seed out."""
    with pytest.raises(ValueError, match="one is drawn at random: pass a seed"):
        cut("one", [], ["a", "b"])


def test_a_seed_where_nothing_is_drawn_changes_nothing() -> None:
    """A script may pass --seed with every kind."""
    assert typed("halves", seed=7) == typed("halves")
    assert typed("isolate a", seed=7) == typed("isolate a")


def test_importing_and_cutting_brings_in_nothing_heavy() -> None:
    """A cut that draws nothing loads neither random nor difflib."""
    program = (
        "import sys; import vnet.cuts.cut as c; c.cut('isolate', ['a'], ['a', 'b']).describe();"
        "print(sorted({'random', 'argparse', 'difflib', 'json', 'sh', 'subprocess', 'pluggy'} & {*sys.modules}))"
    )
    assert _python(program, "0") == "[]\n"


def _python(program: str, hash_seed: str) -> str:
    """Run a program in an interpreter of its own, without the site's start-up imports."""
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"
    command = [sys.executable, "-S", "-c", start]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": hash_seed}).stdout
