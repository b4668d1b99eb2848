"""The guests: a namespace each, with one link to the bridge."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface
from typing import NamedTuple

from vnet.bridge import DEVICE
from vnet.command import Command, Script, Stages, Write
from vnet.model import Guest, Lab, mac_of
from vnet.tools import ip

#: Guests whose links are made by one process; two cores have something to do with more than that.
BATCH = 64


class GuestsStep(NamedTuple):
    """Some guests of a lab, all at once.

    `named`: the lab's guests that this step is about. `namespaces` and `links` say what is to be made; what is
    not, stands already and is only set right; links that stand are made ports of the bridge again.
    """

    lab: Lab
    named: tuple[str, ...]
    namespaces: bool = True
    links: bool = True

    @property
    def guests(self) -> tuple[Guest, ...]:
        """The guests that this step is about."""
        named = frozenset(self.named)
        return tuple(guest for guest in self.lab.guests if guest.name in named)

    def up(self) -> Stages:
        """Make the namespaces in one go, the links from the bridge's side, then each guest's inside."""
        namespaces: Stages = ((tuple(ip.netns_add(self.lab.guest_netns(each)) for each in self.guests),),)
        port = self._link if self.links else self._port
        links: Stages = (tuple(tuple(map(port, some)) for some in _slices(self.guests)),)
        inside: Stages = (tuple(map(self._inside, self.guests)),)
        return (*(namespaces if self.namespaces else ()), *links, *inside)

    def down(self) -> Stages:
        """Delete the ports by name, then let the namespaces go."""
        lab = self.lab
        links = tuple(ip.link_del(lab.port(each), netns=lab.netns) for each in self.guests)
        return ((links,), (tuple(ip.netns_del(lab.guest_netns(each)) for each in self.guests),))

    def _link(self, guest: Guest) -> Command:
        """Make a guest's link as a port of the bridge, its far end in the guest."""
        lab = self.lab
        return ip.veth_add(lab.port(guest), "eth0", netns=lab.netns, peer_netns=lab.guest_netns(guest), mtu=lab.mtu,
                           peer_mac=mac_of(guest.ip), master=DEVICE)  # fmt: skip

    def _port(self, guest: Guest) -> Command:
        """Make a link that stands a port of the bridge again."""
        return ip.link_set(self.lab.port(guest), netns=self.lab.netns, mtu=self.lab.mtu, master=DEVICE)

    def _inside(self, guest: Guest) -> Script:
        """Set a guest's address and route; let its programs, root or not, ping and take any port."""
        lab, netns = self.lab, self.lab.guest_netns(guest)
        some, all_ = ("0 0",) * 2 if lab.gateway.way == "userns" else ("0 65535", "0 2147483647")
        return (
            Write("net/ipv4/ip_unprivileged_port_start", "0", netns),
            Write("net/ipv4/ping_group_range", some, netns),
            Write("net/ipv4/ping_group_range", all_, netns, optional=True),
            Write("net/ipv6/conf/eth0/accept_dad", "0", netns, optional=True),
            ip.link_up("lo", netns=netns),
            ip.link_set("eth0", netns=netns, mtu=lab.mtu),
            ip.address_replace(IPv4Interface(f"{guest.ip}/{lab.network.prefixlen}"), "eth0", netns=netns),
            ip.route_replace(lab.bridge_ip, netns=netns),
        )


def _slices(guests: tuple[Guest, ...]) -> Iterator[tuple[Guest, ...]]:
    """Cut the guests into batches."""
    for start in range(0, len(guests), BATCH):
        yield guests[start : start + BATCH]
