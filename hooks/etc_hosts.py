"""Put the names of guests with forwarded ports into the host's /etc/hosts, and take them out again.

    [hooks]
    load = ["hooks/etc_hosts.py"]

From the host a guest's own address leads nowhere: what leads to it are its forwarded ports, at the gateway's
address. So the names point there, and `curl http://nginx:8000` works with `ports = { 8000 = 8000 }`. The block

    # vnet lab shop begin
    172.18.255.2 nginx
    # vnet lab shop end

is the only thing that is changed; without it the file is again what it was, byte by byte. Guests without ports are
not named. Hooks run as the caller, so this is for those who may write the file; anybody else is told.

VNET_ETC_HOSTS: another file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import vnet

if TYPE_CHECKING:
    from vnet.api import Guest, Lab

#: Seconds to wait for another one who changes the file.
LIMIT_S = 10.0


@vnet.hookimpl
def vnet_after_guest_up(lab: Lab, guest: Guest) -> None:
    """Add the guest's name, if it has ports."""
    if guest.ports:
        line = f"{lab.gateway.ip} {guest.name}\n"
        _change(lambda text: edit(text, lab.name, lambda lines: [*_without(lines, guest.name), line]))


@vnet.hookimpl
def vnet_before_guest_down(lab: Lab, guest: Guest) -> None:
    """Take the guest's name out."""
    _change(lambda text: edit(text, lab.name, lambda lines: _without(lines, guest.name)))


@vnet.hookimpl
def vnet_after_bridge_down(lab: Lab) -> None:
    """Take out what is left of the lab, such as names of guests that an edit of the file forgot."""
    _change(lambda text: edit(text, lab.name, lambda _: []))


def _without(lines: list[str], name: str) -> list[str]:
    """Leave out the line of one guest."""
    return [line for line in lines if line.split()[1:] != [name]]


def edit(text: str, lab: str, change: Callable[[list[str]], list[str]]) -> str:
    """Change the lines of a lab's block; an empty block is none.

    A new block goes to the end, but before a last line that is not ended: taking it out leaves that one as it was.
    """
    begin, end = f"# vnet lab {lab} begin\n", f"# vnet lab {lab} end\n"
    *ended, rest = text.split("\n")
    lines = [f"{line}\n" for line in ended] + ([rest] if rest else [])
    first = lines.index(begin) if begin in lines else len(lines) - (bool(lines) and not lines[-1].endswith("\n"))
    last = first
    if begin in lines:
        if end not in lines[first:]:
            raise ValueError(f"{_path()}: the block '{begin.strip()}' has no end: take it out by hand")
        last = lines.index(end, first) + 1
    inside = change(lines[first + 1 : last - 1])
    block = [begin, *inside, end] if inside else []
    return "".join(lines[:first] + block + lines[last:])


def _path() -> Path:
    """Find the file itself, where /etc/hosts is a link to it."""
    return Path(os.environ.get("VNET_ETC_HOSTS") or "/etc/hosts").resolve()


def _change(how: Callable[[str], str]) -> None:
    """Change the file, alone and in one step; leave it alone where nothing differs."""
    path = _path()
    with _locked(path):
        old = path.read_bytes().decode(errors="surrogateescape")
        new = how(old)
        if new != old:
            try:
                _write(path, new.encode(errors="surrogateescape"))
            except PermissionError as error:
                raise PermissionError(
                    f"{path}: you may not write it, and hooks run as you: leave hooks/etc_hosts.py out, or run as root"
                ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock on the file, on the one that has the name when the lock is there: others replace it."""
    deadline_s = time.monotonic() + LIMIT_S
    while True:
        with path.open("rb") as file:
            if _lock(file, path):
                yield
                return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{path} is locked by another process for {LIMIT_S:.0f} s")
        time.sleep(0.005)


def _lock(file: BinaryIO, path: Path) -> bool:
    """Lock an open file now, and tell whether that worked and the file still has the name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.path.samestat(os.fstat(file.fileno()), path.stat())


def _write(path: Path, content: bytes) -> None:
    """Replace the file by a new one with the same owner, mode and attributes; where that can't be, write into it.

    A file that is mounted over (containers) can't be replaced: EBUSY. Nor can one in a folder that is not the caller's.
    """
    try:
        fd, name = tempfile.mkstemp(prefix=".hosts.vnet-", dir=path.parent)
    except OSError:
        _write_into(path, content)
        return
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(fd, path.stat().st_uid, path.stat().st_gid)
            shutil.copystat(path, name)
            os.utime(fd)
            os.fsync(fd)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        if error.errno not in (errno.EBUSY, errno.EXDEV, errno.EPERM):
            raise
        _write_into(path, content)


def _write_into(path: Path, content: bytes) -> None:
    """Write into the file as it is."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
