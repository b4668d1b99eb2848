"""Cuts in a real lab: after each one, who reaches whom by real packets of every sort is what the model says."""

from __future__ import annotations

import random

import pytest
from conftest import need_root
from machine import Machine
from partition_world import FIVE, lab_of

from vnet.cuts.cut import KINDS, Cut, cut


def drawn(chance: random.Random) -> tuple[list[str], Cut]:
    """Draw the words of a cut, and what they mean."""
    kind, seed = chance.choice(KINDS), chance.randrange(1000)
    order = chance.sample(FIVE, len(FIVE))
    at = chance.randrange(1, 5)
    words: list[str] = []
    if kind == "isolate":
        words = order[:at]
    elif kind == "disjoint":
        words = [*order[:at], "--", *order[at:]]
    elif kind == "oneway":
        words = [*order[:at], "--", *order[at : chance.randrange(at + 1, 6)]]
    elif kind == "split":
        words = [*order[:at], "--", *chance.sample(FIVE, chance.randrange(1, 4))]
    return ["--seed", str(seed), kind, *words], cut(kind, words, FIVE, seed=seed)


def follow(seed: int, count: int) -> None:
    """Follow a random walk from cut to cut, connections kept open where the next round can tell."""
    need_root()
    chance = random.Random(seed)
    with Machine(sudo=False) as machine, lab_of(machine) as lab:
        assert lab.wrong(cut("fullmesh", [], FIVE)) == {}
        for number in range(count):
            lab.open()
            words, it = drawn(chance)
            lab.cut(*words)
            assert lab.wrong(it) == {}, f"cut {number} of the walk {seed}: {' '.join(words)}"


def test_packets_meet_the_model() -> None:
    """A short walk; each sort of packet, new and open connections."""
    follow(1, 25)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_packets_meet_the_model_in_the_long_run(seed: int) -> None:
    """500 cuts."""
    follow(seed, 50)
