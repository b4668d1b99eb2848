"""What is up: the records of one user, held against the kernel, as data and as JSON.

It takes no lock and changes nothing, so it never waits for another vnet: what is just being made or taken away is
shown as that. No sudo either, save with `probe` where all rights come from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from vnet.engine.context import Context
from vnet.engine.record import GatewayRecord, LabRecord
from vnet.engine.records import Records
from vnet.errors import CommandError, NotUpError
from vnet.hooks import Hooks
from vnet.kernel import observe, processes
from vnet.kernel.marks import pin, pins_stand
from vnet.model import Gateway, Lab
from vnet.workers.rights import Rights

if TYPE_CHECKING:
    from vnet.cuts.partition import Standing

SCHEMA = 1

Seen = Literal["making", "up", "removing", "gone"]


class Part(NamedTuple):
    """A namespace: its name, how far it is made, and who runs in it. `gone`: it was up, and somebody took it away."""

    netns: str
    state: Seen
    pids: tuple[int, ...] = ()


class CutStatus(NamedTuple):
    """A cut in force. `drops` is None where nobody could count them without sudo."""

    standing: Standing
    drops: tuple[dict[str, Any], ...] | None


class LabStatus(NamedTuple):
    """One lab; `guests` are in the order of `lab.guests`. `probe` names whom each guest reaches."""

    lab: Lab
    bridge: Part
    guests: tuple[Part, ...]
    cut: CutStatus | None = None
    probe: Mapping[str, Sequence[str]] | None = None


class Status(NamedTuple):
    """All that is up for one user: with no gateway, nothing."""

    gateway: Gateway | None = None
    part: Part = Part("", "gone")
    labs: tuple[LabStatus, ...] = ()


def collect(uid: int, lab: str | None = None, *, probe: bool = False) -> Status:
    """Look at all labs of a user, or at one; `NotUpError` where that one is not up."""
    records = Records(uid)
    found = records.gateway() if records.exist() else None
    labs = _labs(records, lab)
    if found is None:
        return Status()
    context = Context(records, Rights(found.gateway.way), Hooks(""), lambda _: None)
    try:
        return _look(context, found, labs, probe=probe)
    finally:
        context.rights.close()


def as_json(uid: int, lab: str | None = None) -> str:
    """Look, and give what `vnet-status --json` prints."""
    return to_json(collect(uid, lab))


def to_json(status: Status) -> str:
    """Write it down as `status.schema.json` has it."""
    import json

    return json.dumps(as_data(status), indent=1)


def as_data(status: Status) -> dict[str, Any]:
    """Give plain data for JSON."""
    gateway, part = status.gateway, status.part
    if gateway is None:
        return {"schema": SCHEMA, "host": None, "gateway": {"ip": None, "up": False}, "labs": []}
    up = {"ip": str(gateway.ip), "up": part.state == "up", "netns": pin(part.netns), "pids": list(part.pids)}
    host = {"interface": gateway.interface, "ip": str(gateway.host_ip)}
    return {"schema": SCHEMA, "host": host, "gateway": up, "labs": [_lab_data(each) for each in status.labs]}


def pairs(lab: LabStatus) -> tuple[list[list[str]], list[list[str]]]:
    """List the pairs (from, to) that were probed: those reached, and those not."""
    names = [guest.name for guest in lab.lab.guests]
    reached: list[list[str]] = []
    not_: list[list[str]] = []
    for source in names:
        heard = frozenset((lab.probe or {}).get(source, ()))
        for to in (*names, "bridge", "gateway"):
            if to != source:
                (reached if to in heard else not_).append([source, to])
    return reached, not_


def _labs(records: Records, name: str | None) -> list[LabRecord]:
    """Read the records of the labs that are meant."""
    if name is None:
        return records.labs() if records.exist() else []
    record = records.lab(name) if records.exist() and name in records.names() else None
    if record is None:
        raise NotUpError(f"the lab {name} is not up; vnet-up brings it up, vnet-status shows those that are")
    return [record]


def _look(context: Context, found: GatewayRecord, labs: list[LabRecord], *, probe: bool) -> Status:
    """Hold records against the kernel."""
    gateway = found.gateway
    inodes = _inodes(context, gateway, [name for each in labs for name in _netns(each.lab)])
    running = _running(context, frozenset(inodes.values()))
    part = _part(gateway.netns, found.state, inodes, running)
    quiet = gateway.way == "sudo" and not probe
    return Status(gateway, part, tuple(_lab(context, each, inodes, running, quiet=quiet, probe=probe) for each in labs))


def _inodes(context: Context, gateway: Gateway, names: list[str]) -> dict[str, int]:
    """Tell the inodes of namespaces that are pinned; anybody can look, but a `userns` caller's pins are in a mount namespace."""
    if gateway.way != "userns":
        return observe.inodes([gateway.netns, *names])
    try:
        return dict(context.labs(gateway).ask("inodes", netns=[gateway.netns, *names]))
    except CommandError:
        if pins_stand(gateway):
            raise
        return {}


