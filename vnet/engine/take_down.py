"""The way down: guests, labs, the gateway, each as recorded, each to its end whatever is missing or broken.

Every function gives back what went wrong, a line each, and raises nothing for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from vnet.bridge import BridgeStep
from vnet.engine.context import Context, collect
from vnet.engine.kept import keep_cut, write_forwards, write_texts
from vnet.engine.record import GatewayRecord, LabRecord, remains
from vnet.engine.records import GoneError
from vnet.errors import NotUpError, hint
from vnet.guest import GuestsStep
from vnet.host import HostStep, StateStep
from vnet.kernel import forwarding, tables
from vnet.kernel.marks import CLOSED_MARK, GONE, PINS_MARK, RUN, link_holders, link_mark, pins_folder, pins_stand


def lab_down(context: Context, name: str, guests: tuple[str, ...] = (), *, orphan: bool = False,
             file: str | None = None) -> list[str]:  # fmt: skip
    """Take a lab, or some guests of it, away. A lab that is not there is fine; a guest that it never had is not.

    `orphan`: unless somebody else has made it his meanwhile. `file`: unless it is another file's (`""`: none), whose
    project only has a folder of the same name.
    """
    records = context.records
    if not records.exist():
        return []
    with suppress(GoneError), records.lock("gateway", shared=True), records.lock(f"lab-{name}"):
        record = records.lab(name)
        if record is None:
            records.remove_lab(name)
            return []
        if orphan and not record.orphaned:
            return []
        if file not in (None, record.lab.file or "") and record.bridge != "removing":
            context.say(f"the lab {name} that is up belongs to {record.lab.file or 'no file'}, and stays; "
                        f"vnet-down -n {name} takes it away")  # fmt: skip
            return []
        unknown = [guest for guest in guests if not record.lab.guest(guest)]
        if unknown:
            there = [guest.name for guest in record.lab.guests]
            meant = hint(unknown[0], there)
            raise NotUpError(
                f"{' '.join(unknown)}: not a guest of the lab {name}{meant}; its guests are {' '.join(there) or 'none'}"
            )
        if not pins_stand(record.lab.gateway):
            return _gone(context, name, guests)
        errors = context.load_hooks_left(record.hooks, name)
        return errors + (guests_down(context, record, guests)[1] if guests else remove_lab(context, record))
    return []


def _gone(context: Context, name: str, guests: tuple[str, ...]) -> list[str]:
    """Forget a lab whose namespaces are gone with those of all the caller's labs; there is nothing to take away."""
    gone = GONE.format(pins_folder(context.records.uid))
    if guests:
        raise NotUpError(gone)
    context.records.remove_lab(name)
    context.say(f"{name} is forgotten: {gone}")
    return []


def remove_lab(context: Context, record: LabRecord) -> list[str]:
    """Take a lab away: first its processes and guests, then the bridge. Its lock is held."""
    lab, labs = record.lab, context.labs(record.lab.gateway)
    record = record._replace(bridge="removing")
    _written(lambda: context.records.write_lab(record))
    record, errors = guests_down(context, record, tuple(guest.name for guest in lab.guests), alone=False)
    errors += context.collect_hooks("vnet_before_bridge_down", lab)
    errors += collect(lambda: context.end(lab.gateway, (lab.netns,)))
    failed = collect(lambda: labs.do("down", BridgeStep(lab)))
    errors += context.collect_hooks("vnet_after_bridge_down", lab)
    if failed or record.lab.guests:
        return errors + failed
    context.records.remove_lab(lab.name)
    if any(guest.ports for guest in lab.guests):
        errors += collect(lambda: write_forwards(context, lab.gateway, "down"))
    return errors


def _written(write: Callable[[], None]) -> list[str]:
    """Write down how far it is; where that can't be written, what is to go goes all the same. Gives back why it can't."""

    def act() -> list[str]:
        write()
        return []

    return collect(act)


def guests_down(context: Context, record: LabRecord, names: tuple[str, ...],
                *, alone: bool = True) -> tuple[LabRecord, list[str]]:  # fmt: skip
    """Take guests away; gives back the record without them, too. The lab's lock is held.

    `alone`: the bridge stays, so they lose their ports, and the gateway their forwarded ports.
    """
    lab, gone = record.lab, frozenset(names)
    step = GuestsStep(lab, tuple(guest.name for guest in lab.guests if guest.name in gone), links=alone)
    if not step.named:
        return record, []
    record = record.with_guests(gone, "removing")
    _written(lambda: context.records.write_lab(record))
    labs = context.labs(lab.gateway)
    errors = context.collect_hooks("vnet_before_guest_down", lab, step.guests)
    errors += collect(lambda: context.end(lab.gateway, tuple(map(lab.guest_netns, step.guests))))
    failed = collect(lambda: labs.do("down", step))
    errors += context.collect_hooks("vnet_after_guest_down", lab, step.guests)
    if not failed:
        ports = alone and any(guest.ports for guest in step.guests)
        record = record.without(gone)._replace(forwarded=record.forwarded and not ports)
        unwritten = _written(lambda: context.records.write_lab(record))
        errors += unwritten if alone else []  # else the record goes anyway
        if record.bridge == "up":
            errors += collect(lambda: write_texts(context, record))
            errors += collect(lambda: keep_cut(context, record))
        if ports:
            unwritten = collect(lambda: write_forwards(context, lab.gateway, "down"))
            record = record._replace(forwarded=not unwritten)
            errors += unwritten or _written(lambda: context.records.write_lab(record))
    return record, errors + failed


