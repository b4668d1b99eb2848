"""Take a lab away: end what runs in its guests, then remove them and the bridge. A lab that is not there is fine.

vnet-down                    the lab of the vnet.toml here or above
vnet-down nginx              one guest of it
vnet-down --all --gateway    everything of yours; the host is then as it was before the first vnet-up
"""

from __future__ import annotations

import argparse
import os

from vnet.cli import progress
from vnet.cli.caller import caller, on_host, session
from vnet.config import settings
from vnet.engine import records, take_down
from vnet.errors import CommandError, SettingsError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what vnet-down takes."""
    parser.add_argument("--all", action="store_true", help="every lab of yours")
    parser.add_argument("--orphans", action="store_true", help="every lab of yours whose --owner has ended")
    parser.add_argument("--gateway", action="store_true", help="every lab, the gateway, and all on the host")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    parser.add_argument("guests", nargs="*", metavar="GUEST", help="these guests only")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    on_host(options)
    name, file = "", None
    try:
        wanted = settings.load(file=options.file, lab=options.lab, environ=os.environ, cwd=os.getcwd())
        name, file = wanted.name, None if options.lab or os.environ.get("VNET_LAB") else wanted.file or ""
    except SettingsError:
        if not (options.all or options.gateway or options.orphans):
            name = _named(options)
    what = "all" if options.gateway or options.all or options.orphans else name
    with session(options, None, name) as context, progress.shown(options, context, f"taking {what} down"):
        if options.gateway:
            errors = take_down.gateway_down(context)
        elif options.all:
            errors = take_down.all_down(context)
        elif options.orphans:
            errors = take_down.orphans_down(context)
        else:
            errors = take_down.lab_down(context, name, tuple(options.guests), file=file)
    if errors:
        raise CommandError("\n".join(errors))
    return 0


def _named(options: argparse.Namespace) -> str:
    """Name the lab to take away where the settings can't be read any more: as the record has it."""
    from vnet.nodes import find_lab

    return find_lab(options.lab or "", options.file or "", records.Records(caller()).folder)