def _running(context: Context, inodes: frozenset[int]) -> dict[int, list[int]]:
    """Find the processes in namespaces, without this one and its workers."""
    own = context.own()
    found = processes.by_namespace(inodes)
    return {inode: [pid for pid in pids if pid not in own] for inode, pids in found.items()}


def _netns(lab: Lab) -> list[str]:
    """Name a lab's namespaces, the bridge's first."""
    return [lab.netns, *map(lab.guest_netns, lab.guests)]


def _part(netns: str, state: Seen, inodes: Mapping[str, int], running: Mapping[int, list[int]]) -> Part:
    """Tell how a namespace is, by what is pinned in its name."""
    inode = inodes.get(netns)
    if inode is None:
        return Part(netns, "gone" if state == "up" else state)
    return Part(netns, state, tuple(sorted(running[inode])))


def _lab(
    context: Context,
    record: LabRecord,
    inodes: Mapping[str, int],
    running: Mapping[int, list[int]],
    *,
    quiet: bool,
    probe: bool,
) -> LabStatus:
    """Tell how one lab is. What is pinned in the name of a namespace that vnet made, but is another one, is not the lab's."""
    lab, states, made = record.lab, dict(record.guests), dict(record.inodes)
    own = {name: inode for name, inode in inodes.items() if made.get(name, inode) == inode}
    bridge = _part(lab.netns, record.bridge, own, running)
    guests = tuple(_part(lab.guest_netns(each), states[each.name], own, running) for each in lab.guests)
    cut = _cut(context, record, counts=not quiet and bridge.state == "up")
    tried = context.labs(lab.gateway).ask("probe", lab=lab) if probe else None
    return LabStatus(lab, bridge, guests, cut, tried)


def _cut(context: Context, record: LabRecord, *, counts: bool) -> CutStatus | None:
    """Tell which cut is in force, and what it has dropped."""
    if record.cut is None:
        return None
    from vnet.cuts import partition

    standing = partition.standing(record)
    drops = None
    if standing and counts:
        with suppress(CommandError):  # the lab is just being taken away
            drops = tuple(partition.drops(context, record))
    return CutStatus(standing, drops) if standing else None


def _lab_data(each: LabStatus) -> dict[str, Any]:
    """Give one lab's plain data."""
    lab, part = each.lab, each.bridge
    bridge = {"ip": str(lab.bridge_ip), "uplink": str(lab.uplink), **_part_data(part)}
    guests = [
        {"name": guest.name, "ip": str(guest.ip), "ports": {str(port): port.inside for port in guest.ports}}
        | _part_data(found)
        for guest, found in zip(lab.guests, each.guests, strict=True)
    ]
    data = {"name": lab.name, "number": lab.number, "network": str(lab.network), "file": lab.file,
            "bridge": bridge, "guests": guests, "cut": _cut_data(each.cut)}  # fmt: skip
    if each.probe is not None:
        data["probe"] = dict(zip(("reached", "not"), pairs(each), strict=True))
    return data


def _part_data(part: Part) -> dict[str, Any]:
    """Give a namespace's plain data."""
    return {"netns": pin(part.netns), "state": part.state, "pids": list(part.pids)}


def _cut_data(found: CutStatus | None) -> dict[str, Any] | None:
    """Give a cut's plain data, as `vnet-partition show --json` has it."""
    from vnet.cuts import partition

    return partition.as_data(found.standing, found.drops) if found else None
