"""What was started, as the loop of a run sees it: its output, and the tries whether it is ready."""

from __future__ import annotations

import time
from typing import BinaryIO

from vnet.errors import VnetError
from vnet.run.output import Lines
from vnet.run.plan import Program

#: Seconds after which a line that has not ended is shown all the same.
PART_S = 0.5
#: Seconds between two tries whether something is ready, at first and at most.
TRY_S, TRIES_S = 0.05, 1.0
NEVER = float("inf")


class Source:
    """The output of one thing that was started: shown and logged, or only its last words kept."""

    def __init__(self, lines: Lines | None, log: BinaryIO | None = None) -> None:
        self.lines, self.log = lines, log
        self.words = b""
        self.part_s = NEVER  # the moment at which a part of a line is to be shown

    def take(self, data: bytes) -> bytes:
        """Give back what is to be shown of what was read; no `data`: of what was kept back."""
        if self.log:
            try:
                self.log.write(data)
            except OSError as error:
                raise VnetError(
                    f"{self.log.name}: the log can't be written: {error.strerror}; --logs names another folder"
                ) from None
        if self.lines is None:
            self.words = (self.words + data)[-500:]
            return b""
        shown = self.lines.feed(data) if data else self.lines.flush()
        self.part_s = time.monotonic() + PART_S if self.lines.part else NEVER
        return shown


class Try:
    """The tries whether a program is ready: when the next one is, and how long they go on."""

    def __init__(self, program: Program, limit_s: float) -> None:
        self.program, self.since_s = program, time.monotonic()
        self.last_s = self.since_s + limit_s
        self.next_s, self.pause_s = self.since_s, TRY_S
        self.source = self.ended = Source(None)

    @property
    def due(self) -> bool:
        """Whether it is time for the next try."""
        return time.monotonic() >= self.next_s

    def begin(self) -> Source:
        """Try; gives the ear for what the try says."""
        self.next_s, self.source = NEVER, Source(None)
        return self.source

    def again(self) -> None:
        """Try once more after a while; what this one said is the last word so far."""
        self.ended = self.source
        self.next_s = time.monotonic() + self.pause_s
        self.pause_s = min(2 * self.pause_s, TRIES_S)

    @property
    def what(self) -> dict[str, object]:
        """What to ask the keeper for."""
        ready = self.program.ready
        return {"port": ready} if isinstance(ready, int) else {"argv": ready}

    def why(self) -> str:
        """Tell that it is not ready, and what the last try that ended said."""
        waited_s = time.monotonic() - self.since_s
        words = self.ended.words.decode(errors="replace").strip()
        said = f": {words.splitlines()[-1]}" if words else ""
        ready = self.program.ready
        what = f"port {ready}" if isinstance(ready, int) else " ".join(ready or ())
        return f"{self.program.guest}: not ready after {waited_s:.0f} s ({what}){said}; --ready-limit gives it longer"
