"""A terminal on a simulated machine, with a shell that does job control, driven by what is typed and what it shows."""

from __future__ import annotations

import os
import select
import subprocess
import time

from conftest import Box
from inside import search_path

PROMPT = "ready> "


class Terminal:
    """A shell under script(1), as shell.py has it; `size` is rows and columns."""

    def __init__(self, box: Box, size: tuple[int, int] = (40, 100), **env: str) -> None:
        box.write("terminal.rc", f'PS1="{PROMPT}"; stty -echo rows {size[0]} cols {size[1]}\n')
        shell = f"bash --rcfile {box.project}/terminal.rc --noediting -i"
        argv = ("script", "--quiet", "--flush", "--return", "--command", shell, "/dev/null")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": False, "bufsize": 0}
        path = f"/opt/vnet/bin:{search_path()}"
        self.process = box.popen(*argv, **pipes, env={"TERM": "xterm", "PATH": path, **env})
        self.shown = ""
        self.until(PROMPT)

    def run(self, command: str) -> str:
        """Run a command; what it shows until the next prompt."""
        self.type(f"{command}\n")
        return self.until(PROMPT)

    def type(self, text: str) -> None:
        """Press keys."""
        assert self.process.stdin
        self.process.stdin.write(text.encode())

    def until(self, text: str, timeout_s: float = 10) -> str:
        """Wait until a text is shown; gives back what was shown before it."""
        assert self.process.stdout
        deadline = time.monotonic() + timeout_s
        while text not in self.shown:
            left_s = max(0, deadline - time.monotonic())
            assert select.select([self.process.stdout], [], [], left_s)[0], f"waited for {text!r} in {self.shown!r}"
            self.shown += os.read(self.process.stdout.fileno(), 65536).decode(errors="replace").replace("\r\n", "\n")
        before, _, self.shown = self.shown.partition(text)
        return before

    def close(self) -> None:
        """Leave the shell."""
        self.type("exit\n")
        assert self.process.wait(10) == 0
