"""What is up, as a tree for people: pure, from a `Status` to lines.

For a terminal it fits the width, with lists shortened; for a pipe it is plain ASCII, one line a guest, nothing left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from vnet.errors import plain
from vnet.model import Guest
from vnet.picture import matrix
from vnet.picture.look import PLAIN, Look
from vnet.picture.status import CutStatus, LabStatus, Part, Status

if TYPE_CHECKING:
    from vnet.cuts.cut import Cut

NameOf = Callable[[int], str]

#: Columns that the forwarded ports of a guest may take on a terminal; counters shown there, and elsewhere.
PORTS, COUNTERS, MANY = 26, 5, 20
#: Guests with neither ports nor processes up to which each has a line of its own on a terminal.
LISTED = 12
#: The indent of what stands below a lab.
INDENT = 9


class Node(NamedTuple):
    """A knot of the tree; more than one line stands below each other."""

    lines: Sequence[str]
    below: Sequence[Node] = ()


def tree(status: Status, look: Look = PLAIN, name_of: NameOf | None = None) -> str:
    """Draw it; `name_of` tells a process's name by its number."""
    gateway, names = status.gateway, name_of or comm
    if gateway is None:
        return "nothing is up; vnet-up brings up a lab"
    heads = _heads(status.labs, look)
    labs = [_lab(each, head, look, names) for each, head in zip(status.labs, heads, strict=True)]
    line = f"gateway  {gateway.ip}{_state(status.part, look)}{_running(status.part, names, look, 40)}"
    inside = Node([line], labs or [Node(["no labs"])])
    return "\n".join(_draw(Node([f"host  {gateway.interface} {gateway.host}"], [inside]), look))


def comm(pid: int) -> str:
    """Tell a process's name (proc_pid_comm(5)), with nothing in it that a terminal would obey; gone: empty."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            text = file.read().removesuffix("\n")
    except OSError:
        return ""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _draw(node: Node, look: Look, first: str = "", rest: str = "") -> Iterator[str]:
    """Draw a knot and all below it."""
    tee, last, bar = ("├─ ", "└─ ", "│  ") if look.box else ("|- ", "`- ", "|  ")
    yield (first + node.lines[0]).rstrip()
    for line in node.lines[1:]:
        yield (rest + (bar if node.below else "") + line).rstrip()
    for at, each in enumerate(node.below, 1):
        end = at == len(node.below)
        yield from _draw(each, look, rest + (last if end else tee), rest + ("   " if end else bar))


def _heads(labs: Sequence[LabStatus], look: Look) -> list[str]:
    """Write each lab's own line, in columns that all labs share."""
    cells = [(each.lab.name, each.lab.link, str(each.lab.uplink), f"bridge {each.lab.bridge_ip}/{each.lab.network.prefixlen}")
             for each in labs]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    heads = []
    for each, row in zip(labs, cells, strict=True):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        room = None if look.width is None else look.width - len(text) - 8
        path = "  " + _path(plain(each.lab.file), look, room) if each.lab.file else ""
        name = look.paint(each.lab.name, "bold")
        heads.append(name + text[len(each.lab.name) :] + _state(each.bridge, look) + path)
    return heads


def _path(path: str, look: Look, room: int | None) -> str:
    """Shorten a path from the left."""
    if look.home and path.startswith(f"{look.home}/"):
        path = "~" + path[len(look.home) :]
    return path if room is None or len(path) <= room else "..." + path[-max(room - 3, 12) :]


def _lab(each: LabStatus, head: str, look: Look, names: NameOf) -> Node:
    """Draw a lab."""
    below = [Node(lines) for lines in _guests(each, look, names)]
    if each.bridge.pids:
        room = INDENT + len(f"bridge  {each.lab.bridge_ip}")
        below.insert(0, Node([f"bridge  {each.lab.bridge_ip}{_running(each.bridge, names, look, room)}"]))
    if each.cut:
        below.append(_cut(each.cut, look))
    if each.probe is not None:
        below.append(Node(list(matrix.lines(each, look, INDENT))))
    return Node([head], below)


