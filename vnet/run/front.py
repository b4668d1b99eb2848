"""The loop of a run: between the keeper, the commands' output, the terminal, signals and the clock."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from vnet.errors import VnetError
from vnet.run import output
from vnet.run.keeper import KILL_S, PASSED, Event, Keeper
from vnet.run.output import Screen
from vnet.run.plan import Program
from vnet.run.sources import NEVER, Source, Try
from vnet.run.state import State, exit_status

#: Signals that end a run.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
#: Seconds to wait for the last of an output that somebody holds open who is not below the keeper.
LAST_S = 1.0


class Wishes(NamedTuple):
    """How to run: seconds from TERM to KILL, seconds to get ready, the folder of logs, and whether there are colours."""

    kill_after_s: float
    ready_limit_s: float
    logs: str | None
    colour: bool


class Front:
    """One run. `request` makes a request to the keeper for a guest; `say` takes words for the user."""

    def __init__(self, state: State, keeper: Keeper, request: Callable[[str], dict[str, Any]], wishes: Wishes,
                 say: Callable[[str], None]) -> None:  # fmt: skip
        self.state, self.keeper, self.request, self.wishes, self.say = state, keeper, request, wishes, say
        self.sources: dict[int, Source] = {}
        self.tries: dict[str, Try] = {}
        self.screen = Screen(1)
        self.sent: signal.Signals | None = None  # the last signal on the way to the end
        self.next_s = NEVER  # the moment of the next one
        self.empty_after = 0  # how many things had been started when nothing of them was left
        self.last_s = NEVER  # the moment from which nothing more is waited for

    def run(self) -> int:
        """Run all to the end; gives back the exit status."""
        with _signals() as wake:
            while not self._over():
                for program in self.state.due:
                    self._start(program)
                for fd in self._wait(wake):
                    self._happened(fd, wake)
                self._clock()
        return self.state.status

    def _over(self) -> bool:
        """Tell whether all has ended and all has been said."""
        silent = not self.sources or time.monotonic() > self.last_s
        return self.last_s < NEVER and silent and not self.screen.waiting

    # What is started

    def _start(self, program: Program) -> None:
        """Start a program's command."""
        width = max(len(each.guest) for each in self.state.programs)
        head = output.head(program.guest, program.place, width, colour=self.wishes.colour)
        source = Source(output.Lines(head), self._log(program.guest))
        self._ask(program.guest, program.guest, {"argv": program.argv}, source)
        self.state = self.state.starts(program)
        if program.ready is not None:
            self.tries[program.guest] = Try(program, self.wishes.ready_limit_s)

    def _log(self, guest: str) -> BinaryIO | None:
        """Open a guest's log, if there is to be one."""
        if not self.wishes.logs:
            return None
        try:
            return open(f"{self.wishes.logs}/{guest}.log", "wb", buffering=0)
        except OSError as error:
            raise VnetError(
                f"{error.filename}: the log can't be written: {error.strerror}; --logs names another folder"
            ) from None

    def _ask(self, key: str, guest: str, what: dict[str, Any], source: Source) -> None:
        """Have something started, and listen to it."""
        mine, its = os.pipe()
        self.sources[mine] = source
        try:
            self.keeper.start({"key": key, **self.request(guest), **what}, its)
        finally:
            os.close(its)

    # What happens

    def _wait(self, wake: int) -> list[int]:
        """Wait until something happens, or it is time for something."""
        poll = select.poll()
        for fd in (wake, self.keeper.channel.fileno(), *(() if self.screen.full else self.sources)):
            poll.register(fd, select.POLLIN)
        if self.screen.waiting:
            poll.register(self.screen.fd, select.POLLOUT)
        until_s = min(self._times(), default=NEVER)
        limit_s = min(max(0.0, until_s - time.monotonic()), 3600.0)
        return [fd for fd, _ in poll.poll(limit_s * 1000 + 1)]

    def _times(self) -> Iterator[float]:
        """Name the moments at which something is due."""
        yield from (self.next_s, self.last_s)
        yield from (source.part_s for source in self.sources.values())
        yield from (min(each.last_s, each.next_s) for each in self.tries.values())

    def _happened(self, fd: int, wake: int) -> None:
        """Do what one thing that happened calls for."""
        if fd == wake:
            for number in os.read(wake, 64):
                self._signalled(signal.Signals(number))
        elif fd == self.keeper.channel.fileno():
            self._event(self.keeper.event())
        elif fd in self.sources:
            self._read(fd)
        elif self.screen.waiting:
            self._write()

    def _read(self, fd: int) -> None:
        """Take what something has printed."""
        data = os.read(fd, 65536)
        self.screen.waiting += self.sources[fd].take(data)
        if not data:
            log = self.sources.pop(fd).log
            os.close(fd)
            if log:
                log.close()

    def _write(self) -> None:
        """Show what there is to show; nobody who reads is an end, as it is to other programs (SIGPIPE)."""
        try:
            self.screen.write()
        except OSError:
            self.screen.close()
            self._stop(signal.SIGTERM, 128 + signal.SIGPIPE)

    def _event(self, event: Event) -> None:
        """Take note of what the keeper tells."""
        if event.key.startswith("?"):
            self._tried(event.key[1:], event.code)
        elif event.key:
            self._ended(event.key, event.code)
        else:
            self.empty_after = event.starts

    def _ended(self, guest: str, code: int) -> None:
        """Take note of a command's end, and stop all where that is to follow."""
        before, status = self.state, exit_status(code)
        self.state = before.ends(guest, status)
        if before.stopping:
            return
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        others = ": stopping the others" if self.state.stopping and self.state.running else ""
        if code or others:
            self.say(f"{guest} {how}{others}")
        if self.state.stopping:
            self._send(signal.SIGTERM)

    def _tried(self, guest: str, code: int) -> None:
        """Take note of a try whether something is ready."""
        if guest not in self.tries:
            return
        if code:
            self.tries[guest].again()
            return
        took_s = time.monotonic() - self.tries.pop(guest).since_s
        self.say(f"{guest}: ready after {took_s:.2f} s")
        self.state = self.state.is_ready(guest)

    # The end

    def _signalled(self, number: signal.Signals) -> None:
        """Pass a signal on; one that ends the run, a second time, kills at once."""
        if number in PASSED:
            self.keeper.signal(number)
        elif self.sent is None:
            self.say(f"{number.name}: stopping; once more kills at once")
            self._stop(number, 128 + number)
        else:
            self.screen.drop()
            self._send(signal.SIGKILL)

    def _stop(self, number: signal.Signals, status: int) -> None:
        """Begin to stop, with a signal to all."""
        if not self.state.stopping:
            self.state = self.state.stops(status)
            self._send(number)

    def _send(self, number: signal.Signals) -> None:
        """Send a signal to all, and see when the next is due: TERM behind a softer one, KILL behind TERM."""
        self.tries.clear()
        self.keeper.signal(number)
        limits_s = {signal.SIGTERM: self.wishes.kill_after_s, signal.SIGKILL: KILL_S}
        self.sent, self.next_s = number, time.monotonic() + limits_s.get(number, self.wishes.kill_after_s / 2)

    def _clock(self) -> None:
        """Do what it is time for."""
        now_s = time.monotonic()
        for source in self.sources.values():
            if now_s >= source.part_s:
                self.screen.waiting += source.take(b"")
        for each in list(self.tries.values()):
            self._try(each, now_s)
        if self.state.stopping and self.empty_after == self.keeper.starts:
            self.last_s = min(self.last_s, now_s + LAST_S)
        soft = self.sent is not None and self.sent not in (signal.SIGTERM, signal.SIGKILL)
        if now_s >= self.next_s or (soft and not self.state.running):
            self._next_signal()

    def _try(self, each: Try, now_s: float) -> None:
        """Try whether a program is ready, if it is time; give up if it is late."""
        guest = each.program.guest
        if now_s >= each.last_s:
            self.say(each.why())
            self._stop(signal.SIGTERM, 1)
        elif each.due:
            self._ask(f"?{guest}", guest, each.what, each.begin())

    def _next_signal(self) -> None:
        """Send the next signal to those that did not heed the last one; behind KILL there is none."""
        if self.last_s < NEVER:  # all have
            self.next_s = NEVER
        elif self.sent == signal.SIGKILL:
            self.last_s = self.next_s  # the way down of the lab says what did not end
        elif self.sent == signal.SIGTERM:
            names = " ".join(sorted(self.state.running)) or "what the commands left behind"
            self.say(f"{names}: not ended {self.wishes.kill_after_s:g} s after SIGTERM: killed")
            self._send(signal.SIGKILL)
        else:
            self._send(signal.SIGTERM)


@contextmanager
def _signals() -> Iterator[int]:
    """Turn signals into bytes that can be waited for; those that the caller ignores (nohup) stay ignored."""
    wake, waker = os.pipe()
    for fd in (wake, waker):
        os.set_blocking(fd, False)
    numbers = [each for each in (*ENDING, *PASSED) if signal.getsignal(each) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda _number, _frame: None) for number in numbers}
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    try:
        yield wake
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)
        os.close(waker)
