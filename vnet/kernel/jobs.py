"""Jobs: the actions of a script, joined to as few processes as can be. Pure; `runner.py` starts them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NamedTuple

from vnet.command import HOST, Command, Maker, Script, Write


class Job(NamedTuple):
    """Settings to write in a network namespace, then one process to start there for some commands; `argv` may be empty."""

    netns: str
    writes: tuple[Write, ...] = ()
    argv: tuple[str, ...] = ()
    stdin: str = ""
    commands: tuple[Command, ...] = ()

    @property
    def place(self) -> str:
        """Name where it runs, for a message."""
        return f" in {self.netns}" if self.netns else ""

    def __str__(self) -> str:
        """Name it for a message."""
        argv = self.commands[0].argv if len(self.commands) == 1 else self.argv
        return f"{' '.join(argv) or ' '.join(each.key for each in self.writes)}{self.place}"

    def failures(self, status: int, said: str) -> Iterator[str]:
        """Tell what failed in a process: for a batch each line that did, as `ip` counts them."""
        if status == 0:
            return
        message: list[str] = []
        for line in said.splitlines():
            head, _, number = line.rpartition(":")
            if self.commands and head == "Command failed -" and number.isdigit():
                command = self.commands[min(int(number), len(self.commands)) - 1]
                yield f"{' '.join(command.argv)}{self.place}: {' '.join(message)}"
                message = []
            else:
                message.append(line)
        if message or "Command failed -" not in said:
            yield f"{self}: {_end(status)}{': ' if message else ''}{' '.join(message)}"


def _end(status: int) -> str:
    """Tell how a process ended; below 0, by which signal. `runner.py` kills what takes longer than its limit."""
    if status == -signal.SIGKILL:
        return (
            "killed, by vnet if it had hung for a minute: something holds it up (a lock of iptables, a module being loaded); "
            "vnet-doctor, then try again"
        )
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def jobs(script: Script, *, down: bool) -> Iterator[Job]:
    """Join neighbours of one namespace: settings with the process behind them, `ip` commands into batches."""
    writes: list[Write] = []
    batch: list[Command] = []
    for action in script:
        if isinstance(action, Maker):
            raise TypeError(action)
        if (writes or batch) and not _joins(action, writes, batch):
            yield _job(writes, batch, down=down)
            writes, batch = [], []
        if isinstance(action, Write):
            writes.append(action)
        else:
            batch.append(action)
    if writes or batch:
        yield _job(writes, batch, down=down)


def _joins(action: Command | Write, writes: list[Write], batch: list[Command]) -> bool:
    """Tell whether an action can go into one job with those before it."""
    if batch and not (isinstance(action, Command) and action.argv[0] == batch[0].argv[0] == "ip"):
        return False
    if _is_pin(action):
        return True
    if writes or not all(map(_is_pin, batch)):
        return action.netns == _netns(writes, batch)
    return all(action.netns != pin.argv[-1] for pin in batch)  # it can't be entered before it is there


def _is_pin(action: Command | Write) -> bool:
    """Tell whether an action makes or deletes a pin, which ip-netns(8) does wherever it is."""
    return isinstance(action, Command) and action.argv[:2] == ("ip", "netns")


def _netns(writes: list[Write], batch: list[Command]) -> str:
    """Tell where the actions of a job are to be done."""
    actions: list[Command | Write] = [*writes, *batch]
    return next((each.netns for each in actions if not _is_pin(each)), HOST)


def _job(writes: list[Write], commands: list[Command], *, down: bool) -> Job:
    """Make one process of several `ip` commands; a word with a blank in it could be a command more, and is refused."""
    netns = _netns(writes, commands)
    if not commands or commands[0].argv[0] != "ip":
        argv, stdin = (commands[0].argv, commands[0].stdin) if commands else ((), "")
        return Job(netns, tuple(writes), argv, stdin, tuple(commands))
    force = ("-force",) if down else ()
    lines = "".join(f"{' '.join(command.argv[1:])}\n" for command in commands)
    if len(lines.split()) != sum(len(command.argv) - 1 for command in commands):
        raise ValueError(f"{lines!r:.80}: a blank in a word")
    return Job(netns, tuple(writes), ("ip", *force, "-batch", "-"), lines, tuple(commands))
