"""What each verb takes, read off the parsers, as plain data for pages and completions. No command imports it."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any, NamedTuple

from vnet.cli import VERBS, parser
from vnet.cli.exec_help import TEXT

#: What completes a value or a word, by the name that it has in the help; after a verb, where it is another there.
#: `labs`, `guests`, ... are asked of `vnet _names`; `file`, `folder` and `command` are the shell's own matter; all else is a
#: `number`, which nobody completes.
COMPLETES = {
    "FILE": "file", "FOLDER": "folder", "LAB": "labs", "COMMAND": "command", "KIND": "kinds", "NAME_OR_TAG": "programs",
    "up GUEST": "settings", "down GUEST": "guests", "exec NODE": "nodes", "partition NODE": "cut",
}  # fmt: skip


class Option(NamedTuple):
    """An option: its names, the name of its value or nothing, and what completes that."""

    names: tuple[str, ...]
    value: str
    completes: str
    choices: tuple[str, ...]
    many: bool
    help: str


class Word(NamedTuple):
    """A word that is no option; `many`: any number of them."""

    name: str
    completes: str
    many: bool
    help: str


class Verb(NamedTuple):
    """A verb: one line of what it does, its text, its options (common ones first) and its words."""

    name: str
    does: str
    text: str
    options: tuple[Option, ...]
    words: tuple[Word, ...]


class Exec:
    """What vnet-exec takes, which reads its own words (see `vnet.exec`) and has no parser."""

    @staticmethod
    def arguments(made: argparse.ArgumentParser) -> None:
        """Add what vnet-exec takes."""
        made.add_argument(
            "--root", action="store_true", help="be root in the lab: may change its links, routes and rules"
        )
        made.add_argument("node", metavar="NODE", help="a guest, or bridge, or gateway")
        made.add_argument(
            "command", metavar="COMMAND", nargs="+", help="what to run, looked up on PATH; words behind it are its own"
        )


class Bare:
    """A verb that takes nothing of its own."""

    @staticmethod
    def arguments(_: argparse.ArgumentParser) -> None:
        """Add nothing."""


def common() -> list[argparse.Action]:
    """List what `vnet.cli.parser` gives to every verb."""
    return parser("", Bare)._actions


def own(verb: str) -> list[argparse.Action]:
    """List what a verb takes of its own."""
    known = {action.dest for action in common()}
    return [action for action in parser(verb, module(verb))._actions if action.dest not in known]


def module(verb: str) -> Any:
    """Find where a verb says what it takes."""
    return Exec if verb == "exec" else import_module(VERBS[verb][0])


def verbs() -> list[Verb]:
    """List all verbs."""
    return [_verb(name, does) for name, (_, does) in VERBS.items()]


def _verb(name: str, does: str) -> Verb:
    """Read one verb's parser."""
    text = _of_exec() if name == "exec" else (module(name).__doc__ or "").strip()
    actions = [*common(), *own(name)]
    options = tuple(_option(name, each) for each in actions if each.option_strings)
    words = tuple(_word(name, each) for each in actions if not each.option_strings)
    return Verb(name, does, text, options, words)


def _of_exec() -> str:
    """Take out of vnet-exec's help what others have as their module's text."""
    return TEXT.split("\n\n", 1)[1].split("\n\npositional", 1)[0]


def _option(verb: str, action: argparse.Action) -> Option:
    """Read one option."""
    choices, value = tuple(map(str, action.choices or ())), ""
    if action.nargs != 0:
        value = str(action.metavar or "|".join(choices) or action.dest.upper())
    completes = "choices" if choices else _completes(verb, value) if value else ""
    return Option(
        tuple(action.option_strings), value, completes, choices, action.nargs in ("*", "+"), action.help or ""
    )


def _word(verb: str, action: argparse.Action) -> Word:
    """Read one word."""
    name = str(action.metavar or action.dest.upper())
    return Word(name, _completes(verb, name), action.nargs in ("*", "+"), action.help or "")


def _completes(verb: str, name: str) -> str:
    """Tell what completes a value; nothing, where that is not known."""
    return COMPLETES.get(f"{verb} {name}") or COMPLETES.get(name, "number")
