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
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vnet.bridge import BridgeForwardsStep, BridgeStep
from vnet.codec import decode, encode
from vnet.cuts import observe as observe_cut
from vnet.cuts.step import CutStep
from vnet.errors import CommandError, LostError, VnetError, words
from vnet.gateway import ForwardsStep, GatewayStep
from vnet.guest import GuestsStep, LabStep
from vnet.host import HostStep, StateStep
from vnet.kernel import observe, probe, ready, runner, single
from vnet.step import Step
from vnet.workers import signals
from vnet.workers.channel import Channel

if TYPE_CHECKING:
    from vnet.workers.guard import Guard

#: Steps on the host itself, done once, command by command.
HOST_STEPS: dict[str, type] = {each.__name__: each for each in (StateStep, HostStep)}
#: Steps in the labs' namespaces.
LAB_STEPS: dict[str, type] = {
    each.__name__: each
    for each in (GatewayStep, ForwardsStep, BridgeStep, BridgeForwardsStep, GuestsStep, LabStep, CutStep)
}
STEPS = HOST_STEPS | LAB_STEPS
#: What can be asked about a lab or a gateway beside steps.
QUESTIONS: dict[str, Callable[..., Any]] = {
    "ready": ready.not_ready, "echo": observe.echo, "lab": observe.lab, "gateway": observe.gateway,
    "cut_now": observe_cut.now, "cut_stands": observe_cut.stands, "cut_counts": observe_cut.counts,
    "probe": probe.reached, "inodes": observe.inodes, "strays": observe.strays, "relied": observe.relied, "end": observe.end,
    "hold": observe.hold, "let_go": observe.let_go,
}  # fmt: skip

#: What to say of a worker that is gone in the middle of its work, and of one that sudo never started.
GONE = "the worker ended before its work was done; run vnet-up or vnet-down again"
REFUSED = "sudo did not let vnet in: run it on a terminal where it can ask for your password, or run it as root"


class Worker:
    """The parent's end of a worker."""

    def __init__(self, pid: int, channel: Channel) -> None:
        self.pid, self.channel = pid, channel
        self.show: Callable[[str, Step], None] | None = None
        self.locks: Sequence[int] = ()
        self.gone = GONE

    def do(self, way: str, step: Step) -> list[str]:
        """Do a step `up` or `down`; on the way down gives back what went wrong, else raises CommandError."""
        if self.show:
            self.show(way, step)
        answer = self._ask({"way": way, "step": type(step).__name__, "fields": encode(step)})
        return list(answer)

    def ask(self, question: str, **fields: Any) -> Any:
        """Ask about what is there; see `QUESTIONS`."""
        return self._ask({"question": question, "fields": {name: encode(value) for name, value in fields.items()}})

    def close(self) -> None:
        """Let the worker end, and wait for it."""
        self.channel.close()
        os.waitpid(self.pid, 0)

    def _ask(self, request: dict[str, Any]) -> Any:
        """Send one line, wait for one."""
        with signals.held():
            try:
                self.channel.send(request, self.locks)
                answer = self.channel.receive()
            except OSError:
                answer = None
        if answer is None:
            raise CommandError(self.gone)
        self.gone = GONE
        if answer.get("status") == LostError.status:
            raise LostError(answer["error"])
        if "error" in answer:
            raise CommandError(answer["error"])
        return answer["answer"]


def fork(enter: Callable[[], None]) -> Worker:
    """Fork a worker that first enters the namespaces where it has rights."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return Worker(pid, _channel(ours))
    status = 1
    try:
        ours.close()
        serve(_channel(theirs), enter)
        status = 0
    finally:
        os._exit(status)


def under_sudo(argv: Sequence[str]) -> Worker:
    """Start a worker under sudo; its words for the caller (the password's prompt) go to the terminal."""
    ours, theirs = socket.socketpair()
    actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0), (os.POSIX_SPAWN_DUP2, theirs.fileno(), 1)]
    pid = os.posix_spawn(argv[0], [*argv], os.environ, file_actions=actions)
    theirs.close()
    made = Worker(pid, _channel(ours))
    made.gone = REFUSED
    return made


def _channel(end: socket.socket) -> Channel:
    """Make a channel of one end of a pair."""
    fd = end.detach()
    return Channel(fd, fd)


def serve(channel: Channel, enter: Callable[[], None], guard: Guard | None = None) -> None:
    """Answer requests until there are no more, within the limits of the guard."""
    with suppress(PermissionError):  # sudo at a terminal has made it the leader of a session (sudoers(5), use_pty)
        os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    entered = False
    while (line := channel.line()) is not None:
        runner.LOCKS[:] = channel.locks
        try:
            if not entered:
                enter()
                entered = True
            answer = {"answer": _answer(json.loads(line), guard)}
        except LostError as error:
            answer = {"error": str(error), "status": error.status}
        except (VnetError, OSError, ValueError, ModuleNotFoundError) as error:
            answer = {"error": words(error)}
        except Exception as error:  # a mistake of vnet's own, or of a caller who speaks for himself
            answer = {"error": f"{type(error).__name__}: {error}" if guard else _traceback()}
        channel.let_go()
        try:
            channel.send(answer)
        except (BrokenPipeError, ConnectionResetError):  # the caller was killed: nobody asks any more
            return


def _traceback() -> str:
    """Tell where a mistake of vnet's own is: the parent undoes the step all the same, and shows it."""
    import traceback

    return traceback.format_exc()


def _answer(request: Any, guard: Guard | None) -> Any:
    """Do what a request asks for."""
    kind, name, fields = _read(request)
    if kind == "question":
        if guard and not guard.asked(name, fields):
            return []
        return QUESTIONS[name](**fields)
    step = decode(STEPS[name], fields)
    if guard:
        step = guard.limited(kind, step)
    if step is None:
        return []
    stages = step.up() if kind == "up" else step.down()
    act = single.run if name in HOST_STEPS else runner.run
    return act(stages, down=kind == "down")


def _read(request: Any) -> tuple[str, str, dict[str, Any]]:
    """Take a request apart: `up`, `down` or `question`, the name of a step or a question, and its fields."""
    if isinstance(request, dict) and isinstance(fields := request.get("fields"), dict):
        question, name, way = (request.get(key) for key in ("question", "step", "way"))
        if isinstance(question, str) and question in QUESTIONS:
            return "question", question, fields
        if isinstance(name, str) and name in STEPS and way in ("up", "down"):
            return way, name, fields
    raise CommandError(f"{request!r:.80}: neither a step nor a question")


def serve_sudo(uid: int, gids: frozenset[int]) -> None:
    """Serve a caller under sudo: steps of his own gateway and labs, and no one else's."""
    from vnet.workers.guard import Guard

    serve(Channel(0, 1), lambda: None, Guard(uid, gids))
