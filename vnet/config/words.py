"""How a mistake in the settings is worded: `SOURCE: KEY: what is wrong; allowed: what is allowed`.

Every text is one short line, whatever the value or the key is: a settings file may hold anything.
"""

from __future__ import annotations

from collections.abc import Sequence

KINDS = (
    (bool, "a boolean"),  # before int, which it is to Python
    (str, "a string"),
    (int, "a whole number"),
    (float, "a fraction"),
    (list, "a list"),
    (dict, "a table"),
)
BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*")


class Wrong(ValueError):
    """A value is not allowed; `texts` holds one text for each thing that is wrong with it."""

    def __init__(self, *texts: str) -> None:
        super().__init__(*texts)
        self.texts = texts


def show(value: object) -> str:
    """Write a value as a message may hold it: on one line, short, and whatever it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 64:
        return "a huge number"  # its digits are many, or too many for Python to print
    if isinstance(value, str):
        return repr(value if len(value) <= 70 else value[:67] + "...")
    return repr(value) if isinstance(value, (int, float)) else kind(value)


def kind(value: object) -> str:
    """Name the TOML type of a value."""
    return next((name for known, name in KINDS if isinstance(value, known)), "a date or time")


def not_a(value: object, wanted: str) -> Wrong:
    """Say that a value has the wrong type."""
    shown = show(value) if isinstance(value, (str, int, float)) else "this"
    return Wrong(f"{shown} is {kind(value)}, not {wanted}")


def dotted(path: Sequence[str]) -> str:
    """Write a key as TOML would: `guests.nginx.ip`, and quoted where it has to be."""
    return ".".join(part if part and set(part) <= BARE and len(part) <= 70 else show(part) for part in path)


def line(source: str, path: Sequence[str], what: str, allowed: str) -> str:
    """Write one mistake; `allowed` may be empty where `what` says it all."""
    where = f"{source}: {dotted(path)}" if path else source
    return f"{where}: {what}" + (f"; allowed: {allowed}" if allowed else "")
