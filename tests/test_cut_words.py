"""Every mistake in the words of a cut has its own line."""

from __future__ import annotations

import pytest
from cuts import joined, lab, typed
from hypothesis import given
from hypothesis import strategies as st

from vnet.cuts.cut import KINDS, cut
from vnet.cuts.shapes import SHAPES
from vnet.errors import UsageError

GUESTS = "guests: flask, nginx, redis"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "isolat flask",
            "unknown kind 'isolat' (did you mean isolate?); kinds: " + ", ".join(KINDS) + "; or show, run",
        ),
        ("shwo", "unknown kind 'shwo' (did you mean show?); kinds: " + ", ".join(KINDS) + "; or show, run"),
        ("-- flask", "unknown kind '--'; kinds: " + ", ".join(KINDS) + "; or show, run"),
        ("isolate flsk", f"isolate: no guest 'flsk' (did you mean flask?); {GUESTS}"),
        ("isolate zzz flsk", f"isolate: no guest 'zzz'; no guest 'flsk' (did you mean flask?); {GUESTS}"),
        ("isolate zzz zzz", f"isolate: no guest 'zzz'; {GUESTS}"),
        (
            "isolate gateway",
            "isolate: 'gateway' is not a guest, and a cut concerns guests only: flask, nginx, redis",
        ),
        ("isolate", "isolate: names no guest; write it as `isolate A B`"),
        ("isolate flask -- nginx", "isolate: takes one list of guests, without --; write it as `isolate A B`"),
        ("isolate flask flask", "isolate: flask is named twice"),
        ("disjoint", "disjoint: names no guest; write it as `disjoint A B -- C D`"),
        (
            "disjoint flask",
            "disjoint: leaves out nginx, redis; put each guest into one group, or use split",
        ),
        (
            "disjoint flask nginx -- nginx redis",
            "disjoint: nginx is named twice; a guest in several groups takes split",
        ),
        (
            "disjoint flask nginx -- nginx flask",
            "disjoint: flask, nginx are named twice; a guest in several groups takes split",
        ),
        ("disjoint flask -- -- nginx redis", "disjoint: group 2 is empty; write it as `disjoint A B -- C D`"),
        ("disjoint flask nginx redis --", "disjoint: group 2 is empty; write it as `disjoint A B -- C D`"),
        ("split", "split: names no guest; write it as `split A B -- B C`"),
        ("split -- flask", "split: group 1 is empty; write it as `split A B -- B C`"),
        ("split --", "split: group 1 is empty; write it as `split A B -- B C`"),
        ("split flask flask -- nginx", "split: flask is named twice in one group"),
        ("oneway", "oneway: names no guest; write it as `oneway A -- B C`"),
        (
            "oneway flask nginx",
            "oneway: takes two groups with one -- between them, got 1; write it as `oneway A -- B C`",
        ),
        (
            "oneway flask -- nginx -- redis",
            "oneway: takes two groups with one -- between them, got 3; write it as `oneway A -- B C`",
        ),
        ("oneway flask --", "oneway: group 2 is empty; write it as `oneway A -- B C`"),
        ("oneway flask -- flask nginx", "oneway: flask is named twice; no guest can be on both sides"),
        ("halves flask", "halves: takes no guests, got 'flask'; to name the sides, use disjoint or split"),
        ("one --", "one: takes no guests, got '--'; to name the sides, use disjoint or split"),
        ("fullmesh flask", "fullmesh: takes no guests, got 'flask'; it heals the whole lab"),
    ],
)
def test_mistake(line: str, message: str) -> None:
    """What is wrong, and what to write instead."""
    with pytest.raises(UsageError) as caught:
        typed(line, "flask nginx redis")
    assert str(caught.value) == message


def test_mistake_stays_one_line_whatever_is_typed() -> None:
    """Words are quoted; the lab's guests are cut short."""
    with pytest.raises(UsageError) as caught:
        cut("isolate", ["a\nb\x1b[1m"], lab(253))
    assert str(caught.value) == (
        r"isolate: no guest 'a\nb\x1b[1m'; guests: n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12 and 241 more"
    )


@given(st.sampled_from(KINDS), st.lists(st.sampled_from(["a", "b", "c", "--", "x", "", "-h"]), max_size=6))
def test_words_make_a_cut_or_a_mistake_in_one_line(kind: str, words: list[str]) -> None:
    """Nothing else ever comes out of words."""
    try:
        it = cut(kind, words, ["a", "b", "c"], seed=1)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert joined(it.groups) == words or kind in (*SHAPES, "fullmesh")
