"""Writes docs/settings.md from the table of keys: `python -m vnet.config.docs > docs/settings.md`."""

from __future__ import annotations

import sys
from textwrap import fill

from vnet.config.schema import KEYS, Key

INTRO = """\
# Settings

<!-- Written by `python -m vnet.config.docs` from the table in vnet/config/schema.py: change it there. -->

Settings are TOML. `settings.example.toml` shows every key, with the defaults.

## Where they come from

A later one wins key by key, and within `guests` each guest's keys too:

1. the built-in defaults;
2. `/etc/vnet/settings.toml`, the machine's;
3. `$XDG_CONFIG_HOME/vnet/settings.toml`, the user's, by default in `~/.config`. Under `sudo` it is that of the user
   who called it, and must belong to him or to root;
4. the project's `vnet.toml`, looked for in the working directory and then upwards, or named by `VNET_FILE` or
   `-f FILE`. One that is found further up must belong to you, to root or to the owner of the working directory, as
   its hooks will run; name it with `-f` to use it all the same;
5. the environment: `VNET_HOST_IP`, `VNET_LAB`, `VNET_FILE`; an empty one counts as not set;
6. flags: `-f FILE`, `-n LAB`, `--host-ip IP`, `--no-iptables`.

Two things differ: `name` and `guests` stand in the project's file only, and the lists of `hooks.load` add up.

Where there is no project, `vnet-up GUEST ...` makes a lab of those guests, named after the working directory.

## What is wrong with them

All mistakes of all layers are reported together, one a line, before anything is touched, with exit status 2:

    SOURCE: KEY: what is wrong; allowed: what is allowed

SOURCE is a file, a variable or a flag. A file is TOML 1.0 in UTF-8 of at most 1 MiB. It is read with the toml
package, and what that reads otherwise than TOML says is refused rather than guessed at: a multi-line string that
holds quotes and `#`, or has blanks behind its end, is best written as a string on one line.
"""
TABLES = {"": "For the whole file", "host": "[host]", "networks": "[networks]", "hooks": "[hooks]"}


def document() -> str:
    """Write the page."""
    parts = [INTRO, "## Keys\n"]
    table = None
    for key in KEYS:
        if _table(key) != table:
            table = _table(key)
            parts.append(f"### {TABLES.get(table, '[guests.NAME]')}\n")
        parts.append(_entry(key))
    return "\n".join(parts)


def _table(key: Key) -> str:
    """Name the table that a key stands in."""
    return key.name.rpartition(".")[0] if key.path[0] != "guests" else "guests"


def _entry(key: Key) -> str:
    """Write one key."""
    name = key.name.replace("*", "NAME")
    default = key.otherwise or f"`{_toml(key.default)}`"
    items = (f"- allowed: {_escaped(key.allowed)}", f"- default: {default}")
    return "\n".join((_wrapped(f"**`{name}`** {key.doc}"), "", *(_wrapped(item, "  ") for item in items), ""))


def _wrapped(text: str, indent: str = "") -> str:
    """Break lines at blanks."""
    return fill(text, 116, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _escaped(text: str) -> str:
    """Keep Markdown from taking signs for its own."""
    return "".join(f"\\{char}" if char in "*_[]" else char for char in text)


def _toml(value: object) -> str:
    """Write a default as TOML."""
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.stdout.write(document())
