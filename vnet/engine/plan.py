"""What has to change, and the way there: pure functions from what is wanted, recorded and seen to steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Network
from typing import NamedTuple

from vnet.bridge import BridgeForwardsStep, BridgeStep
from vnet.config.settings import Settings
from vnet.engine.record import LabRecord
from vnet.errors import UsageError
from vnet.gateway import Forward, ForwardsStep
from vnet.guest import GuestsStep, LabStep
from vnet.model import Gateway, Guest, Lab

#: Names that are listed for people.
TOLD = 12


class Seen(NamedTuple):
    """What of a lab was found standing.

    `right`: bridge and uplink have their addresses and rules. `guests`: the pinned namespaces and their inodes.
    `ports`: the guests' links on the bridge's side, and whether they are ports of it. `astray`: guests without their
    address, or the way out. `forwarded`: the gateway leads the lab's ports to it. `cuts`: packets meet a cut's rules.
    """

    namespace: bool
    link: bool
    device: bool
    right: bool
    cuts: bool
    guests: dict[str, int]
    ports: dict[str, bool]
    astray: list[str]
    forwarded: bool


class Changes(NamedTuple):
    """What to do to a lab, in this order; all empty where nothing differs.

    `gone`: guests of the recorded lab to take away. `bridge`: the bridge to make or to set right.
    `relinked`: guests that stand but lost their link. `attached`: guests whose link is no port of the bridge any more,
    or that lost their address or route.
    `added`: guests to make. `heals`: a cut is in force that the record does not hold.
    """

    gone: tuple[str, ...] = ()
    bridge: BridgeStep | None = None
    relinked: GuestsStep | None = None
    attached: GuestsStep | None = None
    added: GuestsStep | None = None
    forwards: bool = False
    heals: bool = False

    def new_lab(self, lab: Lab) -> LabStep | None:
        """Give the one step that is all of this, where a lab is new."""
        new = self.bridge == BridgeStep(lab) and self.added == _guests(lab, tuple(each.name for each in lab.guests))
        return LabStep(lab) if new and self.added else None

    def told(self) -> str:
        """Say for people what changes; empty where nothing does."""
        gone, added = dict.fromkeys(self.gone), dict.fromkeys(self.added.named if self.added else ())
        mended = [*(("bridge",) if self.bridge else ()), *(name for step in (self.relinked, self.attached) if step
                                                          for name in step.named)]  # fmt: skip
        parts = {
            "new": [name for name in added if name not in gone],
            "made anew": [name for name in added if name in gone],
            "gone": [name for name in gone if name not in added],
            "put right": mended,
        }
        return "; ".join(f"{what}: {_listed(names)}" for what, names in parts.items() if names)

    def guests_steps(self, lab: Lab) -> tuple[GuestsStep | BridgeForwardsStep, ...]:
        """List the steps on the way up, after the bridge's."""
        ports = BridgeForwardsStep(lab) if self.forwards and self.bridge is None else None
        return tuple(step for step in (self.relinked, self.attached, self.added, ports) if step is not None)


def _listed(names: list[str]) -> str:
    """List names, the first ones where there are many."""
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return f"{' '.join(names[:TOLD])}{more}"


def changes(lab: Lab, record: LabRecord | None, seen: Seen | None) -> Changes:
    """Compare the lab that is wanted with the one that is recorded and what of it was seen."""
    everyone = tuple(guest.name for guest in lab.guests)
    if record is None or seen is None:
        return Changes(
            (), BridgeStep(lab), None, None, _guests(lab, everyone), any(guest.ports for guest in lab.guests)
        )
    kept = frozenset(_kept(lab, record, seen))
    gone = tuple(guest.name for guest in record.lab.guests if guest.name not in kept)
    whole = seen.namespace and seen.link and seen.device and seen.right
    bridge = None if whole else BridgeStep(lab, not seen.namespace, not seen.link, not seen.device)
    stood = [each for each in lab.guests if each.name in kept]
    lost = tuple(each.name for each in stood if lab.port(each) not in seen.ports)
    loose = tuple(each.name for each in stood if each.name not in lost and _is_loose(lab, each, seen))
    relinked = GuestsStep(lab, lost, namespaces=False) if lost else None
    attached = GuestsStep(lab, loose, namespaces=False, links=False) if loose else None
    added = _guests(lab, tuple(name for name in everyone if name not in kept))
    forwards = (
        not (seen.forwarded and record.forwarded)
        or _ports(lab) != _ports(record.lab)
        or any(guest.ports for guest in record.lab.guests if guest.name in gone)
    )  # what goes takes its forwarded ports along, also where it comes back
    return Changes(gone, bridge, relinked, attached, added, forwards, heals=record.cut is None and seen.cuts)


