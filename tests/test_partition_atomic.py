"""A cut is one step: packets between all pairs are numbered while cuts change, and no trace holds half of one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest
from conftest import need_root
from machine import Machine
from partition_world import FIVE, Lab, lab_of
from tracer import pairs

from vnet.cuts.cut import Cut, cut

TRACER = "/opt/vnet/tests/tracer.py"
WALK = ("fullmesh", "isolate a", "split a b -- c d e", "oneway a b -- c d", "majorities-ring", "fullmesh")


def judged(trace: str, walk: Sequence[Cut], among: Sequence[str]) -> str:
    """Tell what is wrong with a trace; nothing where one point in time is enough for each change."""
    order, drops = pairs(list(among)), [set(it.drops()) for it in walk]
    now = 0
    for number, arrived in enumerate(trace):
        pair = order[number // 2 % len(order)]
        if (pair in drops[now]) is (arrived == "0"):
            continue
        now += 1
        what = (
            f"packet {number}, {'>'.join(pair)} by IPv{'46'[number % 2]}, {'arrived' if arrived == '1' else 'is lost'}"
        )
        if now == len(walk):
            return f"{what} after the last change"
        if (pair in drops[now]) is not (arrived == "0"):
            return f"{what} in both {walk[now - 1].kind} and {walk[now].kind}"
    return "" if now == len(walk) - 1 else f"only {now} changes of {len(walk) - 1} were seen"


def test_a_trace_with_half_a_cut_is_found() -> None:
    """The judge can tell: all of one cut and then of the next is well, a packet of the other between them is not."""
    nodes = ("a", "b", "c")
    walk = [cut(kind, words.split(), nodes) for kind, words in (("fullmesh", ""), ("isolate", "a"), ("fullmesh", ""))]
    whole = "1" * 12
    cut_ = "".join("0" if "a" in pair else "1" for pair in pairs(list(nodes)) for _ in "46")
    assert judged(whole + cut_ + whole, walk, nodes) == ""
    assert judged(whole + whole[:3] + cut_[3:] + whole, walk, nodes) == ""
    only_ipv4 = "".join("1" if at % 2 else each for at, each in enumerate(cut_))
    assert "after the last change" in judged(whole + only_ipv4 + cut_ + whole, walk, nodes)
    assert "in both" in judged(whole[:6] + "0" + whole[7:], walk, nodes)
    assert "only 0 changes" in judged(whole, walk, nodes)


def trace(lab: Lab, calls: Sequence[str], among: Sequence[str]) -> str:
    """Change cuts while packets among some guests are numbered."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with lab.machine.popen("python3", "-I", "-S", TRACER, lab.name, *among, **pipes) as tracer:
        assert tracer.stdout
        assert tracer.stdout.readline() == "ready\n"
        for words in calls:
            lab.cut("--seed", "1", *words.split())
        out, _ = tracer.communicate(timeout=60)
    return str(out).strip()


def follow(nodes: Sequence[str], walk: Sequence[str], among: Sequence[str] = FIVE) -> None:
    """Go a walk of cuts in a lab, and judge what arrived."""
    need_root()
    with Machine(sudo=False) as machine, lab_of(machine, nodes, probed=False) as lab:
        found = trace(lab, walk[1:], among)
        cuts = [cut(words.split()[0], words.split()[1:], nodes, seed=1) for words in walk]
        assert judged(found, cuts, among) == ""


def test_no_packet_meets_half_a_cut() -> None:
    """Between no cut, cuts, and no cut again, and the families change in the same moment."""
    follow(FIVE, WALK)


@pytest.mark.long
def test_no_packet_meets_half_a_cut_in_the_long_run() -> None:
    """Many changes between two cuts."""
    follow(FIVE, ["fullmesh", *["isolate a", "split a b -- c d e"] * 100, "fullmesh"])


@pytest.mark.long
def test_no_packet_meets_half_a_cut_of_many() -> None:
    """Guests enough for rules that are loaded in several pieces; the kernel's table of neighbours holds those of some."""
    nodes = [f"n{number}" for number in range(200)]
    follow(nodes, ["fullmesh", *["halves", "majorities-ring"] * 3, "fullmesh"], nodes[90:110])
