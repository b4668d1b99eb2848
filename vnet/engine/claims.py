"""What labs hold that no other lab may: their numbers, and forwarded ports at the gateway's address.

    /run/vnet/UID/numbers/17.shop        an empty file for each
    /run/vnet/UID/ports/5353.udp.shop

So a look at one folder tells all that is taken, however many labs there are; 2,000 records would take 100 ms to read. A
claim is made before the record that needs it is written, under the lock `world`, and dropped when that is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from vnet.model import Lab


class Claims:
    """The claims of one user's labs."""

    def __init__(self, folder: str) -> None:
        self._numbers, self._ports = f"{folder}/numbers", f"{folder}/ports"

    def exist(self) -> bool:
        """Tell whether there have been any."""
        return os.path.isdir(self._numbers)

    def numbers(self) -> dict[int, str]:
        """Map each number that is taken to its lab."""
        found = (entry.partition(".") for entry in _entries(self._numbers))
        return {int(number): lab for number, _, lab in found if number.isdigit()}

    def ports(self) -> dict[str, str]:
        """Map each forwarded port (`8000`, `5353/udp`) to its lab."""
        found = (entry.split(".", 2) for entry in _entries(self._ports))
        return {number if proto == "tcp" else f"{number}/{proto}": lab for number, proto, lab in found}

    def labs(self) -> set[str]:
        """Name the labs that hold anything."""
        return {*self.numbers().values(), *self.ports().values()}

    def files(self, name: str) -> list[str]:
        """List the files that stand for what a lab holds."""
        kinds = (self._numbers, 1), (self._ports, 2)
        return [f"{folder}/{entry}" for folder, dots in kinds for entry in sorted(_held(folder, name, dots))]

    def claim(self, lab: Lab) -> None:
        """Let a lab hold what it is to have, and nothing else."""
        ports = (port for guest in lab.guests for port in guest.ports)
        _hold(self._numbers, lab.name, 1, {f"{lab.number}.{lab.name}"})
        _hold(self._ports, lab.name, 2, {f"{port.outside}.{port.protocol}.{lab.name}" for port in ports})

    def drop(self, name: str) -> None:
        """Let a lab hold nothing."""
        _remove(self.files(name))


def _entries(folder: str) -> list[str]:
    """List a folder that may not be there."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _held(folder: str, name: str, dots: int) -> set[str]:
    """List a lab's entries in a folder; its name stands behind so many dots."""
    return {entry for entry in _entries(folder) if entry.split(".", dots)[-1] == name}


def _hold(folder: str, name: str, dots: int, wanted: set[str]) -> None:
    """Make a lab's entries in a folder what they are to be."""
    held = _held(folder, name, dots)
    if wanted:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    for entry in wanted - held:
        os.close(os.open(f"{folder}/{entry}", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    _remove(f"{folder}/{entry}" for entry in held - wanted)


def _remove(paths: Iterable[str]) -> None:
    """Remove files, if they are still there."""
    for path in paths:
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