def all_down(context: Context) -> list[str]:
    """Take every lab of the caller away."""
    return _each_down(context, context.records.names(), orphan=False) if context.records.exist() else []


def orphans_down(context: Context) -> list[str]:
    """Take every lab of the caller away whose owner has ended."""
    records = context.records
    names = [each.lab.name for each in records.labs() if each.orphaned] if records.exist() else []
    return _each_down(context, names, orphan=True)


def _each_down(context: Context, names: Iterable[str], *, orphan: bool) -> list[str]:
    """Take labs away, one after the other, whatever becomes of each."""

    def down(name: str) -> list[str]:
        return collect(lambda: lab_down(context, name, orphan=orphan))

    return [error for name in names for error in down(name)]


def gateway_down(context: Context) -> list[str]:
    """Take all labs, the gateway and everything of the caller's vnet on the host away."""
    records = context.records
    if not records.exist():
        return _remove_begun(context)
    errors = all_down(context)
    with suppress(GoneError), records.lock("gateway"), records.lock("world"):
        record = records.gateway()
        if records.names():
            return errors or ["another vnet has just made a lab; run vnet-down --all --gateway again"]
        if record:
            errors += collect(lambda: remove_strays(context, record)) if records.lost else []
            errors += context.load_hooks_left(record.hooks, record.lab)
            errors += remove_gateway(context, record)
        if not records.gateway():
            errors += collect(lambda: context.host().do("down", StateStep(records.uid, os.getgid())))
    return errors


def remove_strays(context: Context, record: GatewayRecord) -> list[str]:
    """Take away labs that no record tells of any more, by their pins: the gateway's name is in them, and that is the caller's."""
    known = context.records.claims.numbers()
    numbers = context.labs(record.gateway).ask("strays", netns=record.gateway.netns)
    lost = [remains(f"lost-{number}", number, record.gateway) for number in numbers if number not in known]
    return [error for each in lost for error in remove_lab(context, each)]


def _remove_begun(context: Context) -> list[str]:
    """Take away the folders of a vnet that was killed before it had any record; those of other users stay."""
    uid = context.records.uid
    try:
        if set(os.listdir(RUN)) - {str(uid), f"{uid}.old"}:
            return []
    except FileNotFoundError:
        return []
    except PermissionError:  # not given its mode yet: root can look
        pass
    return collect(lambda: context.host().do("down", StateStep(uid, os.getgid())))


def remove_gateway(context: Context, record: GatewayRecord) -> list[str]:
    """Take the gateway away.

    While another user has one, the host goes on forwarding for him, and /run/netns stays: to remove it takes away what
    is mounted there in any mount namespace, and so all his pins.
    """
    others = set(link_holders().values()) - {context.records.uid}
    folder = not others and os.path.exists(PINS_MARK) and context.pins() <= {record.gateway.netns}
    widened = () if others else tables.to_put_back()
    if tables.before() and not widened and not others:
        context.say(
            "somebody else has set the kernel's tables of neighbours meanwhile (gc_thresh): they stay as they are"
        )
    closes = record.closes and not others and (record.gateway.iptables or os.path.exists(CLOSED_MARK))
    others_rules = context.relied() if closes else []
    step = HostStep(record.gateway, closes, folder=folder, tables=widened, relied=bool(others_rules),
                    forwarding=forwarding.before()[0] if closes else ())  # fmt: skip
    _written(lambda: context.records.write_gateway(record._replace(state="removing")))
    view = {"gateway": record.gateway}
    errors = [str(error) for error in context.hooks.down("vnet_before_gateway_down", **view)]
    if pins_stand(record.gateway) and os.path.exists(link_mark(record.gateway)):
        errors += collect(lambda: context.end(record.gateway, (record.gateway.netns,)))
    failed = collect(lambda: context.host().do("down", step))
    context.rights.leave_labs()
    if others_rules and not failed:
        context.say(f"the host goes on forwarding packets, since somebody else relies on it now: {others_rules[0]!r} is not vnet's; "
                    "'sysctl -w net.ipv4.ip_forward=0' turns it off")  # fmt: skip
    errors += [str(error) for error in context.hooks.down("vnet_after_gateway_down", **view)]
    if not failed:
        context.records.remove_gateway()
    return errors + failed
