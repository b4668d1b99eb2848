"""The files that settings come from: where they are, whether they are to be trusted, what they hold.

`os.path` and not `pathlib`, which takes 4 ms to import: every command comes by here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from vnet.config.words import dotted
from vnet.project import PROJECT, absolute, find_project

SYSTEM = "/etc/vnet/settings.toml"
LIMIT = 1 << 20
REWRITE = "write it in a simpler way, a string on one line for example"


class Unreadable(Exception):
    """The file can't be used; the text says why."""


class Source(NamedTuple):
    """One settings file: its absolute path, how its user calls it, and whose it may be.

    `owners` is None where any owner will do; `named_by` is `-f` or `VNET_FILE`, and then it has to be there.
    """

    path: str
    shown: str
    role: Literal["system", "user", "project"]
    owners: frozenset[int] | None = None
    remedy: str = ""
    named_by: str = ""

    @property
    def folder(self) -> str:
        """What relative paths in the file are relative to."""
        return os.path.dirname(self.path)


def sources(*, file: str | None, environ: Mapping[str, str], cwd: str, home: str | None) -> list[Source]:
    """List the files to read, the one that wins last."""
    found = [Source(SYSTEM, SYSTEM, "system"), _of_user(environ, home), _of_project(file, environ, cwd)]
    return [source for source in found if source]


def _of_user(environ: Mapping[str, str], home: str | None) -> Source | None:
    """Find the caller's own file: under sudo, that of whoever called it.

    Root then reads a file that he could not know of, so it has to be his or root's.
    """
    uid, its_home = _caller(environ)
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # unset, or to be ignored (XDG Base Directory Specification)
        base = os.path.join(home or its_home or "", ".config")
    if not os.path.isabs(base):
        return None
    path = os.path.join(base, "vnet", "settings.toml")
    owners = None if uid is None else frozenset({0, uid})
    return Source(path, shown(path), "user", owners, "give it back with chown")


def _caller(environ: Mapping[str, str]) -> tuple[int | None, str | None]:
    """Find whose settings count: the user id behind sudo, or None without sudo, and a home if there is one."""
    sudo = environ.get("SUDO_UID") or environ.get("SUDO_USER")
    if os.geteuid() != 0 or not sudo:
        return None, environ.get("HOME") or _password(os.geteuid())[1]
    given = environ.get("SUDO_UID", "")
    uid, home = _password(given)
    if uid is None:
        uid, home = _password(environ.get("SUDO_USER", ""))
    if uid is None:
        uid = int(given) if given.isdecimal() and len(given) < 20 else 0
    return uid, home


def _password(who: int | str) -> tuple[int | None, str | None]:
    """Look a user id or a name up in the password database."""
    import pwd

    try:
        entry = pwd.getpwuid(int(who)) if str(who).isdigit() else pwd.getpwnam(str(who))
    except (KeyError, ValueError, OverflowError):
        return None, None
    return entry.pw_uid, entry.pw_dir


def _of_project(file: str | None, environ: Mapping[str, str], cwd: str) -> Source | None:
    """Find the project's file: named, or looked for."""
    for named_by, name in (("-f", file), ("VNET_FILE", environ.get("VNET_FILE") or None)):
        if name is not None:
            return Source(absolute(cwd, name), shown(name), "project", named_by=named_by)
    path = find_project(cwd)
    if path is None:
        return None
    if os.path.dirname(path) == os.path.normpath(cwd):
        return Source(absolute(cwd, path), PROJECT, "project")
    return Source(absolute(cwd, path), shown(path), "project", _owners(environ, cwd), "name it with -f if you trust it")


def _owners(environ: Mapping[str, str], cwd: str) -> frozenset[int]:
    """List who may own a vnet.toml that was found above the working directory.

    Its hooks will run, and anybody may put a file into /tmp. The owner of the working directory counts, as in a
    container that has somebody else's checkout mounted.
    """
    uid, _ = _caller(environ)
    owners = {0, os.geteuid()} | ({uid} if uid is not None else set())
    try:
        return frozenset({*owners, os.stat(cwd).st_uid})
    except (OSError, ValueError):
        return frozenset(owners)


