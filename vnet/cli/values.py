"""Values of options that more than one verb takes: what argparse calls a type."""

from __future__ import annotations

from argparse import ArgumentTypeError

#: The longest time that can be asked for, in seconds: a year.
LONGEST_S = 366 * 86400


def whole(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text}: not a whole number") from None


def seconds(text: str) -> float:
    """Read a time."""
    try:
        read_s = float(text)
    except ValueError:
        read_s = -1.0
    if not 0 < read_s <= LONGEST_S:
        raise ArgumentTypeError(f"{text}: not a time; allowed: seconds, more than 0 and at most {LONGEST_S}")
    return read_s
