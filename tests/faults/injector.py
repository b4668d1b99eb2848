"""Runs one command under a tracer that counts what it changes, and does harm to it at a chosen place.

What is counted, with all processes that come from the command, sudo's part included:

    exec   a tool is about to start
    exit   a tool has ended
    sys    a system call has changed something: a file below /run, a kernel setting, a mount, a link or rule (netlink)
    try    such a system call is about to be made, and may fail

A *change* is one of `exit` and `sys`. Python's and sudo's own starts and ends are no tools'.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from faults import ptrace

PLACES = ("/run", "/proc/sys/")


@dataclass(frozen=True)
class Fault:
    """What to do, and where: at the n-th event of a kind (from 0), or after a time.

    `act`: kill (all processes), main (the first process alone), python (all Pythons; the tools go on, the one
    under way only after `hold_ms`), signal (to the first process), group (to all), stop (all, and continued after `hold_ms`),
    sham (a program in place of a tool), errno (the system call fails); none.
    """

    act: str = ""
    kind: str = "change"
    n: int = -1
    after_us: int = 0
    number: int = 0
    sham: str = ""
    hold_ms: int = 0


@dataclass
class Told:
    """What came of it."""

    status: int = -1
    fired: bool = False
    at: str = ""
    hung: bool = False
    took_s: float = 0.0
    events: list[tuple[str, str]] = field(default_factory=list)


class Injector:
    """The tracer of one command."""

    def __init__(self, fault: Fault, report: int, limit_s: float) -> None:
        self.fault, self.report, self.limit_s = fault, report, limit_s
        self.told = Told()
        self.program: dict[int, str] = {}
        self.words: dict[int, str] = {}
        self.pending: dict[int, str] = {}
        self.counts = {"exec": 0, "exit": 0, "sys": 0, "try": 0, "change": 0}
        self.held: int | None = None
        self.alarm_kills = bool(fault.after_us)

    def run(self, pid: int) -> Told:
        """Trace until the last process is gone."""
        self.main = pid
        self.program[pid] = "python"
        started = time.monotonic()
        self.deadline = started + self.limit_s
        signal.signal(signal.SIGALRM, self._alarm)
        if self.fault.after_us:
            signal.setitimer(signal.ITIMER_REAL, self.fault.after_us / 1e6)
        else:
            signal.setitimer(signal.ITIMER_REAL, self.limit_s)
        with suppress(ChildProcessError):
            while True:
                where, status = os.waitpid(-1, ptrace.WALL)
                self._on(where, status)
                if where == self.main and not os.WIFSTOPPED(status):
                    self.told.took_s = time.monotonic() - started
        return self.told

    def _alarm(self, _number: int, _frame: Any) -> None:
        """Do what was to be done after a time."""
        if self.held is not None:
            held, self.held = self.held, None
            if self.fault.act == "stop":
                for pid in self.program:
                    _kill(pid, signal.SIGCONT)
            else:
                ptrace.go(held)
        elif self.alarm_kills:
            self.alarm_kills = False
            self._fire("after a time", None)
        else:
            self.told.hung = True
            self._kill_all()
            return
        signal.setitimer(signal.ITIMER_REAL, max(0.001, self.deadline - time.monotonic()))

    def _on(self, pid: int, status: int) -> None:
        """Look at what a process stopped for, and let it go on."""
        if not os.WIFSTOPPED(status):
            self.program.pop(pid, None)
            self.pending.pop(pid, None)
            if pid == self.main:
                self.told.status = os.waitstatus_to_exitcode(status)
            return
        number, event = os.WSTOPSIG(status), status >> 16
        try:
            if event == ptrace.EVENT_SECCOMP:
                self._enter(pid)
            elif number == signal.SIGTRAP | 0x80:
                self._leave(pid)
            elif event:
                self._event(pid, event, number)
            else:
                ptrace.go(pid, signal=number)
        except (ProcessLookupError, FileNotFoundError):  # killed meanwhile
            ptrace.go(pid)

    def _event(self, pid: int, event: int, number: int) -> None:
        """Hear that a process was born, became a program, ends, or stopped."""
        if event in (ptrace.EVENT_FORK, ptrace.EVENT_VFORK, ptrace.EVENT_CLONE):
            child = ptrace.message(pid)
            if self.program.get(child, "?") == "?":  # it may have stopped before this was told
                self.program[child], self.words[child] = self.program.get(pid, "?"), self.words.get(pid, "")
        elif event == ptrace.EVENT_EXIT and self._is_tool(pid):
            code = os.waitstatus_to_exitcode(ptrace.message(pid))
            if code != -signal.SIGKILL:
                self._count("exit", f"{self.words.get(pid, '?')} -> {code}", pid)
        elif event == ptrace.EVENT_STOP:
            if number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
                ptrace.go(pid, ptrace.LISTEN)
                return
            if pid not in self.program:
                self.program[pid] = "?"
        if self.held != pid:
            ptrace.go(pid)

    def _is_tool(self, pid: int) -> bool:
        return not self.program.get(pid, "?").startswith(("python", "sudo", "?"))

    def _enter(self, pid: int) -> None:
        """See a process that is about to make a system call of `ptrace.CALLS`."""
        regs = ptrace.registers(pid)
        name = ptrace.CALLS[regs.orig_rax]
        if name == "execve":
            self._exec(pid, regs)
            return
        what = self._changes(pid, name, regs)
        if not what:
            ptrace.go(pid)
            return
        fault = self.fault
        if fault.act == "errno" and self.counts["try"] == fault.n and not self.told.fired:
            self.told.fired, self.told.at = True, what
            ptrace.refuse(pid, regs, fault.number)
        self._count("try", what, pid)
        self.pending[pid] = what
        ptrace.go(pid, ptrace.SYSCALL)

    def _exec(self, pid: int, regs: ptrace.Registers) -> None:
        """See a process that is about to become a program."""
        path = ptrace.text(pid, regs.rdi)
        if not os.access(path, os.X_OK):
            ptrace.go(pid)
            return
        argv = ptrace.words(pid, regs.rsi)
        self.program[pid] = os.path.basename(path)
        self.words[pid] = " ".join([os.path.basename(path), *argv[1:]])[:200]
        if not self._is_tool(pid):
            ptrace.go(pid)
            return
        fault = self.fault
        if fault.act == "sham" and self.counts["exec"] == fault.n and not self.told.fired:
            self.told.fired, self.told.at = True, self.words[pid]
            regs.rdi = ptrace.put_text(pid, regs, fault.sham)
            ptrace.set_registers(pid, regs)
        self._count("exec", self.words[pid], pid)
        if self.held != pid:
            ptrace.go(pid)

    def _changes(self, pid: int, name: str, regs: ptrace.Registers) -> str:
        """Describe a system call that is about to change something; empty for one that is not."""
        program = self.program.get(pid, "?")
        if program == "sudo":
            return ""
        if name == "sendmsg":
            asks = program.startswith("python") or ptrace.only_asks(pid, regs.rsi)
            return "" if asks else f"{self.words.get(pid, program)}: netlink"
        if name in ("write", "ftruncate"):
            try:
                path = os.readlink(f"/proc/{pid}/fd/{regs.rdi}")
            except OSError:
                return ""
            return f"{program}: {name} {path}" if path.startswith(PLACES) else ""
        if name in ("mount_setattr", "move_mount"):
            return f"{program}: {name}"
        path = ptrace.text(pid, regs.rsi if name in (*ptrace.AT, "mount") else regs.rdi)
        if name in ("open", "creat", "openat") or program.startswith("python"):
            return f"{program}: {name} {path}" if path.startswith(PLACES) or not path.startswith("/") else ""
        return f"{program}: {name} {path}"

    def _leave(self, pid: int) -> None:
        """See that a system call is done."""
        what = self.pending.pop(pid, "")
        done = signed(ptrace.registers(pid).rax) >= 0
        if what and done and "openat /proc/sys" not in what:
            self._count("sys", what, pid)
        if self.held != pid:
            ptrace.go(pid)

    def _count(self, kind: str, what: str, pid: int) -> None:
        """Count an event, and do harm if it is its time."""
        at = self.counts[kind]
        self.counts[kind] += 1
        self.told.events.append((kind, what))
        change = self.counts["change"]
        changes = kind in ("exit", "sys")
        self.counts["change"] += changes
        fault = self.fault
        due = fault.n == (change if fault.kind == "change" and changes else at if fault.kind == kind else -2)
        if due and not self.told.fired and fault.act not in ("sham", "errno", ""):
            self._fire(f"{kind} {what}", pid)

    def _fire(self, at: str, pid: int | None) -> None:
        """Do harm."""
        fault = self.fault
        self.told.fired, self.told.at = True, at
        if fault.act == "kill":
            self._kill_all()
        elif fault.act == "main":
            _kill(self.main, signal.SIGKILL)
        elif fault.act == "python":
            self._hold(pid)
            for each, program in list(self.program.items()):
                if program.startswith("python") or program == "sudo":
                    _kill(each, signal.SIGKILL)
        elif fault.act == "signal":
            _kill(self.main, fault.number)
        elif fault.act == "group":
            for each in list(self.program):
                _kill(each, fault.number)
        elif fault.act == "stop":
            self._hold(-1)
            for each in list(self.program):
                _kill(each, signal.SIGSTOP)
        os.write(self.report, b'"fired"\n')

    def _hold(self, pid: int | None) -> None:
        """Keep a process stopped for a while."""
        if pid is not None and self.fault.hold_ms:
            self.held = pid
            signal.setitimer(signal.ITIMER_REAL, self.fault.hold_ms / 1000)

    def _kill_all(self) -> None:
        """Kill all processes, the first one first."""
        for pid in [self.main, *self.program]:
            _kill(pid, signal.SIGKILL)


def signed(value: int) -> int:
    """Read a register as a signed number."""
    return value - (1 << 64) if value >> 63 else value


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def start(argv: list[str], become: Any, fault: Fault, limit_s: float, report: int) -> int:
    """Fork a tracer that runs a command; it writes lines of JSON to `report`. Gives back the tracer's process id."""
    tracer = os.fork()
    if tracer:
        return tracer
    try:
        ready, go = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(go)
                os.close(report)
                os.read(ready, 1)
                os.close(ready)
                os.setsid()
                ptrace.watch()
                become()
                os.execv(argv[0], argv)  # noqa: S606
            finally:
                os._exit(124)
        ptrace.call(ptrace.SEIZE, child, None, ptrace.OPTIONS)
        os.close(ready)
        os.close(go)
        told = Injector(fault, report, limit_s).run(child)
        os.write(report, json.dumps(asdict(told)).encode() + b"\n")
    except BaseException as error:
        import traceback

        traceback.print_exc(file=sys.stderr)
        os.write(report, json.dumps({"error": repr(error)}).encode() + b"\n")
    finally:
        os._exit(0)
