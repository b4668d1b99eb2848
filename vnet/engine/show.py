"""Steps as lines that can be pasted into a shell: for --dry-run, -v, and before sudo is used the first time."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import join, quote
from typing import Any

from vnet.command import HOST, Action, Command, Maker, Write
from vnet.host import HostStep, StateStep, pins_folder
from vnet.model import Way
from vnet.step import Step


def lines(step: Step, way: str, rights: Way) -> Iterator[str]:
    """Write each command of a step `up` or `down`, one a line; those of `userns` enter the namespaces first."""
    inside = rights == "userns" and not isinstance(step, HostStep | StateStep)
    prefix = _prefix(_uid(step)) if inside else ""
    for stage in getattr(step, way)():
        for script in stage:
            for action in script:
                yield from _lines(action, prefix)


def files(folder: str, texts: dict[str, str]) -> Iterator[str]:
    """Write the commands that write files."""
    yield join(("install", "-d", folder))
    for name, text in texts.items():
        yield f"printf '%s\\n' {_quoted(text)} > {quote(f'{folder}/{name}')}"


def _uid(step: Any) -> int:
    """Tell whose step it is."""
    gateway = step.lab.gateway if hasattr(step, "lab") else step.gateway
    return int(gateway.uid)


def _prefix(uid: int) -> str:
    """Enter the namespaces of a caller's labs."""
    folder = pins_folder(uid)
    pins = f"--user={folder}/admin --net={folder}/gateway --mount={folder}/mnt"
    return f"nsenter {pins} --preserve-credentials "


def _lines(action: Action, prefix: str) -> Iterator[str]:
    """Write one action."""
    if isinstance(action, Maker):
        yield f"coproc MAKER {{ exec {join(action.argv)}; }}"
        yield 'echo >&"${MAKER[1]}"; read -r <&"${MAKER[0]}"'
        yield from (f"mount --no-mtab --bind /proc/$MAKER_PID/ns/{kind} {quote(path)}" for kind, path in action.pins)
        yield 'kill "$MAKER_PID"; wait "$MAKER_PID"'
    elif isinstance(action, Write):
        unknown = "-e " if action.optional else ""
        yield f"{prefix}{_inside(action.netns)}busybox sysctl -q {unknown}-w {quote(f'{action.key}={action.value}')}"
    else:
        source = f"printf '%s\\n' {_quoted(action.stdin)} | " if action.stdin else ""
        tolerant = " || true" if action.tidies else ""
        yield f"{source}{prefix}{join(_argv(action))}{tolerant}"


def _inside(netns: str) -> str:
    """Enter a network namespace."""
    return "" if netns == HOST else f"ip netns exec {quote(netns)} "


def _argv(command: Command) -> tuple[str, ...]:
    """Write a command so that it enters its network namespace by itself."""
    if command.netns == HOST:
        return command.argv
    if command.argv[0] == "ip":
        return ("ip", "-n", command.netns, *command.argv[1:])
    return ("ip", "netns", "exec", command.netns, *command.argv)


def _quoted(text: str) -> str:
    """Quote lines as words."""
    return join(text.splitlines())
