"""The runner: the one module that runs the steps' commands, and the only one that imports `sh`.

Two ways, since they cost differently. What is done once for a machine (the host's end) goes command by command
through `sh`: 0.1 s to import, 5 ms a call, and good words when one fails. What is done for each lab goes in
batches: neighbouring `ip` commands of a script become one `ip -batch`, scripts of a stage run three at a time, each
process is started inside its network namespace by setns(2) and posix_spawn(3). `ip netns exec` would copy
the mount table for each (18 ms where 4,000 namespaces are pinned).
"""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import NamedTuple

from vnet.command import HOST, Action, Command, Maker, Stages, Write
from vnet.errors import CommandError
from vnet.kernel import namespace
from vnet.kernel.jobs import Job, jobs
from vnet.kernel.path import PATH, tool

#: What tools get to see of the environment: nothing of the caller's (LD_PRELOAD, BASH_ENV).
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C", "XTABLES_LOCKFILE": "/run/xtables.lock"}
#: Processes in flight: two cores, and one to wait for the kernel's locks.
IN_FLIGHT = 3
#: Seconds that one process may take.
LIMIT_S = 60.0
#: Where namespaces are pinned, as ip-netns(8) has it.
PINS = "/run/netns"

#: Open files of locks that commands are to hold as long as they run: see `workers/channel.py`.
LOCKS: list[int] = []

#: What tools say when the thing to be taken away is not there.
MISSING = (
    "Cannot find device", "No such file or directory", "does not exist", "No chain/target/match by that name",
    "does a matching rule exist", "Bad rule", "not mounted", "no mount point", "not found", "No such device",
    "No such process", f"Invalid argument: {PINS}/", "Directory not empty",
)  # fmt: skip


#: What ip-netns(8) says of a pin that is mounted over: it takes one mount away.
STACKED = re.compile(f'Cannot remove namespace file "{PINS}/([^"/]+)": Device or resource busy')


def pin(netns: str) -> str:
    """Tell where a network namespace is pinned."""
    return f"{PINS}/{netns}"


class Running(NamedTuple):
    """A process under way, the rest of its script, and where its output goes (a file in memory)."""

    job: Job
    rest: Iterator[Job]
    output: int
    deadline_s: float


def run_one_by_one(stages: Stages, *, down: bool = False) -> list[str]:
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
            if not (is_missing(str(error)) or (down and unstack(str(error)))):
                errors.append(str(error))
    return errors


def _run_one(action: Action) -> None:
    """Run one action on the host itself."""
    if isinstance(action, Write):
        _write(action)
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
    try:
        with _limit(running.kill):
            running.wait()
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
    """Start a maker and pin its namespaces."""
    import sh

    talk_read, talk_write = os.pipe()
    answer_read, answer_write = os.pipe()
    try:
        running = sh.Command(tool(maker.argv[0]))(
            *maker.argv[1:], _in=os.fdopen(talk_read, "rb", 0), _out=answer_write, _env=ENVIRONMENT, _cwd="/",
            _tty_in=False, _tty_out=False, _bg=True, _bg_exc=False, _new_session=False,
        )  # fmt: skip
        os.write(talk_write, b"\n")
        if not _readable(answer_read, LIMIT_S):
            raise CommandError(
                f"{' '.join(maker.argv)}: no namespaces within {LIMIT_S:.0f} s; vnet-doctor finds what is in the way"
            )
        for kind, path in maker.pins:
            _call(("mount", "--no-mtab", "--bind", f"/proc/{running.pid}/ns/{kind}", path))
    finally:
        for fd in (talk_write, answer_read, answer_write):
            os.close(fd)


def _readable(fd: int, limit_s: float) -> bool:
    """Wait until there is something to read."""
    import select

    return bool(select.select([fd], [], [], limit_s)[0])


def _write(action: Write) -> None:
    """Write a kernel setting of the namespace that this process is in now."""
    where = f" in {action.netns}" if action.netns else ""
    try:
        with open(f"/proc/sys/{action.key}", "w", encoding="ascii") as file:
            file.write(action.value)
    except FileNotFoundError:
        if not action.optional:
            raise CommandError(
                f"/proc/sys/{action.key}{where}: this kernel has no such setting; vnet-doctor tells what it lacks"
            ) from None
    except OSError as error:
        if not (action.optional and error.errno == errno.EINVAL):
            raise CommandError(f"/proc/sys/{action.key} = {action.value}{where}: {error.strerror}") from None


def run(stages: Stages, *, down: bool = False) -> list[str]:
    """Run stages in order, the scripts of each at the same time.

    Gives back what went wrong, beside what was missing already (`down`); else raises at the end of the first
    stage in which something failed.
    """
    errors: list[str] = []
    for stage in stages:
        pool = _Pool(down=down)
        with _children_wait():
            pool.run([jobs(script, down=down) for script in stage if script])
        if pool.errors and not down:
            raise CommandError("\n".join(pool.errors))
        errors += pool.errors
    return errors


