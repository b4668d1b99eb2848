"""The table of keys: what the settings may say, each key in one row.

Defaults, checking, docs/settings.md and settings.example.toml are derived from it or held to it by tests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from vnet.config import checks as check
from vnet.config.words import Wrong, dotted, line, not_a
from vnet.errors import near
from vnet.model import MTU

Path = tuple[str, ...]

NAME = (
    "1 to 63 ASCII letters, digits, '-', '_' and '.', a letter or digit first and last, and not a number or an address"
)
GUEST_NAME = f"{NAME}, nor {', '.join(check.NODES)}"
PROJECT_ONLY = ("name", "guests")


WRONG = object()  # stands for a value that was refused


class Key(NamedTuple):
    """One key: where it stands, how it is checked, and what people are told about it.

    `default` is written as in TOML, None where there is none; `otherwise` says what then holds.
    """

    name: str
    check: Callable[[Any], Any]
    default: Any
    allowed: str
    doc: str
    otherwise: str = ""

    @property
    def path(self) -> Path:
        """The key's parts; `*` stands for the name of a guest."""
        return tuple(self.name.split("."))


KEYS = (
    Key(
        "name",
        check.name,
        None,
        NAME,
        "The lab's name. Only the project's file may say it; `VNET_LAB` and `-n LAB` win over it.",
        "the name of the folder that holds vnet.toml",
    ),
    Key(
        "host.ip",
        check.host_ip,
        "172.18.255.1",
        "an IPv4 address that can be used on a link, and in its /30",
        "The host's address, the only one of vnet that is visible there. The gateway gets the other one of its /30. "
        "`VNET_HOST_IP` and `--host-ip` win over it.",
    ),
    Key(
        "host.interface",
        check.interface,
        "vnet",
        "1 to 15 ASCII letters, digits, '-' and '_', a letter first, "
        f"neither x and a number, alone or behind '-', nor {', '.join(check.INTERFACES)}",
        "The name of the host's interface, and the first part of the names of all namespaces.",
    ),
    Key(
        "host.dns",
        check.dns,
        "auto",
        "auto, off, or an IPv4 address of a server, which is not a loopback address",
        "What guests resolve names with: `auto` is the servers that the host uses, `off` is none, an address is that "
        "server.",
    ),
    Key(
        "host.iptables",
        check.boolean,
        True,
        "true or false",
        "With `false` vnet leaves the host's firewall alone. `--no-iptables` says the same.",
    ),
    Key(
        "networks.bridges",
        partial(check.network, shortest=8, longest=30),
        "172.18.192.0/19",
        "an IPv4 network from /8 to /30 that overlaps neither host.ip's /30 nor networks.guests",
        "Each lab takes a /30 out of it, between its bridge and the gateway: a /19 is room for 2,048 labs at once.",
    ),
    Key(
        "networks.guests",
        partial(check.network, shortest=17, longest=29),
        "172.18.0.0/24",
        "an IPv4 network from /17 to /29 that overlaps neither host.ip's /30 nor networks.bridges",
        "The network of the guests, the same in every lab. The bridge takes the last usable address.",
    ),
    Key(
        "networks.mtu",
        partial(check.number, low=MTU[0], high=MTU[1]),
        1500,
        "a whole number from 576 to 65535",
        "The MTU of every vnet link: 65535 where speed matters more than likeness. Below 1280 the kernel turns IPv6 "
        "off on a link.",
    ),
    Key(
        "hooks.load",
        partial(check.strings, check=check.filled),
        [],
        "a list of files, or of patterns with *, ? and [], of which each matches a file; ** is any depth",
        "Python files with hooks, relative to the folder of the settings file that says so. What a pattern matches "
        "is sorted. The lists of several files add up: the machine's, then the user's, then the project's.",
    ),
    Key(
        "guests.*",
        check.guest_name,
        None,
        GUEST_NAME,
        "A guest: one table each, which may be empty. Only the project's file may hold guests. Two names must not "
        "differ in case only, and a lab holds at most 1,023 guests, as many as the kernel's bridge has ports.",
        "no guests",
    ),
    Key(
        "guests.*.ip",
        check.address,
        None,
        "an address of networks.guests that no other guest has, neither its first, its last nor the bridge's",
        "The guest's address.",
        "the next free address, lowest first, in the order of the file",
    ),
    Key(
        "guests.*.ports",
        check.ports,
        {},
        'ports such as 8000, "8000/tcp" and "5353/udp" with a port of the guest, all from 1 to 65535, '
        "each forwarded once in a lab",
        "Forwarded ports: a port at the gateway's address = a port of the guest. TCP, unless `/udp` is behind it.",
    ),
    Key(
        "guests.*.command",
        check.words,
        None,
        "text that the rules of a shell split into words, the first a program",
        "What `vnet-run` starts in the guest, in the folder of vnet.toml. It is split into words as a shell does it, with "
        "quotes and backslashes, but no shell runs: for variables, pipes or `&&` write `sh -c '...'`. It may have several "
        "lines.",
        "nothing is started",
    ),
    Key(
        "guests.*.ready",
        check.ready,
        None,
        "tcp:PORT with a port from 1 to 65535, or a command as in `command`",
        "When `vnet-run` takes the guest's command for ready: somebody listens on this port of the guest's address, or "
        "this command, run in the guest again and again, ends with status 0.",
        "ready as soon as it is started",
    ),
    Key(
        "guests.*.after",
        partial(check.strings, check=check.string),
        [],
        "a list of other guests of the lab, each once, in no circle",
        "Guests whose commands `vnet-run` starts first, and waits for until they are ready.",
    ),
    Key(
        "guests.*.tags",
        partial(check.strings, check=check.label),
        [],
        "a list of tags, each once: 1 to 63 ASCII letters, digits, '-', '_' and '.', a letter or digit first and last",
        "Names for groups of guests, for `vnet-run --only` and `--exclude`.",
    ),
)
RULES = {key.path: key for key in KEYS}
TABLES = frozenset(key.path[:depth] for key in KEYS for depth in range(1, len(key.path)))


