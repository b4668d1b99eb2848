"""The line between a call of vnet and its worker: JSON, a line each way, and the locks that go with a request.

A lock is flock(2)'s: it belongs to an open file, and is free when the last process that has it open is gone. So the
caller's open files travel with each request (SCM_RIGHTS, unix(7)) and on to the commands: where the caller is killed, what it
had locked stays so until its last command has ended.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Sequence
from typing import Any

#: Locks that go with one request at most.
MOST = 8


class Channel:
    """One end. `locks`: the open files that came with the last request."""

    def __init__(self, source: int, target: int) -> None:
        """Read from one file, write to the other; both are one socket, unless a sudo that records all puts pipes between."""
        self.source, self.target = source, target
        self.locks: list[int] = []
        self._socket = socket.socket(fileno=os.dup(source)) if stat.S_ISSOCK(os.fstat(source).st_mode) else None
        self._rest = b""

    def send(self, data: Any, locks: Sequence[int] = ()) -> None:
        """Send one line."""
        line = json.dumps(data).encode() + b"\n"
        if locks and self._socket:
            line = line[socket.send_fds(self._socket, [line], [*locks]) :]
        while line:
            line = line[os.write(self.target, line) :]

    def receive(self) -> Any:
        """Wait for one line, and read it; None where the other end is gone."""
        line = self.line()
        return None if line is None else json.loads(line)

    def line(self) -> bytes | None:
        """Wait for one line; None where the other end is gone."""
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            parts.append(self._read())
            if not parts[-1]:
                return None
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def _read(self) -> bytes:
        """Read what there is; commands are to inherit the locks."""
        if not self._socket:
            return os.read(self.source, 1 << 16)
        try:
            data, locks, _, _ = socket.recv_fds(self._socket, 1 << 16, MOST)
        except ConnectionResetError:  # it was killed, and had not read all of an answer
            return b""
        for fd in locks:
            os.set_inheritable(fd, True)
        self.locks += locks
        return data

    def let_go(self) -> None:
        """Close the locks of the last request."""
        while self.locks:
            os.close(self.locks.pop())

    def close(self) -> None:
        """Hang up."""
        if self._socket:
            self._socket.close()
        os.close(self.source)
