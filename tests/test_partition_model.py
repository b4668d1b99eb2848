"""Cuts in a real lab: after each one, who reaches whom by real packets of every sort is what the model says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import need_root
from cuts import calls
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from machine import Machine
from partition_world import FIVE, Lab, lab_of

from vnet.cuts.cut import cut

WALK = st.lists(st.tuples(calls(FIVE), st.integers(0, 999)), min_size=5, max_size=5)
"""Five cuts, one after the other, with their seeds."""
REAL = settings(deadline=None, derandomize=True, phases=(Phase.generate,), database=None)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Give a lab of five, with a prober in it."""
    need_root()
    with Machine(sudo=False) as machine, lab_of(machine) as made:
        yield made


def follow(lab: Lab, walk: list[tuple[list[str], int]]) -> None:
    """Go from cut to cut; what was open stays open, and is opened again where the last cut had ended it."""
    lab.heal()
    assert lab.wrong(cut("fullmesh", [], FIVE)) == {}
    for words, seed in walk:
        lab.open()
        lab.cut("--seed", str(seed), *words)
        assert lab.wrong(cut(words[0], words[1:], FIVE, seed=seed)) == {}, words


@settings(REAL, max_examples=5)
@given(walk=WALK)
def test_packets_meet_the_model(lab: Lab, walk: list[tuple[list[str], int]]) -> None:
    """Each sort of packet, new and open connections, and all that no cut concerns."""
    follow(lab, walk)


@pytest.mark.long
@settings(REAL, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(walk=WALK)
def test_packets_meet_the_model_in_the_long_run(lab: Lab, walk: list[tuple[list[str], int]]) -> None:
    """600 cuts."""
    follow(lab, walk)
