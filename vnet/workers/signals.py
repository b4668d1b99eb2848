"""Signals: one that arrives while a step is being done waits until it is done."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from vnet.errors import VnetError


class Interrupted(VnetError):
    """A signal ended it; what was half made was taken back."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.status = 128 + number


_holding = 0
_pending: list[int] = []


def _arrived(number: int, _frame: FrameType | None) -> None:
    """Raise now, or keep it for the end of the step."""
    if _holding:
        _pending.append(number)
    else:
        raise Interrupted(number)


def catch() -> None:
    """Turn INT, TERM and HUP into `Interrupted`; those that the caller ignores (nohup) stay ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _arrived)


@contextmanager
def held() -> Iterator[None]:
    """Keep signals waiting for a while; raises what arrived at the end."""
    global _holding  # noqa: PLW0603 (a process has one set of signal handlers)
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
    if _pending and not _holding:
        raise Interrupted(_pending.pop())
