"""Where tools are looked for: never the caller's PATH, which may lead anywhere when root looks."""

from __future__ import annotations

import os

from vnet.errors import CommandError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_found: dict[str, str] = {}


def tool(name: str) -> str:
    """Find a tool in the fixed PATH."""
    if name not in _found:
        paths = (f"{folder}/{name}" for folder in PATH.split(":"))
        path = next((path for path in paths if os.access(path, os.X_OK)), None)
        if path is None:
            raise CommandError(f"{name}: no such tool in {PATH}: vnet needs iproute2, iptables, util-linux and busybox")
        _found[name] = path
    return _found[name]


def iptables_kind() -> str:
    """Tell which kind of iptables is here, `nf_tables` or `legacy`, neither of which sees the other's rules; else nothing.

    It has the word in its text, as `iptables -V` prints it, so no process is needed.
    """
    try:
        with open(tool("iptables"), "rb") as file:
            text = file.read()
    except (CommandError, OSError):
        return ""
    return next((kind for kind in ("nf_tables", "legacy") if f"({kind})".encode() in text), "")
