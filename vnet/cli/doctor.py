"""Look for what on this machine is missing or in the way of a lab; each finding comes with what mends it.

It changes nothing. The kernel's features are tried in a network namespace that is thrown away. What only root may see is
looked at by `sudo -n`, where that asks for no password. The exit status is 0 where a lab can be made, else 1.

  vnet-doctor                  what is wrong first, then what is well
  vnet-doctor -q               what is wrong alone
  vnet-doctor --json           for programs; docs/doctor.md explains it
"""

from __future__ import annotations

import argparse
import sys

from vnet.doctor import checks, facts, page
from vnet.nodes import caller


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what vnet-doctor takes."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    found = facts.look(caller(), file=options.file, lab=options.lab)
    findings = checks.judge(found)
    if options.json:
        print(page.to_json(findings, found.way))
    else:
        from vnet.picture import look

        shown = tuple(each for each in findings if each.said.level != "ok") if options.quiet else findings
        print(page.text(shown, look.of(sys.stdout)))
    return 0 if checks.can(findings) else 1
