"""The host's own commands, one by one through `sh`, which nothing else imports: 0.1 s, 5 ms a call, and good words on failure.

So it is what is done once for a machine that goes this way; `runner.py` runs what is done for each lab.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from vnet.command import Action, Command, Maker, Stages, Write
from vnet.errors import CommandError
from vnet.kernel import failures, sysctl
from vnet.kernel.path import tool
from vnet.kernel.runner import ENVIRONMENT, LIMIT_S, LOCKS


def run(stages: Stages, *, down: bool = False) -> list[str]:
    """Run commands in order through `sh`; gives back what went wrong (`down`), or raises at the first."""
    errors: list[str] = []
    for action in (action for stage in stages for script in stage for action in script):
        if errors and isinstance(action, Command) and action.last:
            continue
        try:
            _run_one(action)
        except CommandError as error:
            tidies = down or (isinstance(action, Command) and action.tidies)
            if not tidies:
                raise
            if not (failures.is_missing(str(error)) or (down and failures.unstack(str(error)))):
                errors.append(str(error))
    return errors


def _run_one(action: Action) -> None:
    """Run one action on the host itself."""
    if isinstance(action, Write):
        sysctl.write(action)
    elif isinstance(action, Maker):
        _make(action)
    else:
        _call(action.argv, action.stdin)


def _call(argv: tuple[str, ...], stdin: str = "") -> None:
    """Call a command through `sh`."""
    import sh

    call = sh.Command(tool(argv[0]))
    running = call(*argv[1:], _in=stdin, _env=ENVIRONMENT, _tty_out=False, _cwd="/", _bg=True, _bg_exc=False,
                   _pass_fds={*LOCKS})  # fmt: skip
    with _worded(argv), _limit(running.kill):
        running.wait()


@contextmanager
def _worded(argv: tuple[str, ...]) -> Iterator[None]:
    """Say in words how a command failed."""
    import sh

    try:
        yield
    except sh.ErrorReturnCode as error:
        said = (error.stderr or error.stdout).decode(errors="replace").strip()
        raise CommandError(f"{' '.join(argv)}: exit status {error.exit_code}: {said}") from None


@contextmanager
def _limit(kill: Callable[[], None]) -> Iterator[None]:
    """Kill what is waited for when its time is over. sh's own `_timeout` takes 100 ms a call, `wait(timeout=)` 35."""
    old = signal.signal(signal.SIGALRM, lambda _number, _frame: kill())
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def _make(maker: Maker) -> None:
    """Start a maker, wait until it answers, pin its namespaces, and let it go.

    A mount namespace can be pinned only from an older one, and Linux 6.18 tells the older by numbers that each processor
    hands out of a batch of its own. So a new one may count as older, and is made once more, on the next processor. Its pin is
    a maker's first, so nothing is pinned then.
    """
    everywhere = os.sched_getaffinity(0)
    choices = [everywhere, *({cpu} for cpu in sorted(everywhere))]
    for last, cpus in ((cpus is choices[-1], cpus) for cpus in choices):
        os.sched_setaffinity(0, cpus)
        try:
            _make_once(maker)
            return
        except CommandError as error:
            if last or "/ns/mnt" not in str(error):
                raise
        finally:
            os.sched_setaffinity(0, everywhere)


def _make_once(maker: Maker) -> None:
    """Start a maker and pin its namespaces; it answers once it has them, and closes its end where it fails."""
    import sh

    talk_read, talk_write = os.pipe()
    answer_read, answer_write = os.pipe()
    try:
        running = sh.Command(tool(maker.argv[0]))(
            *maker.argv[1:], _in=os.fdopen(talk_read, "rb", 0), _out=answer_write, _env=ENVIRONMENT, _cwd="/",
            _tty_in=False, _tty_out=False, _bg=True, _bg_exc=False, _new_session=False,
        )  # fmt: skip
        os.close(answer_write)
        answer_write = -1
        with suppress(BrokenPipeError):
            os.write(talk_write, b"\n")
        if not _readable(answer_read, LIMIT_S):
            running.kill()
            raise CommandError(
                f"{' '.join(maker.argv)}: no namespaces within {LIMIT_S:.0f} s; vnet-doctor finds what is in the way"
            )
        if not os.read(answer_read, 1):
            with _worded(maker.argv):
                running.wait()
            raise CommandError(f"{' '.join(maker.argv)}: it ended without making namespaces")
        for kind, path in maker.pins:
            _call(("mount", "--no-mtab", "--bind", f"/proc/{running.pid}/ns/{kind}", path))
    finally:
        for fd in (talk_write, answer_read, answer_write):
            if fd >= 0:
                os.close(fd)


def _readable(fd: int, limit_s: float) -> bool:
    """Wait until there is something to read."""
    import select

    return bool(select.select([fd], [], [], limit_s)[0])
