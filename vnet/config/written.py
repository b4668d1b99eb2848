"""Settings that are written, for a lab that Python makes: those of a file, with others laid over them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from vnet.errors import UsageError

Guests = Sequence[str] | Mapping[str, Mapping[str, Any]]


def write(folder: str, guests: Guests, file: str | os.PathLike[str] | None,
          settings: Mapping[str, Any] | None) -> tuple[str, list[str]]:  # fmt: skip
    """Write a vnet.toml; gives its path, and which of its guests are meant, none for all."""
    import toml  # type: ignore[import-untyped, unused-ignore]

    data = merged(_read(file) if file else {}, settings or {})
    by_name = guests if isinstance(guests, Mapping) else {} if file else {name: {} for name in guests}
    path = os.path.join(folder, "vnet.toml")
    with open(path, "w", encoding="utf-8") as opened:
        toml.dump(merged(data, {"guests": by_name}), opened)
    return path, [] if isinstance(guests, Mapping) or not file else list(guests)


def _read(file: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a vnet.toml that is to be written elsewhere; its hooks stay where they are."""
    import tomllib

    try:
        with open(file, "rb") as opened:
            data = tomllib.load(opened)
    except (OSError, ValueError) as error:
        raise UsageError(f"{os.fspath(file)}: it can't be read: {error}") from None
    hooks = data.get("hooks", {}).get("load", [])
    here = os.path.dirname(os.path.abspath(file))
    return merged(data, {"hooks": {"load": [os.path.join(here, each) for each in hooks]}} if hooks else {})


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay tables over each other, key by key; numbers of ports become the words that TOML's keys are."""
    made = {str(key): value for key, value in base.items()}
    for key, value in over.items():
        old = made.get(str(key))
        made[str(key)] = merged(old if isinstance(old, Mapping) else {}, value) if isinstance(value, Mapping) else value
    return made
