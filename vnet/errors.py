"""The errors of vnet: few types, one sentence each.

The library raises them. What talks to the user catches them, and words them with `words`: `vnet.cli` for all verbs,
`vnet.exec` for itself and what it starts.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` has the same; vnet-exec does without
if TYPE_CHECKING:
    from collections.abc import Iterable


class VnetError(Exception):
    """It failed; what was half made was taken back (exit status 1)."""

    status = 1


class UsageError(VnetError):
    """The request itself is wrong; nothing was touched (exit status 2)."""

    status = 2


class SettingsError(UsageError):
    """The settings are wrong; `mistakes` holds one line for each, all of them at once."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class NotUpError(VnetError):
    """The lab, or the guest, is not up (exit status 3)."""

    status = 3


class CommandError(VnetError):
    """A command failed; the text says which, where, and what it printed."""


class LostError(CommandError):
    """Nothing can be done in the labs, as their namespaces are gone (exit status 3)."""

    status = 3


class HookError(VnetError):
    """A hook raised, or can't be loaded; the text names file, hook and lab."""


def near(word: str, known: Iterable[str]) -> str | None:
    """Find which of the names that are known was probably meant."""
    if len(word) > 70:
        return None
    from difflib import get_close_matches

    lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), lower, n=1)
    return lower[found[0]] if found else None


def hint(word: str, known: Iterable[str]) -> str:
    """Ask after a near miss, where there is one."""
    found = near(word, known)
    return f" (did you mean {found}?)" if found else ""


def words(error: Exception) -> str:
    """Say in one sentence what an error is, those of Python's own among them."""
    if isinstance(error, ModuleNotFoundError):
        return f"this Python has no package {error.name}: 'make setup' in vnet's checkout installs what it needs"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'the kernel'}: {error.strerror}"
    return str(error)


def plain(text: str) -> str:
    r"""Write what no terminal should be sent as Python does (`\x1b`): a message is one line, and what it seems to be."""
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
