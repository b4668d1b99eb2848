"""`vnet _names WHAT [-n LAB] [-f FILE]`: names for a shell to complete, a line each; it says nothing where it can't tell.

All were checked when they were settings: there is nothing in them that a shell would carry out.

- labs: those that are up. guests, nodes: of a lab that is up; nodes has bridge and gateway too.
- name: the lab that the settings name. settings: their guests. programs: these and their tags.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from vnet.errors import VnetError
from vnet.kernel.marks import state_folder
from vnet.nodes import caller, find_lab, labs, read_nodes

if TYPE_CHECKING:
    from vnet.config.settings import Settings


def main(words: list[str]) -> int:
    """Print names."""
    what, *rest = words or [""]
    given = dict(zip(rest[::2], rest[1::2], strict=False))
    try:
        found = names(what, given.get("-n", ""), given.get("-f", ""))
    except (VnetError, OSError):
        return 1
    sys.stdout.write("".join(f"{name}\n" for name in found))
    return 0


def names(what: str, lab: str, file: str) -> list[str]:
    """List names."""
    folder = state_folder(caller())
    if what == "labs":
        return labs(folder)
    if what == "name":
        return [_settings(lab, file).name]
    if what in ("settings", "programs"):
        return _of_settings(lab, file, tags=what == "programs")
    nodes = list(read_nodes(f"{folder}/labs/{find_lab(lab, file, folder)}")[4])
    return nodes if what == "nodes" else [name for name in nodes if name not in ("bridge", "gateway")]


def _of_settings(lab: str, file: str, *, tags: bool) -> list[str]:
    """List the guests of the settings."""
    guests = _settings(lab, file).guests
    found = [guest.name for guest in guests]
    return [*found, *dict.fromkeys(tag for guest in guests for tag in guest.tags)] if tags else found


def _settings(lab: str, file: str) -> Settings:
    """Read the settings."""
    from vnet.config import settings

    return settings.load(file=file or None, lab=lab or None, environ=os.environ, cwd=os.getcwd())
