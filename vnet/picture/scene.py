"""What a picture of a lab shows: pure, from a `LabStatus` to a `Scene`, which graph.py and svg.py draw.

A cut is shown by its sides: guests that behave alike in it stand together, and what does not arrive is an arrow from side
to side. So halves of 50 guests are two sides and one arrow, not 1,250.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, sqrt
from typing import NamedTuple

from vnet.cuts.cut import Cut, blocked, classes
from vnet.model import Guest
from vnet.picture.status import LabStatus, Part
from vnet.picture.tree import NameOf, comm

#: Sides that can be told apart at a glance: a cut with more of them is shown as a matrix, or in words.
SIDES = 6
#: The sides' colours, which people tell apart who see few (after Okabe and Ito, "Color Universal Design", 2008).
FILLS = ("#d6e6f5", "#fce0c0", "#d2eedd", "#ecd9ee", "#fbf2bb", "#e6e6e6")
PLAIN_FILL, RED, YELLOW = "#f4f6f8", "#c0392b", "#b58900"
#: Forwarded ports that a guest's box shows.
PORTS = 3
#: How much wider than high the guests of a side stand, counted in boxes.
WIDE = 2.2
#: The longest that is shown of what was typed for a cut.
TYPED = 70


class Box(NamedTuple):
    """What is told of one guest: its name, address, what is not as it should be, and lines below."""

    name: str
    ip: str
    state: str
    more: tuple[str, ...]


class Side(NamedTuple):
    """Guests that a cut treats alike, with a letter and what it does to them; with no cut, all, and no letter."""

    letter: str
    words: str
    boxes: tuple[Box, ...]


class Miss(NamedTuple):
    """Nothing that `source` sends arrives at `to` (indexes of sides), nor, where `both`, the other way.

    `packets`: how many were dropped so far, where that is known.
    """

    source: int
    to: int
    both: bool
    packets: int | None

    @property
    def label(self) -> str:
        """Tell how much was dropped."""
        return f"{self.packets:,} dropped" if self.packets else ""


class Scene(NamedTuple):
    """One lab, ready to be drawn: its lines, its sides with what is missed between them, and what is said of the cut."""

    lab: LabStatus
    sides: tuple[Side, ...]
    misses: tuple[Miss, ...]
    caption: tuple[str, ...]


def scene(each: LabStatus, names: NameOf = comm) -> Scene:
    """Sort a lab's guests into sides."""
    boxes = {guest.name: _box(guest, part, names) for guest, part in zip(each.lab.guests, each.guests, strict=True)}
    if each.cut is None:
        return Scene(each, (Side("", "", tuple(boxes.values())),), (), ())
    cut = each.cut.standing.cut
    found, caption = classes(cut), _caption(each, cut)
    if len(found) > SIDES:
        return Scene(each, (Side("", "", tuple(boxes.values())),), (), caption)
    words = [_words(cut, one.guests[0], one.deaf_to, at) for at, one in enumerate(found)]
    sides = tuple(
        Side(chr(ord("A") + at), text, tuple(boxes[name] for name in one.guests))
        for at, (one, text) in enumerate(zip(found, words, strict=True))
    )
    at_side = {name: at for at, one in enumerate(found) for name in one.guests}
    return Scene(each, sides, tuple(_misses(each, blocked(found), at_side)), caption)


def _box(guest: Guest, part: Part, names: NameOf) -> Box:
    """Tell what is to tell of a guest."""
    ports = [f":{port} \N{RIGHTWARDS ARROW} {port.inside}" for port in guest.ports]
    if len(ports) > PORTS:
        ports[PORTS - 1 :] = [f"and {len(ports) - PORTS + 1} more ports"]
    running = [name for pid in part.pids if (name := names(pid))]
    counted = [f"{name} \N{MULTIPLICATION SIGN}{running.count(name)}" if running.count(name) > 1 else name
               for name in dict.fromkeys(running)]  # fmt: skip
    runs = [f"{', '.join(counted[:2])}{' ...' if len(counted) > 2 else ''}"] if counted else []
    return Box(guest.name, str(guest.ip), "" if part.state == "up" else part.state, (*ports, *runs))


def _caption(each: LabStatus, cut: Cut) -> tuple[str, ...]:
    """Say what was typed, and when it ends."""
    from vnet.cuts.partition import iso

    until, typed = each.cut and iso(each.cut.standing.until_s), cut.describe()[0]
    if len(typed) > TYPED:  # the sides show who is meant
        typed = cut.kind if cut.seed is None else f"{cut.kind} --seed {cut.seed}"
    return (f"cut {typed}", *([f"heals by itself at {until}"] if until else []))


def _words(cut: Cut, guest: str, deaf_to: Sequence[int], at: int) -> str:
    """Say what a cut does to a guest of a side, in terms of sides."""
    missed = cut.grudge.get(guest, frozenset())
    if len(missed) == len(cut.nodes) - 1 and missed:
        return "hears nobody"
    lost = [*(["each other"] if at in deaf_to else []), *(chr(ord("A") + i) for i in deaf_to if i != at)]
    return f"does not hear {', '.join(lost)}" if lost else "hears everyone"


def _misses(each: LabStatus, lost: Sequence[tuple[int, int]], at_side: dict[str, int]) -> Iterator[Miss]:
    """List what is missed between sides; both ways at once where it is both."""
    packets, unsure = dict[tuple[int, int], int](), set[tuple[int, int]]()
    for drop in (each.cut and each.cut.drops) or ():
        keys = {(at_side.get(name, -1), at_side.get(drop["to"], -1)) for name in drop["from"].split()}
        if len(keys) > 1:  # one rule of the kernel counts for senders of several sides
            unsure |= keys
        for key in keys:
            packets[key] = packets.get(key, 0) + drop["packets"]
    for source, to in lost:
        both = (to, source) in lost
        if source != to and not (both and to < source):
            ways = {(source, to), (to, source)} if both else {(source, to)}
            yield Miss(source, to, both, None if ways & unsure else sum(packets.get(way, 0) for way in ways))


def columns_for(guests: int) -> int:
    """Choose how many guests stand side by side: wider than high, and no single one in the last row."""
    return ceil(guests / ceil(guests / ceil(sqrt(guests * WIDE)))) if guests else 1
