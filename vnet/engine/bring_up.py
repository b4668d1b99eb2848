"""The way up of a lab: made, or changed to what the settings say, once the gateway stands (`gateway_up.py`).

What fails is taken back from the record before the error goes on.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager

from vnet.bridge import BridgeStep
from vnet.config.settings import Settings
from vnet.engine import plan
from vnet.engine.context import Context, must, say_all
from vnet.engine.gateway_up import gateway_for, gateway_up
from vnet.engine.kept import keep_cut, write_forwards, write_texts
from vnet.engine.record import LabRecord, State
from vnet.engine.records import GoneError, Records
from vnet.engine.take_down import guests_down, remove_lab
from vnet.errors import CommandError
from vnet.guest import GuestsStep
from vnet.host import StateStep
from vnet.kernel import path
from vnet.kernel.marks import pin
from vnet.model import Gateway, Lab

#: Seconds that new guests have to answer, and those that stood before: a rule of their own may keep them silent.
READY_S, STANDING_S = 10.0, 1.0


def lab_up(context: Context, settings: Settings, only: Collection[str] = (), owner: str = "") -> LabRecord:
    """Bring a lab to what the settings say; `only`: these guests, beside those that are up; `owner`: see `LabRecord`.

    It is locked from the beginning, so that a vnet-down in the trap of a killed script waits until all of it is there.
    """
    records = context.records
    with folder(context), records.lock(f"lab-{settings.name}"):
        gateway = gateway_up(context, gateway_for(context, settings))
        record, wanted = _allocate(context, settings, gateway, only, owner)
        if record and record.bridge != "up":
            must(remove_lab(context, record))  # with all that it held
            record, wanted = _allocate(context, settings, gateway, only, owner)
        return _change(context, record, wanted) if record else _make(context, wanted)


@contextmanager
def folder(context: Context) -> Iterator[None]:
    """Make the records' folder where there is none, and keep it from being taken away by another vnet."""
    records = context.records
    with ExitStack() as stack:
        for last in (False, False, True):
            if not records.exist():
                context.host().do("up", StateStep(records.uid, os.getgid()))
            try:
                stack.enter_context(records.lock("gateway", shared=True))
                break
            except GoneError:
                if last:
                    raise
        yield


def _allocate(context: Context, settings: Settings, gateway: Gateway, only: Collection[str],
              owner: str) -> tuple[LabRecord | None, LabRecord]:  # fmt: skip
    """Find the lab's record, or choose its number; refuse what another lab holds. Gives the record that is wanted."""
    with context.records.lock("world"):
        if not context.records.claims.exist():
            for each in context.records.labs():
                context.records.claims.claim(each.lab)
        record, wanted = choose(settings, gateway, only, context.records)
        wanted = wanted._replace(owner=owner)
        context.records.claims.claim(wanted.lab)
        if record is None:
            context.records.write_lab(wanted)
        return record, wanted


def choose(settings: Settings, gateway: Gateway, only: Collection[str],
           records: Records) -> tuple[LabRecord | None, LabRecord]:  # fmt: skip
    """Tell the record of a lab, if it has one, and the record that is wanted."""
    record = records.lab(settings.name)
    taken = {number for number, name in records.claims.numbers().items() if name != settings.name}
    number = record.lab.number if record else plan.free_number(gateway.bridges, taken)
    while record is None and os.path.lexists(pin(f"{gateway.netns}-x{number}")):  # somebody else's
        taken.add(number)
        number = plan.free_number(gateway.bridges, taken)
    lab = plan.lab_of(settings, gateway, number, plan.selected(settings, only, record))
    plan.check(lab, record, {port: name for port, name in records.claims.ports().items() if name != lab.name})
    making: tuple[tuple[str, State], ...] = tuple((guest.name, "making") for guest in lab.guests)
    kind = path.iptables_kind()
    return record, LabRecord(lab, "making", making, dns=str(settings.host.dns), hooks=settings.hooks, iptables=kind)


def _make(context: Context, record: LabRecord) -> LabRecord:
    """Make a lab that is not there; it is taken back whole if a part fails."""
    context.records.write_lab(record)
    try:
        return _do(context, record, plan.changes(record.lab, None, None))
    except BaseException:
        say_all(context, remove_lab(context, record))
        raise


