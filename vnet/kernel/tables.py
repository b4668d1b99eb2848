"""The kernel's tables of neighbours: what they were set to before vnet, and whether somebody else has set them since."""

from __future__ import annotations

from vnet.host import TABLES, widened
from vnet.kernel.marks import TABLES_MARK


def before() -> tuple[int, ...]:
    """Tell what they were set to before any vnet; nothing where they can't be seen, inside a network namespace."""
    return _numbers(TABLES_MARK) or _now()


def to_put_back() -> tuple[int, ...]:
    """Tell what they are to be set to when the last gateway goes; nothing where somebody else has set them since."""
    old = _numbers(TABLES_MARK)
    return old if old and _now() == widened(old) else ()


def _now() -> tuple[int, ...]:
    """Tell what they are set to."""
    found = tuple(number for key in TABLES for number in _numbers(f"/proc/sys/{key}"))
    return found if len(found) == len(TABLES) else ()


def _numbers(path: str) -> tuple[int, ...]:
    """Read numbers; none where there is no such file, or root has not opened its folder to others yet."""
    try:
        with open(path, encoding="ascii") as file:
            return tuple(map(int, file.read().split()))
    except (FileNotFoundError, PermissionError):
        return ()