def _guests(each: LabStatus, look: Look, names: NameOf) -> Iterator[list[str]]:
    """Write each guest's lines: its name, address, ports and processes, in columns."""
    guests = list(zip(each.lab.guests, each.guests, strict=True))
    idle = [guest for guest, part in guests if not (guest.ports or part.pids) and part.state == "up"]
    if look.width is not None and len(idle) > LISTED:
        guests = [pair for pair in guests if pair[0] not in idle]
    else:
        idle = []
    name_w = max((len(guest.name) for guest, _ in guests), default=0)
    ip_w = max((len(str(guest.ip)) for guest, _ in guests), default=0)
    state_w = max((len(_state(part, PLAIN)) for _, part in guests), default=0)
    ports = [_filled([_port(*item) for item in _ports(guest)], look, PORTS) for guest, _ in guests]
    ports_w = max((len(line) + 2 for lines in ports for line in lines), default=0)
    used = name_w + 2 + ip_w + state_w
    for (guest, part), shown in zip(guests, ports, strict=True):
        running = _running(part, names, look, INDENT + used + ports_w)
        state = _state(part, look) + " " * (state_w - len(_state(part, PLAIN)))
        start = look.paint(guest.name.ljust(name_w), "bold") + f"  {str(guest.ip).ljust(ip_w)}" + state
        starts = zip_longest([start], shown, [running], fillvalue="")
        yield [
            (head or " " * used) + (f"  {port}" if port else "").ljust(ports_w) + tail for head, port, tail in starts
        ]
    if idle:
        yield list(_columns(idle, look))


def _columns(guests: Sequence[Guest], look: Look) -> Iterator[str]:
    """Write guests of which there is nothing more to tell side by side."""
    name_w, ip_w = (
        max(map(len, column)) for column in zip(*((each.name, str(each.ip)) for each in guests), strict=True)
    )
    in_line = max(1, ((look.width or 0) - INDENT + 3) // (name_w + ip_w + 5))
    cells = [f"{look.paint(each.name.ljust(name_w), 'bold')}  {str(each.ip).ljust(ip_w)}" for each in guests]
    for at in range(0, len(cells), in_line):
        yield "   ".join(cells[at : at + in_line])


def _ports(guest: Guest) -> Iterator[tuple[str, int]]:
    """List a guest's forwarded ports."""
    return ((str(port), port.inside) for port in guest.ports)


def _port(outside: str, inside: int) -> str:
    """Write a forwarded port."""
    return f":{outside} -> {inside}"


def _filled(words: Sequence[str], look: Look, width: int) -> list[str]:
    """Put words into lines of a width; for a pipe, into one."""
    lines: list[str] = []
    for word in words:
        if lines and (look.width is None or len(lines[-1]) + len(word) + 2 <= width):
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines


def _state(part: Part, look: Look) -> str:
    """Tell what is not as it should be."""
    if part.state == "up":
        return ""
    return "  " + look.paint(part.state, "red" if part.state == "gone" else "yellow")


def _running(part: Part, names: NameOf, look: Look, before: int) -> str:
    """Name the processes, as many as there is room for behind what stands before."""
    words = [f"{name} ({pid})" for pid in part.pids if (name := names(pid))]
    room = None if look.width is None else look.width - before - 2
    text = _shortened(words, room)
    return f"  {text}" if text else ""


def _shortened(words: Sequence[str], room: int | None) -> str:
    """Join words; where there is no room for all, the first ones, and how many more there are."""
    text = ", ".join(words)
    if room is None or len(text) <= room:
        return text
    for shown in range(len(words) - 1, 0, -1):
        text = f"{', '.join(words[:shown])} and {len(words) - shown} more"
        if len(text) <= room:
            return text
    return f"{len(words)} running"


def _cut(found: CutStatus, look: Look) -> Node:
    """Tell which cut is in force, and what it has dropped."""
    first, *misses = _described(found.standing.cut, look)
    left_s = found.standing.left_s()
    more = [*misses, *_drops(found, look), *([] if left_s is None else [f"heals by itself in {left_s:.0f} s"])]
    below = [Node(look.wrapped(look.ranged(line), INDENT + 3)) for line in more]
    head, *rest = look.wrapped(look.ranged(f"cut {first}"), INDENT + 3)
    return Node([look.paint(head, "yellow"), *rest], below)


def _described(cut: Cut, look: Look) -> list[str]:
    """Say what a cut does: on a terminal each line as it is shortest, and of many the first ones."""
    short, whole = cut.describe(), cut.describe(whole=True)
    if look.width is None:
        return short
    lines = [min(pair, key=lambda line: len(look.ranged(line))) for pair in zip(short, whole, strict=True)]
    if len(lines) <= LISTED:
        return lines
    return [
        *lines[: COUNTERS + 1],
        f"and {len(lines) - COUNTERS - 1} more sorts of guests (vnet-partition show has all)",
    ]


def _drops(found: CutStatus, look: Look) -> Iterator[str]:
    """Tell how many packets were dropped, the most first."""
    if found.drops is None:
        yield "vnet-partition show counts what it drops: that takes sudo here"
        return
    some = sorted((each for each in found.drops if each["packets"]), key=lambda each: -each["packets"])
    shown = some[: COUNTERS if look.width else MANY]
    for each in shown:
        yield f"dropped {each['packets']} from {each['from']} to {each['to']}"
    if len(shown) < len(some):
        yield f"and {len(some) - len(shown)} more pairs (--json has all)"
