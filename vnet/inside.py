"""The sockets of this thread in a node: `with guest.inside():`, in the ways that the caller's rights leave open.

Root moves the thread into the node's network (setns(2)): all that the thread does there is in the node, also what libraries
in C do and processes that it starts. A user can't: the node's network belongs to a user namespace that a process with
more than one thread can't enter (EINVAL), or is root's. But a socket stays where it was made, whoever uses it. So
for a user a helper in the node makes the sockets that this thread asks for through Python's `socket`, and hands them over
(SCM_RIGHTS, unix(7)): asyncio, http.client, requests, ssl and so on build on it. Libraries in C do not.

This file is the helper's program, too, run by its path: at its top it imports nothing of vnet.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vnet.api import Node

#: Family, type and protocol of a socket, and the answer: an error's number.
_ASK, _ANSWER = struct.Struct("iii"), struct.Struct("i")
#: Seconds that the helper has to answer.
_LIMIT_S = 30.0

_original = socket.socket.__init__
_lock = threading.Lock()
_threads_inside = 0
_here = threading.local()


@contextlib.contextmanager
def inside(node: Node) -> Iterator[None]:
    """Let the sockets of this thread be the node's."""
    from vnet.kernel import namespace

    if os.geteuid() == 0 and namespace.is_pin(node.netns):
        with namespace.network(node.netns):
            yield
        return
    with _helper(node) as helper, _patched():
        outer = getattr(_here, "helper", None)
        _here.helper = helper
        try:
            yield
        finally:
            _here.helper = outer


class _Helper:
    """A thread's end of its helper."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel

    def make(self, family: int, kind: int, protocol: int) -> int:
        """Have a socket made in the node; raises the OSError that it met there."""
        self.channel.send(_ASK.pack(family, kind, protocol))
        room = socket.CMSG_SPACE(_ANSWER.size)
        answer, handed, _, _ = self.channel.recvmsg(_ANSWER.size, room, socket.MSG_CMSG_CLOEXEC)
        if len(answer) < _ANSWER.size:
            raise OSError(errno.EPIPE, "the lab has gone, or what makes sockets in it")
        (number,) = _ANSWER.unpack(answer)
        if number:
            raise OSError(number, os.strerror(number))
        made: int = _ANSWER.unpack(handed[0][2])[0]
        return made


@contextlib.contextmanager
def _helper(node: Node) -> Iterator[_Helper]:
    """Start the helper in the node, and wait until it answers; raises NotUpError where the node is none."""
    from vnet.errors import NotUpError

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.settimeout(_LIMIT_S)
        with theirs:
            argv = (sys.executable, "-I", "-S", os.path.abspath(__file__))
            process = node.popen(*argv, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with process:
            try:
                if ours.recv(1) != b"+":
                    raise NotUpError(f"{node.name}: nothing can run there: {process.communicate()[1].strip()}")
                yield _Helper(ours)
            finally:
                ours.close()  # this ends it


@contextlib.contextmanager
def _patched() -> Iterator[None]:
    """Ask the thread's helper for each new socket, while any thread has one."""
    global _threads_inside  # noqa: PLW0603 (a process has one class of sockets)
    with _lock:
        _threads_inside += 1
        socket.socket.__init__ = _init  # type: ignore[method-assign]
    try:
        yield
    finally:
        with _lock:
            _threads_inside -= 1
            if not _threads_inside:
                socket.socket.__init__ = _original  # type: ignore[method-assign]


def _init(self: socket.socket, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
    """Stand in for socket.socket.__init__; sockets between processes of one machine stay as they are."""
    helper: _Helper | None = getattr(_here, "helper", None)
    if helper is None or fileno is not None or family == socket.AF_UNIX:
        _original(self, family, type, proto, fileno)
        return
    family = socket.AF_INET if family == -1 else family
    type = socket.SOCK_STREAM if type == -1 else type
    proto = max(proto, 0)
    made = helper.make(family, type, proto)
    try:
        _original(self, family, type, proto, made)
    except BaseException:
        os.close(made)
        raise


def serve() -> None:
    """Make sockets for whoever holds the other end of stdin, until it is closed."""
    with socket.socket(fileno=os.dup(0)) as channel:
        channel.send(b"+")
        while asked := channel.recv(_ASK.size):
            answer(channel, *_ASK.unpack(asked))


def answer(channel: socket.socket, *kind: Any) -> None:
    """Make one socket, and hand it over."""
    try:
        with socket.socket(*kind) as made:
            socket.send_fds(channel, [_ANSWER.pack(0)], [made.fileno()])
    except OSError as error:
        channel.send(_ANSWER.pack(error.errno or errno.EIO))


if __name__ == "__main__":
    serve()
