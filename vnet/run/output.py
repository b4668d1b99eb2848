"""The commands' output: whole lines, each with its guest's name in front, on the way to whoever reads."""

from __future__ import annotations

import os
import select

#: Colours of the names: SGR numbers that can be told apart on dark and on light terminals. Red is for errors.
PALETTE = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
#: The longest part of a line that is kept back until its end comes, in bytes.
LONGEST = 16384
#: Bytes that may wait for whoever reads before nothing more is taken from the commands.
WAITING = 1 << 20


def head(guest: str, place: int, width: int, *, colour: bool) -> bytes:
    """Write what stands in front of a guest's lines; its colour follows from its place in the settings."""
    text = f"{guest:<{width}} |"
    return (f"\033[{PALETTE[place % len(PALETTE)]}m{text}\033[0m " if colour else f"{text} ").encode()


class Lines:
    """Cuts what one guest prints into lines."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.part = b""

    def feed(self, data: bytes) -> bytes:
        """Give back the lines that are whole now, with the name in front of each."""
        *whole, self.part = (self.part + data).split(b"\n")
        if len(self.part) > LONGEST:
            whole.append(self.part)
            self.part = b""
        return b"".join(map(self._line, whole))

    def flush(self) -> bytes:
        """Give back a line that has not ended."""
        return self.feed(b"\n") if self.part else b""

    def _line(self, line: bytes) -> bytes:
        """Write one line; colours that a command leaves on end with it."""
        reset = b"\033[0m" if b"\033" in line else b""
        return self.head + line.removesuffix(b"\r") + reset + b"\n"


class Screen:
    """Where the lines go: never waited for, so that signals are heard while a terminal is stopped (Ctrl-S)."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.waiting = bytearray()

    @property
    def full(self) -> bool:
        """Whether the commands have to wait for whoever reads."""
        return len(self.waiting) >= WAITING

    def write(self) -> None:
        """Write what is taken without waiting: a pipe that can be written to takes PIPE_BUF bytes (pipe(7)).

        OSError where nobody reads any more.
        """
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while self.waiting and poll.poll(0):
            del self.waiting[: os.write(self.fd, self.waiting[: select.PIPE_BUF])]

    def drop(self) -> None:
        """Forget what nobody reads."""
        self.waiting.clear()

    def close(self) -> None:
        """Show nothing any more."""
        self.drop()
        self.fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