class Reader:
    """Checks one layer of settings, collects `values` by path, and one line a mistake.

    A value that was refused is there as `WRONG`, so that it is not mistaken for one that was not said.
    """

    def __init__(self, source: str, mistakes: list[str]) -> None:
        self.source = source
        self.mistakes = mistakes
        self.values: dict[Path, Any] = {}

    def wrong(self, path: Path, what: str, allowed: str = "") -> None:
        """Note a mistake."""
        self.values[path] = WRONG
        self.mistakes.append(line(self.source, path, what, allowed))

    def value(self, path: Path, value: Any, pattern: Path | None = None) -> None:
        """Check one value against its row; `pattern` is the row's path where a guest is named."""
        key = RULES[pattern or path]
        try:
            self.values[path] = key.check(value)
        except Wrong as wrong:
            for text in wrong.texts:
                self.wrong(path, text, key.allowed)

    def table(self, data: dict[str, Any], path: Path = (), pattern: Path = (), *, project: bool = True) -> None:
        """Check a table and all beneath it; `project` allows what only a project's file may say."""
        for name, value in data.items():
            here, rule = (*path, name), (*pattern, "*" if pattern == ("guests",) else name)
            if not project and rule[0] in PROJECT_ONLY:
                self.wrong(here, "only a project's vnet.toml may say this")
            elif rule not in RULES and rule not in TABLES:
                self._unknown(here, pattern)
            elif rule in TABLES:
                self._table(here, rule, value)
            else:
                self.value(here, value, rule)

    def _table(self, here: Path, rule: Path, value: Any) -> None:
        """Check a name where names are free, that a table stands there, and the table."""
        if rule in RULES:
            self.value(here, here[-1], rule)
        if isinstance(value, dict):
            self.table(value, here, rule)
        else:
            self.wrong(here, *not_a(value, "a table").texts)

    def _unknown(self, here: Path, pattern: Path) -> None:
        """Refuse a key, and say which one was meant: one of this table, or else one of another."""
        known = dict.fromkeys(path[len(pattern)] for path in RULES if path[: len(pattern)] == pattern != path)
        found = near(here[-1], known)
        meant = (*here[:-1], found) if found else next((path for path in RULES if path[-1] == here[-1]), None)
        hint = f" (did you mean {dotted(meant).replace('*', 'NAME')}?)" if meant else ""
        self.wrong(here, f"there is no such key{hint}", ", ".join(known))
