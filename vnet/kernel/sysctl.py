"""Kernel settings, written as sysctl(8) does."""

from __future__ import annotations

import errno

from vnet.command import Write
from vnet.errors import CommandError


def write(action: Write) -> None:
    """Write a kernel setting of the namespace that this process is in now."""
    where = f" in {action.netns}" if action.netns else ""
    try:
        with open(f"/proc/sys/{action.key}", "w", encoding="ascii") as file:
            file.write(action.value)
    except FileNotFoundError:
        if not action.optional:
            raise CommandError(
                f"/proc/sys/{action.key}{where}: this kernel has no such setting; vnet-doctor tells what it lacks"
            ) from None
    except OSError as error:
        if not (action.optional and error.errno == errno.EINVAL):
            raise CommandError(f"/proc/sys/{action.key} = {action.value}{where}: {error.strerror}") from None
