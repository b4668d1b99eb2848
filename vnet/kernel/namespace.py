"""The kernel's own calls for namespaces and trees of processes: setns(2), unshare(2), mount(2), sethostname(2), prctl(2).

Python 3.12 has the first two in `os`; 3.11 needs ctypes. `nsenter` and `unshare` do the same for 4 ms a
command; these are for where one process enters many namespaces, or where each millisecond is the user's.
"""

from __future__ import annotations

import ctypes
import os

NEWNS, NEWUTS, NEWUSER, NEWNET = 0x00020000, 0x04000000, 0x10000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_SLAVE = 2, 4, 8, 4096, 16384, 1 << 19
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
NSFS_MAGIC = 0x6E736673

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    """Raise OSError, as the functions of `os` do."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def setns(path: str, kind: int) -> None:
    """Enter the namespace that is pinned at `path`; a plain file there is EINVAL."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns_fd(fd, kind, path)
    finally:
        os.close(fd)


def setns_fd(fd: int, kind: int, path: str = "setns") -> None:
    """Enter the namespace of an open pin."""
    _check(_libc.setns(fd, kind), path)


def unshare(flags: int) -> None:
    """Leave shared namespaces for new ones."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, fstype: str = "none", flags: int = 0) -> None:
    """Mount a filesystem.

    The flags are those of mount(2).
    """
    _check(_libc.mount(source.encode(), target.encode(), fstype.encode(), ctypes.c_ulong(flags), None), target)


def umount_lazily(target: str) -> None:
    """Detach what is mounted at `target`, as umount2(2) with MNT_DETACH."""
    _check(_libc.umount2(target.encode(), 2), target)


def set_hostname(name: str) -> None:
    """Set the host name of this UTS namespace."""
    raw = name.encode()
    _check(_libc.sethostname(raw, len(raw)), name)


def is_pin(path: str) -> bool:
    """Tell whether a namespace is mounted at `path`: its filesystem's magic (statfs(2)) is NSFS."""
    buffer = (ctypes.c_long * 32)()
    return _libc.statfs(path.encode(), buffer) == 0 and buffer[0] == NSFS_MAGIC


def is_in(pin: str) -> bool:
    """Tell whether this process is in the user namespace that is pinned there."""
    try:
        return os.stat("/proc/self/ns/user").st_ino == os.stat(pin).st_ino
    except OSError:
        return False


class network:  # a class, as contextlib would be a third of what vnet-exec imports
    """Be in a network namespace for a while, this thread alone; sockets opened in there stay in there."""

    def __init__(self, path: str) -> None:
        self._path, self._home = path, -1

    def __enter__(self) -> None:
        """Go there."""
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(self._path, NEWNET)
        except OSError:
            os.close(self._home)
            raise

    def __exit__(self, *_: object) -> None:
        """Come back."""
        try:
            setns_fd(self._home, NEWNET)
        finally:
            os.close(self._home)


def adopt_orphans() -> None:
    """Become the parent of what is started below this process and loses its own, in place of process 1."""
    _check(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def no_new_privileges() -> None:
    """Give up, for good and for all that is started from here, what set-user-ID programs would gain (PR_SET_NO_NEW_PRIVS)."""
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def die_with_parent() -> None:
    """Be killed when the parent ends. It lasts over execve(2), save that of a set-user-ID program."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl")
