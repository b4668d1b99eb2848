"""Processes, found by the namespace they are in or by whom they come from, never by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable

#: Seconds between TERM and KILL, and for a killed process to be gone.
TERM_S, KILL_S = 5.0, 5.0


def by_namespace(inodes: frozenset[int]) -> dict[int, list[int]]:
    """Map the inode of each of these network namespaces to the processes in it."""
    found: dict[int, list[int]] = {inode: [] for inode in inodes}
    for name in os.listdir("/proc"):
        if name.isdigit():
            inode = _namespace_of(name)
            if inode in found:
                found[inode].append(int(name))
    return found


def name(pid: int) -> str:
    """Tell the name of a process (proc(5)); empty where it is gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _namespace_of(pid: str) -> int:
    """Tell the inode of a process's network namespace; 0 where the process is gone, a zombie, or not ours to see."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return 0


def end(inodes: Iterable[int], own: frozenset[int] = frozenset()) -> list[str]:
    """End what runs in network namespaces: TERM, then KILL; gives back what would not end. `own`: vnet's, left alone.

    A stopped process (SIGSTOP) gets its TERM when it is continued, so it is.
    """
    left: list[int] = []
    for number, limit_s in ((signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)):
        left = _signal_until_gone(frozenset(inodes), number, limit_s, own | {os.getpid()})
        if not left:
            break
    return [f"process {pid} ({name(pid) or '?'}) did not end within {KILL_S:.0f} s of SIGKILL: it hangs in the kernel; "
            "once it is gone, vnet-down again" for pid in left]  # fmt: skip


def _signal_until_gone(
    inodes: frozenset[int], number: signal.Signals, limit_s: float, own: frozenset[int]
) -> list[int]:
    """Signal each process once, also those that are forked meanwhile, until none is left or the time is over."""
    told: set[int] = set()
    deadline, pause_s = time.monotonic() + limit_s, 0.001
    while True:
        left = [pid for pids in by_namespace(inodes).values() for pid in pids if pid not in own]
        for pid in left:
            if pid not in told:
                send(pid, number)
                told.add(pid)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.05)


def send(pid: int, number: signal.Signals) -> None:
    """Signal one process, if it is still there."""
    try:
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)
    except (ProcessLookupError, PermissionError):
        return


def below(top: int, spared: frozenset[int] = frozenset()) -> list[int]:
    """List all that comes of a process, parents first; `spared` ones and what comes of them aside."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := _parent_of(name)):
            children.setdefault(parent, []).append(int(name))
    found = [top]
    for pid in found:
        found += (child for child in children.get(pid, ()) if child not in spared)
    return found[1:]


def _parent_of(pid: str) -> int:
    """Tell a process's parent (proc_pid_stat(5)); 0 where the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def identity(pid: int) -> str:
    """Name a process so that no later one is taken for it: by its number and its start; empty where there is none.

    Numbers come again, but not with the same start, in clock ticks since the boot (proc_pid_stat(5)).
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, *fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else f"{pid} {fields[18]}"
