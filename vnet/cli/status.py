"""Show what is up: host, gateway, labs and guests; addresses, forwarded ports, processes, the cut in force.

All labs of yours, or with -n one of them. On a terminal a tree that fits its width; into a pipe plain ASCII, one line a
guest and nothing cut short. It needs no sudo, save for --probe where vnet has all its rights from sudo.

  vnet-status                  every lab of yours
  vnet-status -n shop --probe  one lab, and who reaches whom in it
  vnet-status --json           for programs; docs/status.md explains it
"""

from __future__ import annotations

import argparse
import sys

from vnet.nodes import caller
from vnet.picture import status


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what vnet-status takes."""
    parser.add_argument("--probe", action="store_true", help="try who reaches whom, with real packets")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    found = status.collect(caller(), options.lab, probe=options.probe)
    if options.json:
        print(status.to_json(found))
        return 0
    from vnet.picture import look, tree

    print(tree.tree(found, look.of(sys.stdout)))
    return 0
