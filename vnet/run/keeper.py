"""The keeper: the parent of all commands of a run, and the end of every process that comes of them.

It is a process of its own, under sudo where the rights come from there. Whatever the commands start stays below it: an
orphan goes to the nearest subreaper (PR_SET_CHILD_SUBREAPER, prctl(2)), so also a daemon that has made a session of
its own does. When vnet-run ends, killed or not, their socket closes, and the keeper kills all that is below it. When the
keeper is killed, vnet-run is the next subreaper, and does so; and the kernel kills the commands themselves
(PR_SET_PDEATHSIG). A namespace of processes would be as tight, but `kill $(cat nginx.pid)` from outside would hit somebody
else.

Requests and answers are packets. A request to start something comes with two files: one with what to start, in JSON, and where its
output goes.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # run by its path: there is no package to import from yet
    sys.path[0:1] = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))]

import json
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from vnet import exec as run_in
from vnet.errors import CommandError
from vnet.kernel import namespace, processes
from vnet.kernel.marks import state_folder
from vnet.nodes import Node, caller, node_of
from vnet.run.child import FROM_OUTSIDE, Child, Go

#: Seconds that killed processes have to be gone.
KILL_S = 5.0
#: Signals that are not to end anything.
PASSED = (signal.SIGUSR1, signal.SIGUSR2)


class Event(NamedTuple):
    """What the keeper tells: `key` has ended with `code` (negative: by a signal), or, with no key, nothing is left.

    `starts`: how many requests to start something the keeper had had by then.
    """

    key: str
    code: int
    starts: int


class Keeper:
    """vnet-run's end of the keeper."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid, self.channel, self.starts = pid, channel, 0

    def start(self, request: dict[str, Any], output: int) -> None:
        """Start something in a node; see `vnet.run.child.Child` for what a request holds."""
        file = os.memfd_create("request")
        try:
            os.write(file, json.dumps(request).encode())
            socket.send_fds(self.channel, [b"start"], [file, output])
        except OSError as error:
            raise gone() from error
        finally:
            os.close(file)
        self.starts += 1

    def signal(self, number: int) -> None:
        """Send a signal to all that runs, or, of those in `PASSED`, to the commands."""
        with suppress(OSError):  # it has ended: `event` tells
            self.channel.send(b"signal %d" % number)

    def event(self) -> Event:
        """Take the next event."""
        try:
            packet = self.channel.recv(4096)
        except OSError:
            packet = b""
        if not packet:
            raise gone()
        return Event(*json.loads(packet))

    def close(self) -> None:
        """Let it kill what is left, and wait for that."""
        self.channel.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def gone() -> CommandError:
    """Say that the keeper is not there any more."""
    return CommandError(
        "the process that keeps the guests' commands was ended from outside, and they with it; vnet-run again"
    )


def start(argv: list[str]) -> Keeper:
    """Start a keeper: `program()`, or, under sudo, one that has what it takes to end whatever the commands start."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)])
    theirs.close()
    return Keeper(pid, ours)


def program() -> list[str]:
    """Tell how to start the keeper of a caller who has his rights without sudo.

    It is no fork of vnet-run, and has another name: `pkill -9 -f vnet-run` leaves it to do its work.
    """
    return [sys.executable, "-I", "-S", "-B", os.path.abspath(__file__)]


def serve(go: Go) -> None:
    """Keep what is started, until vnet-run is gone; then kill all of it. It talks by standard input."""
    channel = socket.socket(fileno=0)
    with suppress(PermissionError):  # sudo has made it the leader of a session
        os.setsid()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # locks
    for number in FROM_OUTSIDE:
        signal.signal(number, signal.SIG_IGN)
    namespace.adopt_orphans()
    wake, waker = os.pipe()
    for fd in (wake, waker):
        os.set_blocking(fd, False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(waker)
    try:
        with suppress(OSError):  # nobody is there to be told
            _Keeping(channel, go).loop(wake)
    finally:
        kill_all()


class _Keeping:
    """The keeper's own side."""

    def __init__(self, channel: socket.socket, go: Go) -> None:
        self.channel, self.go = channel, go
        self.keys: dict[int, str] = {}
        self.starts = 0
        self.empty = True

    def loop(self, wake: int) -> None:
        """Do what is asked, tell what ends, until the other side is gone."""
        while True:
            ready = select.select([self.channel.fileno(), wake], [], [])[0]
            if wake in ready:
                os.read(wake, 4096)
            if self.channel.fileno() in ready and not self._request():
                return
            for key, code in self._ended():
                self.channel.send(json.dumps((key, code, self.starts)).encode())

    def _request(self) -> bool:
        """Do one thing that is asked for; tells whether there may be more."""
        packet, files, _, _ = socket.recv_fds(self.channel, 64, 2)
        word, _, number = packet.decode().partition(" ")
        if word == "start":
            with os.fdopen(files[0]) as file:
                file.seek(0)
                self._start(json.load(file), files[1])
        elif word == "signal":
            self._signal(signal.Signals(int(number)))
        return bool(packet)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to all; one that is not to end them to the commands alone, as what they started may not know it."""
        commands = [pid for pid, key in self.keys.items() if not key.startswith("?")]
        for pid in commands if number in PASSED else processes.below(os.getpid()):
            processes.send(pid, number)

    def _start(self, request: dict[str, Any], output: int) -> None:
        """Fork, and become what is asked for in the child."""
        self.starts, self.empty = self.starts + 1, False
        keeper, pid = os.getpid(), os.fork()
        if pid:
            os.close(output)
            self.keys[pid] = request["key"]
            return
        status = run_in.FAILED
        try:
            signal.set_wakeup_fd(-1)
            status = Child(request, keeper).run(output, self.go)
        finally:
            os._exit(status)

    def _ended(self) -> Iterator[tuple[str, int]]:
        """Bury the dead, and name those that were started by name; in the end that nothing is left."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] in self.keys:
                    yield self.keys.pop(ended[0]), os.waitstatus_to_exitcode(ended[1])
        except ChildProcessError:
            if not self.empty:
                self.empty = True
                yield "", 0


def kill_all(spared: frozenset[int] = frozenset()) -> list[int]:
    """Kill all that is below this process, `spared` children aside; gives back what would not end.

    What is forked meanwhile loses its parent and comes here, so a look after the last one died finds nothing.
    """
    deadline, pause_s = time.monotonic() + KILL_S, 0.001
    while True:
        left = processes.below(os.getpid(), spared)
        for pid in left:
            processes.send(pid, signal.SIGKILL)
            with suppress(ChildProcessError):  # not a child of ours, but one of a child's
                os.waitpid(pid, os.WNOHANG)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.05)


def main() -> int:
    """Keep what a caller starts who has his rights without sudo."""
    folder = state_folder(caller())

    def go(lab: str, name: str) -> Node:
        node = node_of(folder, lab, name)
        run_in.enter(node, root=False)
        return node

    serve(go)
    return 0


if __name__ == "__main__":
    sys.exit(main())
