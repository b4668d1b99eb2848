"""What a run has come to, and what is to be done next: a value, and pure functions from what happens to the next one."""

from __future__ import annotations

from typing import Literal, NamedTuple

from vnet.run.plan import Program

#: `stop-on-failure`: the first command that ends, ends the run. `wait-all-successful`: the first that fails does.
Mode = Literal["stop-on-failure", "wait-all-successful"]
MODES: tuple[Mode, ...] = ("stop-on-failure", "wait-all-successful")


class State(NamedTuple):
    """Where a run is. `status` is its exit status, as far as it is settled: the first failure's."""

    programs: tuple[Program, ...]
    mode: Mode
    started: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    stopping: bool = False
    status: int = 0

    @property
    def due(self) -> tuple[Program, ...]:
        """The programs whose turn has come."""
        if self.stopping:
            return ()
        return tuple(each for each in self.programs if each.guest not in self.started and each.after <= self.ready)

    @property
    def running(self) -> frozenset[str]:
        """The guests whose commands have not ended."""
        return self.started - self.ended

    def starts(self, program: Program) -> State:
        """Start a program; one that can't tell otherwise is ready at once."""
        ready = self.ready | ({program.guest} if program.ready is None else set())
        return self._replace(started=self.started | {program.guest}, ready=ready)

    def is_ready(self, guest: str) -> State:
        """Let those that wait for it have their turn."""
        return self._replace(ready=self.ready | {guest})

    def ends(self, guest: str, status: int) -> State:
        """Take note of a command's end; what ends while the run is being stopped was told to."""
        now = self._replace(ended=self.ended | {guest})
        if self.stopping:
            return now
        if status or self.mode == "stop-on-failure":
            return now.stops(status)
        return now.stops(0) if len(now.ended) == len(self.programs) else now

    def stops(self, status: int) -> State:
        """Stop, with an exit status; the first one stays."""
        return self if self.stopping else self._replace(stopping=True, status=status)


def exit_status(code: int) -> int:
    """Turn a wait status as `os.waitstatus_to_exitcode` has it into an exit status: 128 + N for signal N."""
    return 128 - code if code < 0 else code
