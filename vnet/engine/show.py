"""Steps as lines that can be pasted into a shell: for --dry-run, -v, and before sudo is used the first time."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import join, quote
from typing import Any

from vnet.command import HOST, Action, Command, Maker, Write
from vnet.host import HostStep, StateStep
from vnet.kernel.marks import pins_folder
from vnet.model import Way
from vnet.step import Step


def lines(step: Step, way: str, rights: Way, *, sudo: bool = False) -> Iterator[str]:
    """Write each command of a step `up` or `down`, one a line; those of `userns` enter the namespaces first.

    `sudo`: the caller is to paste them, so what takes root begins with sudo.
    """
    as_root = rights == "sudo" or isinstance(step, HostStep | StateStep)
    prefix = ("sudo ",) if sudo and as_root and rights != "root" else ()
    if rights == "userns" and not as_root:
        prefix = (_prefix(_uid(step)),)
    for stage in getattr(step, way)():
        for script in stage:
            for action in script:
                yield _line(action, "".join(prefix), down=way == "down")


def file(path: str, text: str) -> str:
    """Write the command that writes a file."""
    return f"{_printed(text)} > {quote(path)}" if text else f": > {quote(path)}"


def _uid(step: Any) -> int:
    """Tell whose step it is."""
    gateway = step.lab.gateway if hasattr(step, "lab") else step.gateway
    return int(gateway.uid)


def _prefix(uid: int) -> str:
    """Enter the namespaces of a caller's labs."""
    folder = pins_folder(uid)
    pins = f"--user={folder}/admin --net={folder}/gateway --mount={folder}/mnt"
    return f"nsenter {pins} --preserve-credentials "


def _line(action: Action, prefix: str, *, down: bool) -> str:
    """Write one action; what may find nothing to do there is not to fail."""
    if isinstance(action, Maker):
        return _maker(action, prefix)
    if isinstance(action, Write):
        write = f"{prefix}{_inside(action.netns)}busybox sysctl -q -w {quote(f'{action.key}={action.value}')}"
        return f"{write} 2>/dev/null || true" if action.optional else write
    source = f"{_printed(action.stdin)} | " if action.stdin else ""
    tolerant = " 2>/dev/null || true" if action.tidies or down else ""
    return f"{source}{prefix}{join(_argv(action))}{tolerant}"


def _maker(maker: Maker, prefix: str) -> str:
    """Hold the namespaces by a process that tells its number, pin them, let it go.

    A mount namespace may have to be made on another processor, see `single._make`.
    """
    held = f"{prefix}{join((*maker.argv[:-1], 'sh', '-c', 'echo $$; exec sleep 60'))}"
    pins = (f"{prefix}mount --no-mtab --bind /proc/$maker/ns/{kind} {quote(path)}" for kind, path in maker.pins)
    pinned = f"(read -r maker; {' && '.join(pins)}; made=$?; {prefix}kill -PIPE $maker; exit $made)"
    if all(kind != "mnt" for kind, _ in maker.pins):
        return f"{held} | {pinned}"
    return f"for cpu in $(seq 0 $(nproc --all)); do taskset --cpu-list $cpu {held} | {pinned} && break; done"


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


def _printed(text: str) -> str:
    """Write the command that prints a text, which ends in a newline."""
    return join(("printf", "%s\\n", *text.removesuffix("\n").split("\n")))
