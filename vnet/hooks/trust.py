"""Whether somebody else could have written a file, or could still swap it for another one."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path


def flaw(path: Path, uid: int) -> str | None:
    """Say what lets somebody other than `uid` and root change what `path` leads to, or give None.

    Each folder from / on counts, and each symbolic link on the way: who can write one of those can put another
    file in its place. In a folder with the sticky bit nobody can replace what is not his own.
    """
    for step, seen in _way(path):
        if seen.st_uid not in (0, uid) and not _is_unmapped(seen.st_uid):
            return f"{step} belongs to {user(seen.st_uid)}"
        if stat.S_ISLNK(seen.st_mode) or (stat.S_ISDIR(seen.st_mode) and seen.st_mode & stat.S_ISVTX):
            continue
        if seen.st_mode & stat.S_IWOTH:
            return f"everybody can write {step} (chmod o-w {step})"
        if seen.st_mode & stat.S_IWGRP and not _is_private(seen.st_gid, uid, step):
            return f"group {_group(seen.st_gid)} can write {step} (chmod g-w {step})"
    return None


def _way(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield all that decides what a path leads to: folders, links, what the links lead to, the file itself.

    Raises OSError where something is missing; a ring of links is found by the stat before the walk.
    """
    path.stat()
    here, rest = Path("/"), list(path.absolute().parts[:0:-1])
    yield here, here.lstat()
    while rest:
        part = rest.pop()
        here = here.parent if part == ".." else here / part
        seen = here.lstat()
        yield here, seen
        if stat.S_ISLNK(seen.st_mode):
            target = here.readlink()
            here = Path("/") if target.is_absolute() else here.parent
            rest += [each for each in reversed(target.parts) if each != "/"]


def _is_private(gid: int, uid: int, path: Path) -> bool:
    """Tell whether a group is the user's alone, as those are that Fedora and Ubuntu make: umask 002 goes with them.

    With an access list the group's bit stands for everybody on that list (acl(5)), so there it is never private.
    """
    try:
        group = grp.getgrgid(gid)
        if "system.posix_acl_access" in os.listxattr(path):
            return False
    except (KeyError, OSError):
        return False
    members = {each.pw_name for each in pwd.getpwall() if each.pw_gid == gid} | set(group.gr_mem)
    return members <= {"root", user(uid)}


def _is_unmapped(uid: int) -> bool:
    """Tell whether an owner can't be told from inside this user namespace: root is one of those there.

    Inside a guest the caller alone is mapped, and / belongs to the overflow user (user_namespaces(7)).
    The lab is up, so its hooks were looked at from outside before.
    """
    if uid != int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii")):
        return False
    lines = (line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines())
    return not any(int(first) <= uid < int(first) + int(count) for first, _, count in lines)


def user(uid: int) -> str:
    """Name a user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    """Name a group."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
