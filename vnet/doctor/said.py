"""What a check says."""

from __future__ import annotations

from typing import Literal, NamedTuple

#: `fail`: no lab can be made. `warn`: one can, but something in it will not work. `note`: could not be looked at.
Level = Literal["fail", "warn", "note", "ok"]
LEVELS: tuple[Level, ...] = ("fail", "warn", "note", "ok")


class Said(NamedTuple):
    """What a check says: one line of what, and one that mends it, a command where there is one."""

    level: Level
    what: str
    mend: str = ""


def ok(what: str) -> Said:
    """Say that all is well."""
    return Said("ok", what)
