"""The worker: does steps where the rights for them are, and answers one line of JSON for one.

The parent asks for steps by name, with typed fields; commands are made here, from checked values. A worker is
forked (`root`, `userns`) or started under sudo (`host` steps; `sudo`: all). It ends when its parent does, after the
command under way.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from vnet import observe, processes, runner
from vnet.bridge import BridgeForwardsStep, BridgeStep
from vnet.codec import decode, encode
from vnet.errors import CommandError, VnetError
from vnet.gateway import ForwardsStep, GatewayStep
from vnet.guest import GuestsStep
from vnet.host import HostStep, StateStep
from vnet.step import Step

#: Steps on the host itself: the only ones that a `userns` caller's worker under sudo takes.
HOST_STEPS: dict[str, type] = {each.__name__: each for each in (StateStep, HostStep)}
#: Steps in the labs' namespaces.
LAB_STEPS: dict[str, type] = {
    each.__name__: each for each in (GatewayStep, ForwardsStep, BridgeStep, BridgeForwardsStep, GuestsStep)
}
#: What can be asked about a lab or a gateway beside steps.
QUESTIONS: dict[str, Callable[..., Any]] = {
    "ready": observe.not_ready, "echo": observe.echo, "lab": observe.lab, "gateway": observe.gateway,
    "inodes": observe.inodes, "end": processes.end,
}  # fmt: skip


class Worker:
    """The parent's end of a worker."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.file = channel.makefile("rwb", buffering=0)
        channel.close()

    def do(self, way: str, step: Step) -> list[str]:
        """Do a step `up`, `down` or `mend`; on the way down gives back what went wrong, else raises CommandError."""
        answer = self._ask({"way": way, "step": type(step).__name__, "fields": encode(step)})
        return list(answer)

    def ask(self, question: str, **fields: Any) -> Any:
        """Ask about what is there; see `QUESTIONS`."""
        return self._ask({"question": question, "fields": {name: encode(value) for name, value in fields.items()}})

    def close(self) -> None:
        """Let the worker end, and wait for it."""
        self.file.close()
        os.waitpid(self.pid, 0)

    def _ask(self, request: dict[str, Any]) -> Any:
        """Send one line, wait for one."""
        try:
            self.file.write(json.dumps(request).encode() + b"\n")
            line = self.file.readline()
        except OSError:
            line = b""
        if not line:
            raise CommandError("the worker ended before its work was done; run vnet-up or vnet-down again")
        answer = json.loads(line)
        if "error" in answer:
            raise CommandError(answer["error"])
        return answer["answer"]


def fork(enter: Callable[[], None]) -> Worker:
    """Fork a worker that first enters the namespaces where it has rights."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return Worker(pid, ours)
    status = 1
    try:
        ours.close()
        serve(theirs.makefile("rb"), theirs.makefile("wb"), enter, HOST_STEPS | LAB_STEPS)
        status = 0
    finally:
        os._exit(status)


def under_sudo(argv: Sequence[str]) -> Worker:
    """Start a worker under sudo; its words for the caller (the password's prompt) go to the terminal."""
    ours, theirs = socket.socketpair()
    program = os.path.abspath(__file__)  # noqa: PTH100 (pathlib: 10 ms)
    actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0), (os.POSIX_SPAWN_DUP2, theirs.fileno(), 1)]
    pid = os.posix_spawn(argv[0], [*argv, sys.executable, "-I", program], os.environ, file_actions=actions)
    theirs.close()
    return Worker(pid, ours)


def serve(requests: BinaryIO, answers: BinaryIO, enter: Callable[[], None], steps: dict[str, type]) -> None:
    """Answer requests until there are no more."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    entered = False
    for line in requests:
        try:
            if not entered:
                enter()
                entered = True
            answer = {"answer": _answer(json.loads(line), steps)}
        except (VnetError, OSError, ValueError) as error:
            answer = {"error": str(error)}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _answer(request: dict[str, Any], steps: dict[str, type]) -> Any:
    """Do what a request asks for."""
    if "question" in request:
        return QUESTIONS[request["question"]](**request["fields"])
    name, way = request["step"], request["way"]
    if name not in steps or way not in ("up", "down", "mend"):
        raise CommandError(f"{name} {way}: not a step for this worker")
    stages = getattr(decode(steps[name], request["fields"]), way)()
    act = runner.run_one_by_one if name in HOST_STEPS else runner.run
    return act(stages, down=way == "down")


def main() -> None:
    """Serve a caller under sudo."""
    caller = int(os.environ.get("SUDO_UID", "0"))
    steps = HOST_STEPS | LAB_STEPS
    serve(sys.stdin.buffer, sys.stdout.buffer, lambda: None, {name: _owned(kind, caller) for name, kind in steps.items()})


def _owned(kind: type, _caller: int) -> type:
    return kind


if __name__ == "__main__":
    main()
