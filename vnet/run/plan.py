"""Which commands are run, and what each waits for: pure functions from the settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from vnet.config.checks import split
from vnet.config.settings import GuestSettings, Settings
from vnet.errors import UsageError, hint


class Program(NamedTuple):
    """A guest's command. `ready`: a TCP port that is listened on then, or a command that succeeds then.

    `after` names programs of this run alone; `place` is the guest's among those of the settings.
    """

    guest: str
    place: int
    argv: tuple[str, ...]
    ready: int | tuple[str, ...] | None
    after: frozenset[str]


def programs(settings: Settings, only: Sequence[str], exclude: Sequence[str]) -> tuple[Program, ...]:
    """Choose the commands to run, by guest or tag, in the order of the settings."""
    _know(settings, (*only, *exclude))
    chosen = {
        guest.name
        for guest in settings.guests
        if guest.command and (not only or _is_one_of(guest, only)) and not _is_one_of(guest, exclude)
    }
    if not chosen:
        why = "what --only and --exclude leave has none" if only or exclude else "none of them has one"
        raise UsageError(f"no guest has a command to run: {why}; set guests.NAME.command")
    return tuple(
        Program(guest.name, place, tuple(split(guest.command or "")), ready_of(guest.ready),
                frozenset(_awaited(settings, guest, chosen)))
        for place, guest in enumerate(settings.guests)
        if guest.name in chosen
    )  # fmt: skip


def ready_of(text: str | None) -> int | tuple[str, ...] | None:
    """Read how readiness is told."""
    if text is None:
        return None
    return int(text[4:]) if text.startswith("tcp:") else tuple(split(text))


def _is_one_of(guest: GuestSettings, words: Collection[str]) -> bool:
    """Tell whether a guest, or a tag of its, is named."""
    return guest.name in words or not set(words).isdisjoint(guest.tags)


def _know(settings: Settings, words: Sequence[str]) -> None:
    """Refuse words that are neither a guest's name nor a tag."""
    known = dict.fromkeys(word for guest in settings.guests for word in (guest.name, *guest.tags))
    for word in words:
        if word not in known:
            raise UsageError(
                f"{word}: no guest or tag here has this name{hint(word, known)}; there are: {' '.join(known)}"
            )


def _awaited(settings: Settings, guest: GuestSettings, chosen: Collection[str]) -> Iterator[str]:
    """Name the programs that a guest's waits for; what is not run is stepped over, to those that it waits for."""
    after = {each.name: each.after for each in settings.guests}
    todo, seen = list(guest.after), set[str]()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            if name in chosen:
                yield name
            else:
                todo += after[name]