def _change(context: Context, record: LabRecord, wanted: LabRecord) -> LabRecord:
    """Change a standing lab; what is added is taken back if a part fails, what stood goes on."""
    lab, labs = wanted.lab, context.labs(record.lab.gateway)
    seen = plan.Seen(**labs.ask("lab", lab=record.lab, known=record.inodes))
    todo = plan.changes(lab, record, seen)
    if todo.bridge and todo.bridge.namespace:  # no cut can be kept in it meanwhile
        record = record._replace(bridge="making")
    if todo.gone:  # what can't be written down is not begun
        context.records.write_lab(record.with_guests(frozenset(todo.gone), "removing"))
    record, errors = guests_down(context, record, todo.gone)
    if any(record.lab.guest(name) for name in todo.gone):
        must(errors)
    if todo.bridge and todo.bridge.namespace:
        must(labs.do("down", BridgeStep(record.lab)))
        if todo.relinked:
            must(labs.do("down", todo.relinked))
    added, states = frozenset(todo.added.named if todo.added else ()), dict(record.guests)
    now: tuple[tuple[str, State], ...] = tuple(
        (each.name, "making" if each.name in added else states[each.name]) for each in lab.guests
    )
    changed = record._replace(
        lab=lab, guests=now, dns=wanted.dns, hooks=wanted.hooks, owner=wanted.owner, forwarded=not todo.forwards
    )
    if changed != record or added:
        context.records.write_lab(changed)
    try:
        done = _do(context, changed, todo)
    except BaseException:
        say_all(context, errors + guests_down(context, changed, tuple(added))[1])
        raise
    if said := todo.told():
        context.changed(f"{lab.name}: {said}")
    must(errors)
    return done


def _do(context: Context, record: LabRecord, todo: plan.Changes) -> LabRecord:
    """Do the changes on the way up, with their hooks, and write down that they are done."""
    lab, labs = record.lab, context.labs(record.lab.gateway)
    added = todo.added.guests if todo.added else ()
    whole = None if context.hooks or record.hooks or record.cut else todo.new_lab(lab)
    if whole:
        write_texts(context, record)
        labs.do("up", whole)
        if todo.forwards:
            write_forwards(context, lab.gateway)
        return _ready(context, record, tuple(guest.name for guest in added))
    new_bridge = (None,) if todo.bridge and todo.bridge.namespace else ()
    with context.step("bridge up"):
        context.before("bridge", lab, new_bridge)
        if todo.bridge:
            labs.do("up", todo.bridge)
        write_texts(context, record)
        context.after("bridge", lab, new_bridge)
    with context.step("guests up"):
        context.before("guest", lab, added)
        keep_cut(context, record, heals=todo.heals)  # before the newcomers' first packet
        for step in todo.guests_steps(lab):
            labs.do("up", step)
        if todo.forwards:
            write_forwards(context, lab.gateway)
        record = _ready(context, record, tuple(guest.name for guest in added))
        context.after("guest", lab, added)
    return record


def _ready(context: Context, record: LabRecord, made: tuple[str, ...]) -> LabRecord:
    """Wait until every guest answers, then write down that the lab is up."""
    lab, labs = record.lab, context.labs(record.lab.gateway)
    silent = labs.ask("ready", lab=lab, named=made, limit_s=READY_S)
    if silent:
        said = f"{' '.join(silent)}: no answer to {lab.bridge_ip} within {READY_S:.0f} s"
        raise CommandError(f"{said}; vnet-doctor finds what is in the way, vnet-up -v shows each command")
    _mend_silent(context, lab, tuple(guest.name for guest in lab.guests if guest.name not in frozenset(made)))
    names = (lab.netns, *map(lab.guest_netns, lab.guests))
    up: tuple[tuple[str, State], ...] = tuple((guest.name, "up") for guest in lab.guests)
    done = record._replace(
        bridge="up", guests=up, forwarded=True, inodes=tuple(labs.ask("inodes", netns=names).items())
    )
    if done != record:
        context.records.write_lab(done)
    return done


def _mend_silent(context: Context, lab: Lab, stood: tuple[str, ...]) -> None:
    """Set guests right that stood before and don't answer."""
    labs = context.labs(lab.gateway)
    silent = tuple(labs.ask("ready", lab=lab, named=stood, limit_s=STANDING_S)) if stood else ()
    if not silent:
        return
    context.say(f"{' '.join(silent)}: no answer: putting back what is missing")
    labs.do("up", GuestsStep(lab, silent, namespaces=False, links=False))
    still = labs.ask("ready", lab=lab, named=silent, limit_s=READY_S)
    if still:
        raise CommandError(f"{' '.join(still)}: no answer; vnet-down {' '.join(still)}, then vnet-up, makes them anew")
