"""Where a project's settings file is: used by what reads it, and by what only asks which lab it is the file of.

vnet-exec stands on this, so it imports next to nothing.
"""

from __future__ import annotations

import os

PROJECT = "vnet.toml"


def find_project(cwd: str) -> str | None:
    """Look for vnet.toml in a folder and then upwards, and return its path."""
    folder = os.path.normpath(cwd)
    while True:
        path = os.path.join(folder, PROJECT)
        if os.path.lexists(path):
            return path
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def absolute(cwd: str, name: str) -> str:
    """Name a file by its real folder, as the working directory is named, but by its own name there."""
    folder, last = os.path.split(os.path.join(cwd, name))
    try:
        return os.path.join(os.path.realpath(folder), last)
    except ValueError:  # a NUL in it
        return os.path.join(folder, last)
