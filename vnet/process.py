"""A command in a node, as a process of this program: signals find it, whatever stands in front of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from vnet.kernel import processes

#: Seconds that a command has to start behind sudo; before that a signal for it has nowhere to go.
START_S = 5.0


class Process(subprocess.Popen[Any]):
    """A subprocess.Popen that can signal a command behind sudo.

    Where all rights come from sudo, the process is sudo itself. Killed, it would leave the command behind, which is below
    it and the caller's own again; one that is root in the lab is signalled by a root in there.
    """

    def __init__(self, argv: Sequence[str], as_root: Sequence[str], **options: Any) -> None:
        """Start a command; `as_root` is what to put in front of one that is to run as root in the same node."""
        self._as_root = as_root
        super().__init__(argv, **options)

    def send_signal(self, sig: int) -> None:
        """Signal the command."""
        if processes.name(self.pid) == "sudo" and self.poll() is None:
            self._signal_below(sig)
        else:
            super().send_signal(sig)

    def _signal_below(self, sig: int) -> None:
        """Signal the first process below sudo that is not sudo; wait until there is one."""
        deadline = time.monotonic() + START_S
        while self.poll() is None and time.monotonic() < deadline:
            found = next((pid for pid in processes.below(self.pid) if processes.name(pid) not in ("sudo", "")), None)
            if found is not None:
                self._signal_one(found, sig)
                return
            time.sleep(0.005)

    def _signal_one(self, pid: int, sig: int) -> None:
        """Signal one process, through root in the lab where it is not the caller's."""
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return
        except PermissionError:
            argv = (*self._as_root, "sh", "-c", 'kill -"$1" "$2"', "sh", str(int(sig)), str(pid))
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def run(process: Process, text: Any, timeout_s: float | None) -> subprocess.CompletedProcess[Any]:
    """Give a process its input and wait for its end, as subprocess.run does; no process outlives an exception."""
    with process:
        try:
            out, err = process.communicate(text, timeout_s)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