def _is_loose(lab: Lab, guest: Guest, seen: Seen) -> bool:
    """Tell whether a guest's link is no port, or its inside is not as it should be."""
    return guest.name in seen.astray or not seen.ports.get(lab.port(guest), True)


def _kept(lab: Lab, record: LabRecord, seen: Seen) -> Iterable[str]:
    """Name the guests that go on as they are: same address, made whole, and still there."""
    states = dict(record.guests)
    for guest in record.lab.guests:
        wanted = lab.guest(guest.name)
        if wanted and wanted.ip == guest.ip and states[guest.name] == "up" and lab.guest_netns(guest) in seen.guests:
            yield guest.name


def _guests(lab: Lab, names: tuple[str, ...]) -> GuestsStep | None:
    """Make a step of some guests, if there are any."""
    return GuestsStep(lab, names) if names else None


def _ports(lab: Lab) -> set[tuple[str, str, int]]:
    """List what is forwarded where."""
    return {(str(port), str(guest.ip), port.inside) for guest in lab.guests for port in guest.ports}


def all_forwards(gateway: Gateway, labs: Iterable[Lab]) -> ForwardsStep:
    """Collect the forwarded ports of all labs."""
    found = ((port, lab.uplink) for lab in labs for guest in lab.guests for port in guest.ports)
    return ForwardsStep(gateway, tuple(Forward(port, uplink) for port, uplink in found))


def lab_of(settings: Settings, gateway: Gateway, number: int, names: Collection[str]) -> Lab:
    """Make the lab that the settings describe, of these guests."""
    guests = tuple(Guest(each.name, each.ip, each.ports) for each in settings.guests if each.name in names)
    return Lab(settings.name, number, settings.file, gateway, settings.networks.guests, settings.networks.mtu, guests)


def selected(settings: Settings, only: Collection[str], record: LabRecord | None) -> frozenset[str]:
    """Name the guests that are to be up: all, or these beside those that are."""
    if not only:
        return frozenset(guest.name for guest in settings.guests)
    return frozenset(only) | frozenset(guest.name for guest in (record.lab.guests if record else ()))


def check(lab: Lab, record: LabRecord | None, held: Mapping[str, str]) -> None:
    """Refuse a lab whose name, network or forwarded ports somebody else holds; `held` tells which lab has a port.

    One that is on its way down holds nothing but its number.
    """
    record = None if record and record.bridge == "removing" else record
    if record and record.lab.file != lab.file:
        raise UsageError(f"name: a lab {lab.name} is up that belongs to {record.lab.file or 'no file'}; "
                         "set another name in vnet.toml, or take another with -n LAB")  # fmt: skip
    if record and (record.lab.network, record.lab.mtu) != (lab.network, lab.mtu):
        key = "networks.guests" if record.lab.network != lab.network else "networks.mtu"
        raise UsageError(f"{key}: {lab.name} is up with {record.lab.network}, mtu {record.lab.mtu}, "
                         "which can't change under its guests; run vnet-down first")  # fmt: skip
    for guest in lab.guests:
        for port in guest.ports:
            if str(port) in held:
                raise UsageError(f"guests.{guest.name}.ports: {port} is forwarded to the lab {held[str(port)]}; "
                                 "set another one")  # fmt: skip


def free_number(bridges: IPv4Network, taken: Collection[int]) -> int:
    """Choose the lowest free number of a lab."""
    most = 1 << (30 - bridges.prefixlen)
    for number in range(1, most + 1):
        if number not in taken:
            return number
    raise UsageError(f"networks.bridges: all {most} labs that {bridges} has room for are up; take one down, "
                     "or set a wider network after vnet-down --gateway")  # fmt: skip
