"""Killed, failed and meddled with at each place: the next vnet-up works, and vnet-down leaves nothing (`make faults` has it all)."""

from __future__ import annotations

import platform
from collections.abc import Iterator

import pytest
from conftest import need_root
from faults.campaign import Tally, events_of, one, prepare
from faults.meddle import MEDDLES, recovers
from faults.verbs import VERBS, Bench

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the injector knows the registers of x86-64 alone"
)
KILLED = {
    "first up": "userns", "up": "root", "up, no change": "sudo", "up, converging": "sudo", "up, mending": "userns",
    "down": "root", "down GUEST": "sudo", "partition": "userns", "heal": "root", "exec": "userns", "down --gateway": "sudo",
}  # fmt: skip
"""The way in which each verb is killed at every point; the campaign does it in all three."""
WAYS = ["root", "userns", "sudo"]
SETTING = "python3: write /proc/sys"
RECORDS = tuple(f"python3: {call}" for call in ("rename", "unlink", "rmdir", "ftruncate"))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a bench of the way `root`."""
    yield from _bench("root")


def _bench(way: str) -> Iterator[Bench]:
    need_root()
    made = Bench(way)
    prepare(made)
    yield made
    made.world.close()


def kill_points(events: list[list[str]]) -> list[int]:
    """List the changes after which to kill: each command's end, each record, the last of some settings in a row.

    The campaign has the others: each line of an `ip -batch`, each file that is opened.
    """
    changes = [(kind, what) for kind, what in events if kind in ("exit", "sys")]
    following = [*changes[1:], ("", "")]
    return [
        n for n, ((kind, what), (_, after)) in enumerate(zip(changes, following, strict=False))
        if kind == "exit" or what.startswith(RECORDS) or (what.startswith(SETTING) and not after.startswith(SETTING))
    ]  # fmt: skip


@pytest.mark.parametrize("name", KILLED)
def test_killed_after_each_change(name: str) -> None:
    """All processes of a verb are killed at once, after each of its changes in turn."""
    for bench in _bench(KILLED[name]):
        events, tally = events_of(bench, VERBS[name]), Tally()
        points = kill_points(events)
        assert points
        for turn, n in enumerate(points):
            one(bench, VERBS[name], "kill", {"act": "kill", "n": n}, tally, down=turn % 8 == 7)
        assert tally.wrong == []
        assert tally.missed <= tally.runs // 10


@pytest.mark.parametrize("way", WAYS)
def test_meddled_with(way: str) -> None:
    """Each part and each record is damaged behind vnet's back; half of them are recovered by vnet-up, the other by vnet-down."""
    for bench in _bench(way):
        wrong = []
        for turn, name in enumerate(MEDDLES):
            if turn % 3 == WAYS.index(way):
                wrong += recovers(bench, name, down=turn % 2 == 1)
        assert wrong == []
