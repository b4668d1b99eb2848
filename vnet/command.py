"""A command as data: what the builders make, the plan orders and the runner runs.

Nothing here starts anything. `tools/ip.py`, `tools/iptables.py`, `tools/mount.py` and `tools/brctl.py` build commands; the
steps arrange them in stages; `kernel/runner.py` and `kernel/single.py` run them, `engine/show.py` prints them.
"""

from __future__ import annotations

from typing import NamedTuple

#: Where a command runs when it is not in a named network namespace.
HOST = ""


class Command(NamedTuple):
    """One command: an argv, the network namespace it runs in, and what it reads.

    `netns` is the name of a pin, as in ip-netns(8), or `HOST`. `stdin` is text, lines ending in a
    newline. An `ip` command may be joined with its neighbours into one `ip -batch`. `tidies`: it takes away what
    may not be there. `last`: on the way down it is left out where anything before it failed, so that all can be tried again.
    """

    argv: tuple[str, ...]
    netns: str = HOST
    stdin: str = ""
    tidies: bool = False
    last: bool = False


class Write(NamedTuple):
    """One line written to a kernel setting: cheaper than a command, printed as one.

    `key` is a path below /proc/sys. An `optional` setting may be missing (IPv6 off, br_netfilter not loaded), or
    not take the value (a group that a user namespace does not map).
    """

    key: str
    value: str
    netns: str = HOST
    optional: bool = False


class Maker(NamedTuple):
    """A process that makes namespaces by being in them, held until they are pinned, and let go then.

    `argv` ends in `cat`: when it answers, the namespaces are there. `pins` are pairs of a name in
    /proc/PID/ns and the file to pin it to.
    """

    argv: tuple[str, ...]
    pins: tuple[tuple[str, str], ...]
    netns: str = HOST


Action = Command | Write | Maker
#: Actions in order.
Script = tuple[Action, ...]
#: Scripts that may run at the same time.
Stage = tuple[Script, ...]
#: Stages in order.
Stages = tuple[Stage, ...]
