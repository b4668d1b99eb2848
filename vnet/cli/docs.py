"""Writes docs/commands.md from the parsers: `python -m vnet.cli.docs > docs/commands.md`. No command imports it."""

from __future__ import annotations

import argparse
import sys

from vnet.cli import VERBS
from vnet.cli.exec_help import TEXT
from vnet.share.grammar import common, module, own

INTRO = """\
# Commands

<!-- Written by `python -m vnet.cli.docs` from the commands' own parsers: change it there. -->

Each is a program in `bin/` and a console script; `vnet VERB` is the same as `vnet-VERB`. stdout carries data, stderr
carries words. Colour is used on a terminal only, and never where `NO_COLOR` is set.

{verbs}

## What all take

{options}

## Exit status

| exit status | meaning |
| --- | --- |
| 0 | what was asked for holds now |
| 1 | it failed; what was half made was taken back |
| 2 | wrong usage or wrong settings; nothing was touched |
| 3 | the lab, or the guest, is not up |
| 125, 126, 127 | `vnet-exec` alone: vnet failed, the command can't be run, the command was not found |
"""


def document() -> str:
    """Write the page."""
    verbs = [(f"[`vnet-{verb}`](#vnet-{verb})", what) for verb, (_, what) in VERBS.items()]
    shared = [_row(action) for action in common()]
    head = INTRO.format(verbs=_table("command", "does", verbs), options=_table("option", "meaning", shared))
    return "\n".join((head, *(_verb(verb) for verb in VERBS)))


def _verb(verb: str) -> str:
    """Write the section of one verb."""
    if verb == "exec":  # it reads its own words, and has no parser
        return f"## vnet-exec\n\n{_code(TEXT)}"
    actions = own(verb)
    usage = " ".join((f"vnet-{verb}", *(_usage(action) for action in actions)))
    rows = _table("option", "meaning", [_row(action) for action in actions])
    return "\n\n".join((f"## vnet-{verb}", _code(usage), _text(module(verb).__doc__ or ""), rows)) + "\n"


def _row(action: argparse.Action) -> tuple[str, str]:
    """Write what one option is called, and what it means."""
    names = ", ".join(f"`{_with_value(action, name)}`" for name in action.option_strings)
    return names or f"`{action.metavar}`", action.help or ""


def _usage(action: argparse.Action) -> str:
    """Write an option as a usage line has it."""
    if action.option_strings:
        return f"[{_with_value(action, action.option_strings[0])}]"
    many = {"*": f"[{action.metavar} ...]", "+": f"{action.metavar} [{action.metavar} ...]", "?": f"[{action.metavar}]"}
    return many.get(str(action.nargs), str(action.metavar))


def _with_value(action: argparse.Action, name: str) -> str:
    """Write an option with the value that it takes, if any."""
    if action.nargs == 0:
        return name
    value = action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper()
    return f"{name} {value}" + (" ..." if action.nargs in ("*", "+") else "")


def _table(left: str, right: str, rows: list[tuple[str, str]]) -> str:
    """Write a table of two columns."""
    cells = [
        (left, right),
        ("---", "---"),
        *((name.replace("|", "\\|"), what.replace("|", "\\|")) for name, what in rows),
    ]
    return "\n".join(f"| {name} | {what} |" for name, what in cells)


def _text(doc: str) -> str:
    """Turn a module's docstring into Markdown: what is indented in it, or begins with a command's name, is code.

    The formatter takes the indentation away where nothing else follows the first line.
    """
    lines = (f"  {line}" if line.startswith("vnet-") else line for line in doc.strip().split("\n"))
    return "\n".join(f"  {line}" if line.startswith("  ") else line for line in lines)


def _code(text: str) -> str:
    """Indent a text, so that it is shown as it stands."""
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


if __name__ == "__main__":
    sys.stdout.write(document())
