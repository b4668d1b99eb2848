"""Who reaches whom, as lines for people: a matrix, or, where the terminal is too narrow for it, what is not reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vnet.picture.look import Look
from vnet.picture.status import LabStatus, pairs

#: How a column's node is called that is no guest.
LETTERS = {"bridge": "b", "gateway": "g"}

#: Lines that a matrix may always take; a larger one has to be worth it, against a list of what is not reached.
FEW = 12


def lines(each: LabStatus, look: Look, indent: int) -> Iterator[str]:
    """Tell how much was reached, then what."""
    reached, not_ = pairs(each)
    names, count = [guest.name for guest in each.lab.guests], f"{len(reached)} of {len(reached) + len(not_)} reached"
    missed = frozenset((a, b) for a, b in not_)
    misses = [part for line in _misses(names, missed, look) for part in look.wrapped(line, indent)]
    for gap in (" ", ""):
        if look.width is None or (indent + _width(names, gap) <= look.width and len(names) < 2 * max(len(misses), FEW)):
            yield f"probe: {count}; from a row to a column (. reached, x not)"
            yield from _matrix(names, missed, look, gap)
            return
    yield f"probe: {count}"
    yield from misses


def _label_width(names: Sequence[str]) -> int:
    """Tell the width of what stands in front of each row."""
    return len(str(len(names))) + 1 + max(map(len, names), default=0) + 2


def _width(names: Sequence[str], gap: str) -> int:
    """Tell the width of the matrix."""
    columns = len(names) + len(LETTERS)
    return _label_width(names) + columns + len(gap) * (columns - 1)


def _matrix(names: Sequence[str], missed: frozenset[tuple[str, str]], look: Look, gap: str) -> Iterator[str]:
    """Write the matrix: the columns' numbers from top to bottom, then a row for each guest."""
    digits, before = len(str(len(names))), _label_width(names)
    heads = [
        *(str(at).rjust(digits) for at in range(1, len(names) + 1)),
        *(each.rjust(digits) for each in LETTERS.values()),
    ]
    for at in range(digits):
        yield " " * before + gap.join(head[at] for head in heads)
    for at, name in enumerate(names, 1):
        marks = (_mark(name, to, missed, look) for to in (*names, *LETTERS))
        yield f"{at:>{digits}} {name}".ljust(before) + gap.join(marks)


def _mark(source: str, to: str, missed: frozenset[tuple[str, str]], look: Look) -> str:
    """Write one place of the matrix."""
    if source == to:
        return "-"
    return look.paint("x", "red") if (source, to) in missed else "."


def _misses(names: Sequence[str], missed: frozenset[tuple[str, str]], look: Look) -> Iterator[str]:
    """Say of each guest whom it does not reach; guests that don't reach the same ones share a line."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        lost = tuple(to for to in (*names, *LETTERS) if (name, to) in missed)
        if lost:
            found.setdefault(lost, []).append(name)
    for lost, sources in found.items():
        yield look.ranged(f"{', '.join(sources)}: does not reach {', '.join(lost)}")
