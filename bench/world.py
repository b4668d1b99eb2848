"""What all sections work with: commands that end, a clock, and the kernel's own account of what is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = f"{os.path.dirname(HERE)}/bin"
ALICE = 3001
"""A user of simulated machines who may use sudo; see tests/world.sh."""
COMMAND_S = 180
"""How long any one command may take."""


class Failed(Exception):
    """A contender could not do what was asked for; says why."""


class World:
    """One simulated machine, seen from inside."""

    def __init__(self, programs: str, profile: dict[str, Any]) -> None:
        self.programs, self.profile = programs, SimpleNamespace(**profile)
        self.base: dict[int, int] = {}
        self.links = 0

    # What is said

    def say(self, text: str) -> None:
        """Tell a person what is going on."""
        print(text, file=sys.stderr, flush=True)

    def emit(self, op: str, who: str, size: int, value: float | str) -> None:
        """Write one measurement; a text is the reason why there is none."""
        key = "failed" if isinstance(value, str) else "value"
        print(json.dumps({"op": op, "who": who, "size": size, key: value}), flush=True)

    # Commands

    def popen(self, *argv: str, uid: int = 0, cwd: str = "/", **kwargs: Any) -> subprocess.Popen[str]:
        """Start a command, in a process group of its own."""
        home = "/root" if uid == 0 else "/home/alice"
        env = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": home,
            "LANG": "C.UTF-8",
            "USER": "alice" if uid else "root",
        }
        who: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        kwargs = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
        return subprocess.Popen(argv, text=True, cwd=cwd, env=env, process_group=0, **who, **kwargs)

    def run(self, *argv: str, uid: int = 0, cwd: str = "/", timeout_s: float = COMMAND_S) -> str:
        """Run a command to its end; what it wrote."""
        with self.popen(*argv, uid=uid, cwd=cwd) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise Failed(f"{argv[0]} took more than {timeout_s:g} s") from None
        if process.returncode:
            raise Failed(f"{' '.join(argv)[:80]}: status {process.returncode}: {(err or out).strip()[-300:]}")
        return out

    def probe(self, *words: object) -> str:
        """Run the small program that asks the kernel."""
        return self.run(f"{self.programs}/probe", *map(str, words))

    # Time

    def timed(self, do: Callable[[], object]) -> float:
        """Tell the seconds that something took."""
        start = time.perf_counter()
        do()
        return time.perf_counter() - start

    def repeat(self, op: str, size: int, runs: int, tasks: dict[str, Callable[[], object]]) -> None:
        """Time some tasks in turn, `runs` times each."""
        for _ in range(runs):
            for who, do in tasks.items():
                self.emit(op, who, size, self.timed(do))

    # What is left

    def settle(self) -> None:
        """Let the kernel finish, then note how many namespaces and links belong to the machine as it is now."""
        time.sleep(0.4)  # the last prober's own namespace is still on its way out
        self.base = {uid: int(self.probe("count", uid)) for uid in (0, ALICE)}
        time.sleep(0.2)
        self.links = len(os.listdir("/sys/class/net"))

    def gone(self, uid: int) -> None:
        """Wait until namespaces and links are as few as they were when it was settled."""
        self.probe("gone", uid, self.base[uid], self.links)

    def processes(self) -> int:
        """Count the machine's processes."""
        return sum(name.isdigit() for name in os.listdir("/proc"))

    def kernel_kb(self) -> int:
        """Add up the memory that the kernel uses for itself."""
        parts = ("Slab", "Percpu", "KernelStack", "PageTables", "VmallocUsed")
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":") for line in file)
        return sum(int(lines[part].split()[0]) for part in parts)

    @contextlib.contextmanager
    def serving(self, *before: str, port: int = 5000) -> Iterator[None]:
        """Keep a server running behind a command such as vnet-exec."""
        process = self.popen(*before, f"{self.programs}/probe", "serve", str(port))
        try:
            assert process.stdout
            if process.stdout.readline() != "ready\n":
                raise Failed(f"{before}: no server: {process.communicate()[1]}")
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=COMMAND_S)


def guest_ip(number: int) -> str:
    """Write the address of a guest."""
    return f"172.18.{number // 256}.{number % 256}"


def prefix(guests: int) -> int:
    """Tell how wide a network of so many guests is."""
    return 24 if guests <= 253 else 20


def names(guests: int) -> Sequence[str]:
    """Name guests."""
    return [f"g{number}" for number in range(1, guests + 1)]
