"""What a tool says when it fails on the way down, and which of it is no failure."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from vnet.kernel import namespace
from vnet.kernel.marks import PINS, pin

#: What tools say when the thing to be taken away is not there.
MISSING = (
    "Cannot find device", "No such file or directory", "does not exist", "No chain/target/match by that name",
    "does a matching rule exist", "Bad rule", "not mounted", "no mount point", "not found", "No such device",
    "No such process", f"Invalid argument: {PINS}/", "Directory not empty",
)  # fmt: skip


#: What ip-netns(8) says of a pin that is mounted over: it takes one mount away.
STACKED = re.compile(f'Cannot remove namespace file "{PINS}/([^"/]+)": Device or resource busy')


def unstack(error: str) -> bool:
    """Take a pin away that somebody has mounted over, where an error of `ip netns del` says that it is busy."""
    found = STACKED.search(error)
    if not found:
        return False
    path = pin(found[1])
    try:
        with suppress(OSError):  # EINVAL: no mount is left
            while True:
                namespace.umount_lazily(path)
        os.unlink(path)
    except OSError:
        return False
    return True


def is_missing(error: str) -> bool:
    """Tell whether a message only says that the thing to be taken away was not there."""
    return any(text in error for text in MISSING)
