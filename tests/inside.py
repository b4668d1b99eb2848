"""Processes on simulated machines: how they get there, and how signals find them.

A command enters with nsenter(1), becomes its user with setpriv(1) and gets its folder and environment from env(1);
each turns into the next, so that the process the test holds is the command itself.
"""

import contextlib
import ctypes
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

_CLONE_NEWPID = 0x20000000

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = 10) -> T:
    """Return the first truthy answer of `condition`; fail with what was awaited once the time is over."""
    deadline = time.monotonic() + timeout_s
    pause_s = 0.001
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.02)
    return answer


@functools.cache
def as_root() -> tuple[str, ...] | None:
    """Return what to put in front of a command for root's rights; None where there is no way to get them."""
    if os.geteuid() == 0:
        return ()
    with contextlib.suppress(OSError):
        if subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
            return ("sudo", "-n")
    return None


@functools.cache
def search_path() -> str:
    """Return the PATH on simulated machines, led by a Python that is new enough and that all users can run."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    ask = ["python3", "-I", "-S", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    with contextlib.suppress(OSError):
        if subprocess.run(ask, env={"PATH": path}, capture_output=True).returncode == 0:
            return path
    return f"{sys.base_prefix}/bin:{path}"


class Process(subprocess.Popen[Any]):
    """A process on a simulated machine. Signals reach the command itself, whatever stands in front of it."""

    def send_signal(self, sig: int) -> None:
        """Send `sig` to the command."""
        if os.geteuid() == 0:  # the child became the command
            super().send_signal(sig)
        elif self.poll() is None:
            pid = wait_for(self._command, "the command to start")
            subprocess.run([*(as_root() or ()), "kill", f"-{int(sig)}", str(pid)], check=True)

    def inner_pid(self) -> int:
        """Return the process id that the machine itself sees."""
        pid = self.pid if os.geteuid() == 0 else wait_for(self._command, "the command to start")
        return int(_status(pid, "NSpid").split()[-1])

    def _command(self) -> int | None:
        """Return the process id of the first descendant that is in a process namespace of its own."""
        todo = [self.pid]
        for pid in todo:
            if len(_status(pid, "NSpid").split()) > len(_status(os.getpid(), "NSpid").split()):
                return pid
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                todo += map(int, children.read_text().split())
        return None


def _status(pid: int, key: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(line.partition(":")[2] for line in text.splitlines() if line.startswith(f"{key}:"))


@dataclass(frozen=True)
class Place:
    """Where commands run: what nsenter(1) enters, and the process whose process namespace they join."""

    pid: int
    namespaces: tuple[str, ...] = ("--mount", "--net", "--uts", "--ipc")

    def enter(self) -> list[str]:
        """Return the words to put in front of a command."""
        root = as_root()
        assert root is not None, "simulated machines need root, or sudo without a password"
        joins = () if os.geteuid() == 0 else ("--pid",)  # see joined()
        return [*root, "nsenter", "--target", str(self.pid), *self.namespaces, *joins, "--"]

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Let children that are started meanwhile be born in the place's process namespace.

        `nsenter --pid` would stay in between, and a signal for the command would hit it instead.
        """
        if os.geteuid() != 0:
            yield
            return
        with open("/proc/self/ns/pid") as own, open(f"/proc/{self.pid}/ns/pid") as other:
            _setns(other.fileno())
            try:
                yield
            finally:
                _setns(own.fileno())


def _setns(fd: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWPID) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def inode(pid: int, kind: str) -> int | None:
    """Return the number of a process's namespace; None where it is gone or not ours to see."""
    try:
        return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
    except OSError:
        return None


def hold(pid: int, kind: str) -> int | None:
    """Open a process's namespace, so that it lasts; None where it is gone or not ours to see."""
    try:
        return os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
