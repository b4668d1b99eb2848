"""--dry-run: the same plan as the real run, printed and not done."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator
from typing import TextIO

from vnet.bridge import BridgeStep
from vnet.config.settings import Settings
from vnet.engine import bring_up, plan, show
from vnet.engine.context import Context
from vnet.engine.records import LabRecord
from vnet.gateway import GatewayStep
from vnet.guest import GuestsStep
from vnet.host import HostStep, StateStep
from vnet.model import Gateway
from vnet.step import Step


def gateway_steps(context: Context, gateway: Gateway) -> tuple[Step, ...]:
    """List the steps that make the gateway; none where it stands."""
    if context.gateway():
        return ()
    return StateStep(gateway.uid, gateway.gid), bring_up.host_step(gateway), GatewayStep(gateway)


def up(context: Context, settings: Settings, only: Collection[str], out: TextIO) -> int:
    """Print what vnet-up would run."""
    gateway = bring_up.gateway_for(context, settings)
    bring_up.check_host(context, gateway)
    _print(context, gateway_steps(context, gateway), out, "up")
    record, wanted = bring_up.choose(settings, gateway, only, context.records)
    todo = plan.changes(wanted.lab, None, None)
    if record:
        seen = plan.Seen(**context.labs(gateway).ask("lab", lab=record.lab, known=record.inodes))
        todo = plan.changes(wanted.lab, record, seen)
    if record and todo.gone:
        _print(context, (GuestsStep(record.lab, todo.gone),), out, "down")
    _print(context, (todo.bridge,) if todo.bridge else (), out, "up")
    if todo != plan.Changes():
        folder = f"{context.records.folder}/labs/{wanted.lab.name}"
        for line in show.files(folder, bring_up.texts(wanted)):
            print(line, file=out)
    _print(context, todo.guests_steps(wanted.lab), out, "up")
    if todo.forwards:
        others = (each.lab for each in context.records.forwarding() if each.lab.name != wanted.lab.name)
        _print(context, (plan.all_forwards(gateway, (*others, wanted.lab)),), out, "up")
    return 0


def down(context: Context, options: argparse.Namespace, name: str, out: TextIO) -> int:
    """Print what vnet-down would run, after it has ended the guests' processes."""
    if not context.records.exist():
        return 0
    labs = context.records.labs()
    named = labs if options.all or options.gateway else [each for each in labs if each.lab.name == name]
    for record in named:
        _print(context, _lab_steps(record, tuple(options.guests)), out, "down")
    gateway = context.records.gateway()
    if options.gateway and gateway:
        steps = HostStep(gateway.gateway, gateway.closes), StateStep(gateway.gateway.uid, gateway.gateway.gid)
        _print(context, steps, out, "down")
    return 0


def _lab_steps(record: LabRecord, guests: tuple[str, ...]) -> Iterator[Step]:
    """List the steps that take a lab, or some of its guests, away."""
    everyone = tuple(guest.name for guest in record.lab.guests)
    yield GuestsStep(record.lab, guests or everyone)
    if not guests:
        yield BridgeStep(record.lab)


def _print(context: Context, steps: Collection[Step] | Iterator[Step], out: TextIO, way: str) -> None:
    """Print steps, with a word on who has to run them."""
    for step in steps:
        if context.rights.way != "root" and isinstance(step, StateStep | HostStep):
            print("# as root:", file=out)
        elif context.rights.way != "root":
            print("# as yourself:" if context.rights.way == "userns" else "# as root:", file=out)
        for line in show.lines(step, way, context.rights.way):
            print(line, file=out)
