"""Builder for busybox's `brctl`, which knows addbr, delbr, addif and delif alone (busybox 1.35)."""

from __future__ import annotations

from vnet.command import Command


def addbr(name: str, *, netns: str) -> Command:
    """Make a bridge device."""
    return Command(("busybox", "brctl", "addbr", name), netns)