def matches(pattern: str, folder: str) -> list[str]:
    """Find the files that a pattern, or a plain name, stands for: absolute paths, sorted."""
    hits: Iterator[str] | Sequence[str] = [pattern]
    if any(char in pattern for char in "*?["):
        from glob import iglob

        hits = iglob(pattern, root_dir=folder, recursive=True)
    try:
        paths = {absolute(folder, hit) for hit in hits}
    except Exception:  # RecursionError, where a pattern has a thousand parts; re.error
        return []
    return sorted(path for path in paths if os.path.isfile(path))


def is_unsafe(path: str) -> bool:
    """Tell whether a path holds what no record and no list of nodes can: line breaks and their like, bytes that are not UTF-8."""
    return any(ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in path)


def shown(path: str) -> str:
    """Write a path as it is, unless it is empty or would break the line."""
    return path if path and path.isprintable() else repr(path)


def read(source: Source) -> dict[str, Any] | None:
    """Read and parse a settings file; None where there need not be one and is none."""
    try:
        with open(source.path, "rb", opener=_open) as opened:
            _inspect(source, os.fstat(opened.fileno()))
            data = opened.read(LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        if source.role != "project":
            return None
        why = f"though {source.named_by} names it" if source.named_by else "it is a link that leads nowhere"
        raise Unreadable(f"there is no such file, {why}") from None
    except IsADirectoryError:
        raise Unreadable(f"it is a directory; allowed: a file, such as {PROJECT} in there") from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"it can't be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > LIMIT:
        raise Unreadable(f"it is too large; allowed: {LIMIT:,} bytes")
    try:
        return _parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        where = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"line {where}: it is not UTF-8; allowed: TOML in UTF-8") from None


def _open(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _inspect(source: Source, status: os.stat_result) -> None:
    """Refuse what is not a file, and a file of somebody who could do harm with it."""
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("it is not a file; allowed: a regular file")
    if source.owners is not None and status.st_uid not in source.owners:
        raise Unreadable(f"it belongs to user {status.st_uid}, neither to you nor to root; {source.remedy}")


def _parse(text: str) -> dict[str, Any]:
    """Parse TOML with `toml`, and hold it to what the standard library reads.

    toml 0.10.2 drops the rest of the file behind a multi-line string that ends with a blank, takes a # in one for a
    comment, and guesses where a brace is missing: a lab with fewer guests, without a word. tomllib words the errors
    and has their lines right (2 ms).
    """
    import tomllib

    try:
        proof = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).rpartition(" (at ")
        raise Unreadable(f"{where.rstrip(')')}: {what or 'it is wrong'}; allowed: TOML"[:300]) from None
    except Exception as error:
        raise Unreadable(f"it nests too deep or holds a huge number: {error}"[:300]) from None
    import toml  # type: ignore[import-untyped, unused-ignore]

    try:
        data = toml.loads(text)
        differs = None if data == proof else _difference(data, proof, ())
    except Exception as error:  # IndexError, TypeError, ...
        raise Unreadable(f"it is TOML that the toml package can't read; {REWRITE} ({str(error)[:100]!r})") from None
    if differs is not None:
        at = dotted(differs) or "it"
        raise Unreadable(f"{at}: the toml package reads this otherwise than TOML says; {REWRITE}")
    return dict(data)


def _difference(data: Any, proof: Any, path: tuple[str, ...]) -> tuple[str, ...] | None:
    """Find the first key that two parsers disagree about; nan, which is not even itself, is none."""
    if isinstance(data, dict) and isinstance(proof, dict):
        for key in [*proof, *data]:
            if key not in data or key not in proof:
                return (*path, key)
            if (found := _difference(data[key], proof[key], (*path, key))) is not None:
                return found
        return None
    return None if data == proof or repr(data) == repr(proof) else path
