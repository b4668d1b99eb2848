"""Ready means ready: vnet-up returns when the first packet between any two guests gets through, and not later."""

from __future__ import annotations

import json
import re

import pytest
from conftest import Box
from lab_world import same_host
from machine import Machine

FIRST = ("python3", "-B", "/opt/vnet/tests/first.py")
WAITS = "clock_nanosleep,nanosleep,select,pselect6,poll,ppoll,epoll_wait,epoll_pwait,rt_sigtimedwait,futex"
"""System calls by which a process waits for a time that was set beforehand, or for something to happen."""


def guests(count: int) -> str:
    """Write the settings of a lab."""
    return "".join(f"[guests.g{number}]\n" for number in range(count))


def lost(box: Box, count: int, reach: int) -> list[list[tuple[int, int]]]:
    """Bring a lab of so many guests up, and at once send one packet between them; gives back which did not arrive."""
    box.write("vnet.toml", guests(count))
    way_in = "/run/vnet/3001.ns/mnt" if box.way == "userns" else "-"
    become = ("setpriv", f"--reuid={box.user}", f"--regid={box.user}", "--init-groups", "env", f"HOME={box.project}/..")
    argv = (*FIRST, way_in, str(reach), *become, "/opt/vnet/bin/vnet-up", "-q")
    found = json.loads(box.machine.run(*argv, cwd=box.project).stdout)
    assert found["guests"] == count
    return list(found["missing"])


@pytest.mark.quick_in("root", "userns")
def test_no_first_packet_is_lost(box: Box) -> None:
    """On the first vnet-up of all, between all; after guests were added, and right after a vnet-down."""
    with same_host(box):
        assert lost(box, 16, 15) == [[], []]
        assert lost(box, 20, 5) == [[], []]
        for _ in range(3):
            box.vnet("down")
            assert lost(box, 20, 5) == [[], []]


def test_up_waits_for_nothing_but_answers(machine: Machine) -> None:
    """Neither vnet-up nor what it starts sleeps, nor waits until a time is over: with 20 new guests, and with 5 more."""
    machine.run("mkdir", "project", user="alice")
    box = Box(machine, "alice", "userns")
    with same_host(box):
        box.write("vnet.toml", guests(1))
        box.vnet("up")
        trace = ("strace", "-f", "-qq", f"-etrace={WAITS}", "-esignal=none", f"-o{box.project}/trace")
        for count in (20, 25):
            box.write("vnet.toml", guests(count))
            box.run(*trace, "/opt/vnet/bin/vnet-up")
            text = box.run("cat", "trace").stdout
            assert "rt_sigtimedwait" in text  # how it waits for the end of a process
            assert slept(text) == []


def slept(trace: str) -> list[str]:
    """List the calls that slept, or that came back because their time was over; to ask with no time is no wait."""
    timeout = re.compile(r"nanosleep\(|= 0 \(Timeout\)|EAGAIN|ETIMEDOUT")
    no_time = re.compile(r"tv_sec=0, tv_nsec=0|, 0\) = 0 \(Timeout\)|FUTEX_WAKE")
    return [line for line in trace.splitlines() if timeout.search(line) and not no_time.search(line)]
