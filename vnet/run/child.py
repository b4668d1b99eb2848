"""A child of the keeper, from its fork to the command that it becomes in its node."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from vnet import exec as run_in
from vnet.errors import VnetError, words
from vnet.kernel import namespace
from vnet.nodes import Node

#: Signals that the keeper leaves to vnet-run.
FROM_OUTSIDE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
#: Goes into a node, given its lab's name and its own.
Go = Callable[[str, str], Node]


class Child:
    """What a forked child of the keeper does.

    A request: `key`; `lab` and `node`, where to; `argv`, or `port`, a TCP port of the node to try; `env`, `cwd`, `umask`.
    """

    def __init__(self, request: dict[str, Any], keeper: int) -> None:
        self.request, self.keeper = request, keeper

    def run(self, output: int, go: Go) -> int:
        """Go into the node and become the command; returns its exit status where that fails."""
        os.setsid()
        for fd, to in ((os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2)):
            os.dup2(fd, to)
        for number in (*FROM_OUTSIDE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        try:
            return self._inside(go)
        except (VnetError, OSError) as error:
            return _fail(words(error))

    def _inside(self, go: Go) -> int:
        """Go into the node; try its port, or become the command."""
        request = self.request
        node = go(request["lab"], request["node"])
        os.umask(request["umask"])
        os.chdir(request["cwd"])
        namespace.die_with_parent()
        if os.getppid() != self.keeper:  # it died before the kernel was told
            return run_in.FAILED
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        if request.get("port"):
            return _try_port(node.ip, request["port"])
        return run_in.become(request["argv"], request["env"], "vnet-run")


def _try_port(ip: str, port: int) -> int:
    """Tell by an exit status whether somebody listens on a port, and if not, why."""
    try:
        socket.create_connection((ip, port), timeout=1).close()
    except OSError as error:
        print(error.strerror or error, file=sys.stderr, flush=True)
        return 1
    return 0


def _fail(why: str) -> int:
    """Say why there was no command, where its output would be."""
    print(f"vnet-run: {why}", file=sys.stderr, flush=True)
    return run_in.FAILED
