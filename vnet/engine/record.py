"""A record: what was made, written down before it is made, and how far it got."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from typing import Literal, NamedTuple

from vnet.codec import encode
from vnet.model import Gateway, Guest, Lab

SCHEMA = 1
State = Literal["making", "up", "removing"]


class GatewayRecord(NamedTuple):
    """The gateway, and how far it is made. `closes`: see `host.HostStep`; `lab`: whose vnet-up made it.

    `hooks` are the files with hooks of its way down, and no others: it may outlive the project by weeks.
    """

    gateway: Gateway
    closes: bool
    state: State
    lab: str = ""
    hooks: tuple[str, ...] = ()


class LabRecord(NamedTuple):
    """A lab, and how far each of its parts is made.

    `guests` holds the state of each guest by name; `inodes` pairs of a namespace's name and its inode, by which it
    is known again. `cut` is the cut as it was set, in JSON (see `partition.apply`); guests that came and went since are
    worked in each time. `hooks` are the files of the settings' hooks. `forwarded`: the gateway forwards the lab's ports as
    they are now. `owner` is the process that the lab is for, if any (see `processes.identity`): once that has
    ended, `vnet-down --orphans` takes the lab away. `iptables` is the kind of iptables that it was made with.
    """

    lab: Lab
    bridge: State
    guests: tuple[tuple[str, State], ...]
    inodes: tuple[tuple[str, int], ...] = ()
    cut: str | None = None
    dns: str = ""
    hooks: tuple[str, ...] = ()
    forwarded: bool = False
    owner: str = ""
    iptables: str = ""

    @property
    def orphaned(self) -> bool:
        """Tell whether the process that the lab is for has ended."""
        from vnet.kernel import processes

        return bool(self.owner) and processes.identity(int(self.owner.split()[0])) != self.owner

    def with_guests(self, names: frozenset[str], state: State) -> LabRecord:
        """Set the state of some guests."""
        return self._replace(guests=tuple((name, state if name in names else old) for name, old in self.guests))

    def without(self, names: frozenset[str]) -> LabRecord:
        """Forget some guests."""
        lab = self.lab._replace(guests=tuple(guest for guest in self.lab.guests if guest.name not in names))
        return self._replace(lab=lab, guests=tuple(pair for pair in self.guests if pair[0] not in names))


def boot_id() -> str:
    """Tell this boot from others (random(4))."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def remains(name: str, number: int, gateway: Gateway) -> LabRecord:
    """Record a lab of which only the number is known; its guests may be any that a network of the default's size has."""
    network = IPv4Network("172.18.0.0/24")
    guests = tuple(Guest(f"g{number}", ip) for number, ip in enumerate(list(network.hosts())[:-1], 1))
    lab = Lab(name, number, None, gateway, network, gateway.mtu, guests)
    return LabRecord(lab, "removing", tuple((guest.name, "removing") for guest in guests))


def text_of(record: object) -> str:
    """Write a record as JSON."""
    return json.dumps({"schema": SCHEMA, "boot": boot_id(), **encode(record)})
