"""Show what is up: host, gateway, labs and guests; addresses, forwarded ports, processes, the cut in force.

All labs of yours, or with -n one of them. On a terminal a tree that fits its width; into a pipe plain ASCII, one line a
guest and nothing cut short. It needs no sudo, save for --probe where vnet has all its rights from sudo.

  vnet-status                  every lab of yours
  vnet-status -n shop --probe  one lab, and who reaches whom in it
  vnet-status --json           for programs; docs/status.md explains it
  vnet-status --graph svg      a picture of it, also with --probe; for instance `>lab.svg`
"""

from __future__ import annotations

import argparse
import sys

from vnet.nodes import caller
from vnet.picture import status


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what vnet-status takes."""
    parser.add_argument("--probe", action="store_true", help="try who reaches whom, with real packets")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print it as JSON")
    form.add_argument(
        "--graph", choices=("dot", "mermaid", "svg"), help="print a picture: for Graphviz, for Markdown, or drawn"
    )


def run(options: argparse.Namespace) -> int:
    """Do it."""
    found = status.collect(caller(), options.lab, probe=options.probe)
    if options.json:
        print(status.to_json(found))
        return 0
    if options.graph:
        return _graph(options.graph, found)
    from vnet.picture import look, tree

    print(tree.tree(found, look.of(sys.stdout)))
    return 0


def _graph(form: str, found: status.Status) -> int:
    """Print a picture; what it takes is imported here alone."""
    if form == "svg":
        from vnet.picture.svg import svg as draw
    elif form == "dot":
        from vnet.picture.graph import dot as draw
    else:
        from vnet.picture.graph import mermaid as draw
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # whatever the locale: all three are UTF-8
    sys.stdout.write(draw(found))
    return 0
