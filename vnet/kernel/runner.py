"""The runner: runs the commands of steps in labs, in as few processes as can be; `single.py` runs those on the host.

Neighbouring `ip` commands of a script become one `ip -batch`, scripts of a stage run three at a time, and each
process is started inside its network namespace by setns(2) and posix_spawn(3). `ip netns exec` would copy
the mount table for each (18 ms where 4,000 namespaces are pinned).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from vnet.command import HOST, Stages
from vnet.errors import CommandError
from vnet.kernel import failures, namespace, sysctl
from vnet.kernel.jobs import Job, jobs
from vnet.kernel.marks import pin
from vnet.kernel.path import PATH, tool

#: What tools get to see of the environment: nothing of the caller's (LD_PRELOAD, BASH_ENV).
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C", "XTABLES_LOCKFILE": "/run/xtables.lock"}
#: Processes in flight: two cores, and one to wait for the kernel's locks.
IN_FLIGHT = 3
#: Seconds that one process may take.
LIMIT_S = 60.0

#: Open files of locks that commands are to hold as long as they run: see `workers/channel.py`.
LOCKS: list[int] = []


class Running(NamedTuple):
    """A process under way, the rest of its script, and where its output goes (a file in memory)."""

    job: Job
    rest: Iterator[Job]
    output: int
    deadline_s: float


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
        if not (self.down and (failures.is_missing(error) or failures.unstack(error))):
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
                sysctl.write(each)
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
