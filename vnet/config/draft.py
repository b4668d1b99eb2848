"""Settings in the making: layers are laid over each other, then what must fit together is tried.

Nothing here raises: mistakes are collected, and a value that was refused is left out of what follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from typing import Any, NamedTuple

from vnet.config import checks, files
from vnet.config.schema import KEYS, NAME, RULES, WRONG, Path, Reader
from vnet.config.words import Wrong, dotted, line, show
from vnet.errors import near
from vnet.model import Port

PORTS_OF_A_BRIDGE = 1023  # the kernel's bridge numbers its ports with ten bits, and 0 is none


class Found(NamedTuple):
    """A value, the layer that said it, and the layer's place in the order."""

    value: Any
    source: str
    rank: int = 0


class Draft:
    """The layers so far: `values` by path, the last one's, and the mistakes of all."""

    def __init__(self) -> None:
        self.values = {
            key.path: Found(key.check(key.default), "the defaults") for key in KEYS if _has_default(key.path)
        }
        self.mistakes: list[str] = []
        self.hooks: list[str] = []
        self.addresses: dict[str, IPv4Address] = {}
        self.file: str | None = None
        self._shown = "command line"
        self._rank = 0
        self._readable = True

    @property
    def guests(self) -> list[str]:
        """The names of the guests, in the order of the file."""
        return [path[1] for path in self.values if path[0] == "guests" and len(path) == 2]

    def get(self, *path: str) -> Any:
        """Give a value, or None where there is none or it was refused."""
        found = self.values.get(path)
        return None if found is None or found.value is WRONG else found.value

    def wrong(self, path: Path, what: str, allowed: str | None = None) -> None:
        """Note a mistake in the layer that said this key."""
        found = self.values.get(path)
        row = RULES[("guests", "*", *path[2:]) if path[0] == "guests" and len(path) > 1 else path]
        source = found.source if found else self._shown
        self.mistakes.append(line(source, path, what, row.allowed if allowed is None else allowed))

    # Layers

    def add_file(self, source: files.Source) -> None:
        """Lay a settings file over what is there."""
        project = source.role == "project"
        if project:
            self.file, self._shown = source.path, source.shown
        try:
            data = files.read(source)
        except files.Unreadable as error:
            self.mistakes.append(line(source.shown, (), str(error), ""))
            self._readable = self._readable and not project
            return
        if project and files.is_unsafe(source.path):
            what = "its path holds line breaks, or bytes that are not UTF-8; rename the folder"
            self.mistakes.append(line(source.shown, (), what, ""))
        reader = Reader(source.shown, self.mistakes)
        reader.table(data or {}, project=project)
        patterns = reader.values.pop(("hooks", "load"), ())
        if patterns is not WRONG:
            self._add_hooks(reader, patterns, source.folder)
        self._add(reader)

    def add(self, source: str, key: str, value: Any) -> None:
        """Lay one value of the environment or the command line over what is there."""
        if value is not None:
            reader = Reader(source, self.mistakes)
            reader.value(tuple(key.split(".")), value)
            self._add(reader)

    def _add(self, reader: Reader) -> None:
        """Take over what a layer says."""
        self._rank += 1
        for path, value in reader.values.items():
            self.values[path] = Found(value, reader.source, self._rank)

    def _add_hooks(self, reader: Reader, patterns: Sequence[str], folder: str) -> None:
        """Find the files of hooks; the ones of earlier layers stay."""
        for pattern in patterns:
            matches = files.matches(pattern, folder)
            if not matches:
                allowed = RULES["hooks", "load"].allowed
                reader.wrong(("hooks", "load"), f"{show(pattern)} matches no file in {files.shown(folder)}", allowed)
            self.hooks += matches

    # What must fit together

    def finish(self, guests: Sequence[str], cwd: str) -> None:
        """Choose what was left open, and try all that concerns more than one key.

        Where the project's file can't be read this is left out: nearly all of it would follow from that.
        """
        if not self._readable:
            return
        self._name_lab(cwd)
        self._name_guests(guests)
        self._part_networks()
        self._tell_apart()
        self._forward_once()
        self._order()
        self._place()

    def _name_lab(self, cwd: str) -> None:
        """Name the lab after its folder where nobody named it."""
        if ("name",) in self.values:
            return
        folder = self.file.rpartition("/")[0] if self.file else cwd.rstrip("/")
        try:
            self.values["name",] = Found(checks.name(folder.rpartition("/")[2]), self._shown)
        except Wrong as wrong:
            what = f"the folder's name can't be the lab's, {wrong.texts[0]}: set name, or use -n LAB"
            self.mistakes.append(line(self._shown, ("name",), what, NAME))

    def _name_guests(self, names: Sequence[str]) -> None:
        """Take the command line's guests: new ones without a file, else some of the file's."""
        if self.file is None:
            reader = Reader("command line", self.mistakes)
            reader.table({"guests": {name: {} for name in names}} if names else {})
            self._add(reader)
            return
        known = self.guests
        for name in dict.fromkeys(names):
            if name not in known:
                meant = near(name, known)
                what = f"{self._shown} has no such guest" + (f" (did you mean {dotted([meant])}?)" if meant else "")
                self.mistakes.append(
                    line("command line", ("guests", name), what, ", ".join(map(show, known[:20])) or "none")
                )

    def _part_networks(self) -> None:
        """Refuse networks that overlap; the layer that came last is to blame."""
        paths = (("host", "ip"), ("networks", "bridges"), ("networks", "guests"))
        given = [(path, _around(self.get(*path))) for path in paths if self.get(*path)]
        for one, other in combinations(given, 2):
            if one[1].overlaps(other[1]):
                (there, its), (here, mine) = sorted((one, other), key=lambda item: self.values[item[0]].rank)
                by = self.values[there].source
                self.wrong(here, f"{mine} overlaps {its} of {'.'.join(there)} ({by})")

    def _tell_apart(self) -> None:
        """Refuse names that differ in case only: host names don't."""
        seen: dict[str, str] = {}
        for name in self.guests:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                self.wrong(("guests", name), f"it differs from {show(other)} in case only", "names that differ in more")

    def _forward_once(self) -> None:
        """Refuse a port at the gateway's address that leads to two guests."""
        seen: dict[tuple[int, str], str] = {}
        for name in self.guests:
            ports: tuple[Port, ...] = self.get("guests", name, "ports") or ()
            for port in ports:
                other = seen.setdefault((port.outside, port.protocol), name)
                if other != name:
                    self.wrong(
                        ("guests", name, "ports"), f"{port.outside}/{port.protocol} leads to {show(other)} already"
                    )

    def _order(self) -> None:
        """Refuse guests that wait for one that is not there, or in a circle for themselves."""
        known = self.guests
        after: dict[str, tuple[str, ...]] = {name: self.get("guests", name, "after") or () for name in known}
        for name in known:
            for other in after[name]:
                if other not in after:
                    meant = near(other, known)
                    hint = f" (did you mean {dotted([meant])}?)" if meant else ""
                    self.wrong(("guests", name, "after"), f"{show(other)} is no guest here{hint}")
        circle = find_circle({name: [other for other in after[name] if other in after] for name in known})
        if circle:
            self.wrong(("guests", circle[0], "after"), f"a circle: {' waits for '.join((*circle, circle[0]))}")

    def _place(self) -> None:
        """Give every guest its address: those that were asked for first, then the lowest free ones."""
        network = self.get("networks", "guests")
        names = self.guests
        if network is None or not self._fits(len(names), network):
            return
        taken: dict[IPv4Address, str] = {}
        for name in names:
            ip = self.get("guests", name, "ip")
            if ip is not None and self._is_free(name, ip, network, taken):
                taken[ip] = name
        free = (ip for ip in network.hosts() if ip not in taken and ip != network[-2])
        self.addresses = {name: ip for ip, name in taken.items()}
        for name in names:
            if ("guests", name, "ip") not in self.values:
                self.addresses[name] = next(free)

    def _fits(self, count: int, network: IPv4Network) -> bool:
        """Refuse more guests than there are ports of a bridge, or addresses."""
        room = network.num_addresses - 3
        if count > PORTS_OF_A_BRIDGE:
            allowed = f"{PORTS_OF_A_BRIDGE:,}, as many as the kernel's bridge has ports"
        elif count > room:
            allowed = f"{room:,} in {network}, or a wider networks.guests, up to /17"
        else:
            return True
        self.mistakes.append(line(self._shown, ("guests",), f"{count:,} guests are too many", allowed))
        return False

    def _is_free(self, name: str, ip: IPv4Address, network: IPv4Network, taken: dict[IPv4Address, str]) -> bool:
        """Refuse an address that the guest can't have."""
        special = {network[0]: "the network's own", network[-1]: "the broadcast address", network[-2]: "the bridge's"}
        if ip not in network:
            what = f"{ip} is outside networks.guests {network}"
        elif ip in special or ip in taken:
            what = f"{ip} is {special.get(ip) or 'that of ' + show(taken[ip])}"
        else:
            return True
        self.wrong(
            ("guests", name, "ip"), what, f"an address from {network[1]} to {network[-3]} that no other guest has"
        )
        return False


def find_circle(after: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Find names that wait for each other in a circle, the first one in order first; none where all have their turn."""
    if not any(after.values()):
        return ()
    from graphlib import CycleError, TopologicalSorter

    try:
        TopologicalSorter(after).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1][:0:-1]  # it names the one that is waited for first, and that one twice
        first = circle.index(min(circle, key=list(after).index))
        return (*circle[first:], *circle[:first])
    return ()


def _has_default(path: Path) -> bool:
    """Tell whether a key that is not said holds all the same; hooks are added up elsewhere."""
    return RULES[path].default is not None and "*" not in path and path[0] != "hooks"


def _around(value: IPv4Address | IPv4Network) -> IPv4Network:
    """Give the network of a host's address: its /30."""
    return value if isinstance(value, IPv4Network) else IPv4Network((int(value) & ~3, 30))
