"""Bring a lab up, or to what its settings say now; returns once every guest answers.

Where there is no vnet.toml, the named guests are the lab. Where there is one, only these guests are brought up.

  vnet-up                      the lab of the vnet.toml here or above
  vnet-up --dry-run            every command that would run, and none is
  vnet-up -n trial a b c       where there is no vnet.toml: a lab of three guests
"""

from __future__ import annotations

import argparse
import os
import time

from vnet.cli import progress
from vnet.cli.caller import caller, counted, on_host, session
from vnet.cli.values import whole
from vnet.config import settings
from vnet.engine import bring_up, gateway_up
from vnet.errors import UsageError
from vnet.kernel import processes


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what vnet-up takes."""
    parser.add_argument("--host-ip", metavar="IP", help="the host's address; default 172.18.255.1")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, run none")
    parser.add_argument("--no-iptables", action="store_true", help="leave the host's firewall alone")
    parser.add_argument("--owner", metavar="PID", type=whole, help="the process it is for; see vnet-down --orphans")
    parser.add_argument("--json", action="store_true", help="print what is up then, as vnet-status --json")
    parser.add_argument("guests", nargs="*", metavar="GUEST", help="these guests only")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    on_host(options)
    started = time.monotonic()
    wanted = settings.load(
        file=options.file, lab=options.lab, guests=options.guests, host_ip=options.host_ip,
        iptables=False if options.no_iptables else None, environ=os.environ, cwd=os.getcwd(),
    )  # fmt: skip
    if not wanted.file and not wanted.guests:
        raise UsageError(
            "no vnet.toml here or above: write one, name it with -f, or name the guests of a lab without one"
        )
    with session(options, wanted.hooks, wanted.name) as context:
        only = frozenset(options.guests)
        owner = _owner(options.owner)
        gateway_up.announce(context, wanted, quiet=options.dry_run)
        with progress.shown(options, context, f"bringing {wanted.name} up, {counted(only or wanted.guests)}"):
            record = bring_up.lab_up(context, wanted, only, owner)
        if not options.quiet and not options.dry_run:
            lab, took_s = record.lab, time.monotonic() - started
            context.say(
                f"{lab.name} is up: {counted(lab.guests)} at {lab.network}, bridge {lab.bridge_ip}, {took_s:.2f} s"
            )
    if options.json and not options.dry_run:
        from vnet.picture.status import as_json

        print(as_json(caller(), wanted.name))
    return 0


def _owner(pid: int | None) -> str:
    """Name the process that a lab is for, if there is to be one."""
    found = processes.identity(pid) if pid else ""
    if pid is not None and not found:
        raise UsageError(f"--owner {pid}: no such process; name one that runs")
    return found