class _Pool:
    """Runs the scripts of one stage side by side."""

    def __init__(self, *, down: bool) -> None:
        self.down = down
        self.errors: list[str] = []
        self.running: dict[int, Running] = {}

    def run(self, scripts: list[Iterator[Job]]) -> None:
        """Run them all, `IN_FLIGHT` processes at most; what failed is in `errors`. SIGCHLD must be blocked."""
        waiting = scripts[::-1]
        while waiting or self.running:
            while waiting and len(self.running) < IN_FLIGHT:
                self._advance(waiting.pop())
            if self.running:
                rest = self._reap()
                if rest is not None:
                    self._advance(rest)

    def _advance(self, script: Iterator[Job]) -> None:
        """Go on with a script until it has a process running, or is done, or has failed."""
        for job in script:
            try:
                if job.argv:
                    self.start(job, script)
                    return
                with _inside(job):
                    pass
            except CommandError as error:
                self._note(str(error))
                if not self.down:
                    return

    def _note(self, error: str) -> None:
        """Keep an error; on the way down what is missing is none."""
        if not (self.down and (is_missing(error) or unstack(error))):
            self.errors.append(error)

    def start(self, job: Job, rest: Iterator[Job]) -> None:
        """Start a process inside its network namespace, its input and output in memory."""
        source, output = os.memfd_create("in"), os.memfd_create("out")
        try:
            os.write(source, job.stdin.encode())
            os.lseek(source, 0, os.SEEK_SET)
            pid = _spawn(job, [(os.POSIX_SPAWN_DUP2, old, new) for old, new in ((source, 0), (output, 1), (output, 2))])
        except CommandError:
            os.close(output)
            raise
        finally:
            os.close(source)
        self.running[pid] = Running(job, rest, output, time.monotonic() + LIMIT_S)

    def _reap(self) -> Iterator[Job] | None:
        """Wait for one process; gives back what is left of its script, if that is to go on."""
        pid, status = self.wait()
        done = self.running.pop(pid)
        said = _read(done.output)
        for error in done.job.failures(os.waitstatus_to_exitcode(status), said):
            self._note(error)
        return done.rest if status == 0 or self.down else None

    def wait(self) -> tuple[int, int]:
        """Wait until a process ends, and end it when its time is over. SIGCHLD is blocked, so none is missed."""
        while True:
            for pid, running in self.running.items():
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    return pid, status
                if time.monotonic() > running.deadline_s:
                    os.kill(pid, signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, 1.0)


@contextmanager
def _inside(job: Job) -> Iterator[None]:
    """Be in a job's namespace for a while, and write its settings there."""
    try:
        with namespace.network(pin(job.netns)) if job.netns else nullcontext():
            for each in job.writes:
                _write(each)
            yield
    except OSError as error:
        raise CommandError(f"{job}: {error.strerror}: {error.filename}") from None


def _spawn(job: Job, actions: list[tuple[int, int, int]]) -> int:
    """Call posix_spawn(3), in the job's namespace."""
    with _inside(job):
        return os.posix_spawn(tool(job.argv[0]), job.argv, ENVIRONMENT, file_actions=actions, setsigmask=())


def _read(fd: int) -> str:
    """Read a file in memory whole, and close it."""
    os.lseek(fd, 0, os.SEEK_SET)
    with os.fdopen(fd, "rb") as file:
        return file.read().decode(errors="replace").strip()


def unstack(error: str) -> bool:
    """Take a pin away that somebody has mounted over, where an error of `ip netns del` says that it is busy."""
    found = STACKED.search(error)
    if not found:
        return False
    path = pin(found[1])
    try:
        with suppress(OSError):  # EINVAL: no mount is left
            while True:
                namespace.umount_lazily(path)
        os.unlink(path)
    except OSError:
        return False
    return True


def is_missing(error: str) -> bool:
    """Tell whether a message only says that the thing to be taken away was not there."""
    return any(text in error for text in MISSING)


def capture(argv: tuple[str, ...], netns: str = HOST, *, may_fail: bool = False) -> str:
    """Run one command and give back what it printed; for looking, not for changing."""
    job = Job(netns, argv=argv)
    pool = _Pool(down=False)
    with _children_wait():
        pool.start(job, iter(()))
        pid, status = pool.wait()
    said = _read(pool.running.pop(pid).output)
    if status and not may_fail:
        raise CommandError(f"{job}: exit status {os.waitstatus_to_exitcode(status)}: {said}")
    return "" if status else said


@contextmanager
def _children_wait() -> Iterator[None]:
    """Block SIGCHLD, so that the end of no child is missed between a look and a wait."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
