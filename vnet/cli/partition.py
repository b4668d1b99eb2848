"""Set who in a lab can talk to whom: the whole cut, in one step, whatever it was before.

  vnet-partition isolate flask                  flask reaches no other guest
  vnet-partition disjoint a b -- c d e          two sides
  vnet-partition split a b c -- c d e           c hears both sides
  vnet-partition oneway a -- b                  nothing from a arrives at b
  vnet-partition halves|one|majority|minority-third|bridge|majorities-ring    as Jepsen has them
  vnet-partition fullmesh                       everyone hears everyone
  vnet-partition show                           the cut in force, and what it has dropped
  vnet-partition run NODE COMMAND ...           as vnet-exec

A cut concerns guests only: never the bridge, the gateway, the internet or forwarded ports.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from vnet.cli.caller import caller, session
from vnet.cli.values import seconds, whole
from vnet.cuts import partition
from vnet.cuts.cut import Cut, cut, is_random
from vnet.engine.context import Context
from vnet.engine.record import LabRecord
from vnet.errors import UsageError
from vnet.kernel.marks import state_folder
from vnet.nodes import find_lab

#: Stands for `--` between groups, which argparse would keep for itself.
DASHES = "\0--"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what vnet-partition takes."""
    parser.add_argument(
        "--for", metavar="SECONDS", dest="for_s", type=seconds, help="heal after that time, by the kernel itself"
    )
    parser.add_argument("--seed", metavar="N", type=whole, help="repeat a random choice")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    parser.add_argument("--json", action="store_true", help="print the cut as JSON")
    parser.add_argument("kind", metavar="KIND", help="disjoint, split, isolate, ...: see the examples")
    parser.add_argument("words", nargs="*", default=[], metavar="NODE", help="guests, in groups that -- separates")


def prepare(words: list[str]) -> list[str]:
    """Keep `--` between groups from argparse, not the one that only ends the options; hand `run` over to vnet-exec."""
    at = _kind_at(words)
    if words[at : at + 1] == ["run"]:
        from vnet import exec as run_in

        sys.exit(run_in.main([*words[:at], *words[at + 1 :]]))
    options = [word for word in words[:at] if word != "--"]
    return [*options, *(DASHES if word == "--" else word for word in words[at:])]


def _kind_at(words: list[str]) -> int:
    """Find the first word that is neither an option nor an option's value."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in ("-f", "-n", "--for", "--seed") else 1
    return at


def run(options: argparse.Namespace) -> int:
    """Do it."""
    folder = state_folder(caller())
    name = find_lab(options.lab or "", options.file or "", folder)
    for_s: float | None = options.for_s
    words = ["--" if word == DASHES else word for word in options.words]
    with session(options, None, name) as context:
        record = partition.find(context, name)
        if options.kind == "show":
            if words or for_s is not None:
                raise UsageError("show: takes neither guests nor --for; write it as `vnet-partition show`")
            return _print(context, record, json_=options.json)
        wanted = _cut(options, words, record)
        context.load_hooks(record.hooks, name)
        partition.apply(context, name, wanted, partition.ending(for_s) if wanted.deaf else None)
        if not options.quiet and not options.dry_run:
            for line in wanted.describe():
                context.say(line)
        if options.json and not options.dry_run:
            _print(context, partition.find(context, name), json_=True)
    return 0


def _cut(options: argparse.Namespace, words: list[str], record: LabRecord) -> Cut:
    """Make the cut that is asked for."""
    seed = options.seed
    if seed is None and is_random(options.kind):
        seed = int.from_bytes(os.urandom(4), "big")
    return cut(options.kind, words, partition.names(record), seed=seed)


def _print(context: Context, record: LabRecord, *, json_: bool) -> int:
    """Print the cut in force."""
    if json_:
        found = partition.as_data(partition.standing(record), partition.drops(context, record))
        print(json.dumps({"schema": 1, "lab": record.lab.name, "cut": found}, indent=1))
    else:
        print("\n".join(partition.lines(context, record)))
    return 0
