"""The guests: a namespace each, with one link to the bridge."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface
from typing import NamedTuple

from vnet.bridge import DEVICE, BridgeStep
from vnet.command import Command, Script, Stages, Write
from vnet.model import GUEST_LINK, Guest, Lab, mac_of
from vnet.tools import ip

#: Marks the ports that are deleted in one step; a number that nobody else would think of ("vnet").
PORTS = 0x766E6574
#: Scripts that a lab's guests are shared out to at least, and guests that are made by one of them at most.
SCRIPTS, MOST = 3, 16


class GuestsStep(NamedTuple):
    """Some guests of a lab, all at once.

    `named`: the lab's guests that this step is about. `namespaces` and `links` say what is to be made; what is
    not, stands already and is only set right; links that stand are made ports of the bridge again. On the way down
    `links` says whether the bridge stays, and so loses its ports, as one group; without `namespaces` the links go alone.
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
        """Make guests, several at a time, then their links ports of the bridge.

        Not before: what a new guest sends by itself (IPv6 neighbour discovery) the bridge would carry to all others, and
        among 250 guests that is a quarter of the work.
        """
        return (tuple(map(self._some, _slices(self.guests))), (tuple(map(self._port, self.guests)), self._neighbours()))

    def down(self) -> Stages:
        """Delete the ports, all in one step, then let the namespaces go; without `links` the bridge's own end does it.

        To delete the ports one by one takes the kernel 20 ms each. Where the guests stay, each link goes from within: with a
        bridge that is gone the kernel deletes them as well, but at its leisure, and until then there is no room for new ones.
        """
        lab = self.lab
        if not self.namespaces:
            return ((tuple(ip.link_del(GUEST_LINK, netns=lab.guest_netns(each)) for each in self.guests),),)
        marked = (ip.link_group(lab.port(each), PORTS, netns=lab.netns) for each in self.guests)
        unknown = (ip.neighbour_del(each.ip, DEVICE, netns=lab.netns) for each in self.guests)
        links = (*marked, ip.group_del(PORTS, netns=lab.netns), *unknown) if self.links else ()
        return ((links,), (tuple(ip.netns_del(lab.guest_netns(each)) for each in self.guests),))

    def _some(self, guests: tuple[Guest, ...]) -> Script:
        """Make some guests, one after the other."""
        namespaces = (ip.netns_add(self.lab.guest_netns(each)) for each in guests) if self.namespaces else ()
        links = map(self._link, guests) if self.links else ()
        return (*namespaces, *links, *(action for each in guests for action in self._inside(each)))

    def _link(self, guest: Guest) -> Command:
        """Make a guest's link, its near end beside the bridge."""
        lab = self.lab
        return ip.veth_add(lab.port(guest), GUEST_LINK, netns=lab.netns, peer_netns=lab.guest_netns(guest), mtu=lab.mtu,
                           peer_mac=mac_of(guest.ip))  # fmt: skip

    def _port(self, guest: Guest) -> Command:
        """Make a guest's link a port of the bridge."""
        return ip.link_set(self.lab.port(guest), netns=self.lab.netns, mtu=self.lab.mtu, master=DEVICE)

    def _neighbours(self) -> Script:
        """Name the guests' hardware addresses to the bridge, as the bridge's to each of them.

        So no ARP between them: 250 guests that ask 250 others is slow, and entries that are permanent do not count in
        the kernel's table of neighbours, which is one for all labs (1,024 entries, arp(7)).
        """
        return tuple(
            ip.neighbour_replace(each.ip, mac_of(each.ip), DEVICE, netns=self.lab.netns) for each in self.guests
        )

    def _inside(self, guest: Guest) -> Script:
        """Set a guest's address and route; let its programs, root or not, ping and take any port."""
        lab, netns = self.lab, self.lab.guest_netns(guest)
        some, all_ = ("0 0",) * 2 if lab.gateway.way == "userns" else ("0 65535", "0 2147483647")
        return (
            Write("net/ipv4/ip_unprivileged_port_start", "0", netns),
            Write("net/ipv4/ping_group_range", some, netns),
            Write("net/ipv4/ping_group_range", all_, netns, optional=True),
            Write(f"net/ipv6/conf/{GUEST_LINK}/accept_dad", "0", netns, optional=True),
            ip.link_up("lo", netns=netns),
            ip.link_set(GUEST_LINK, netns=netns, mtu=lab.mtu),
            ip.address_replace(IPv4Interface(f"{guest.ip}/{lab.network.prefixlen}"), GUEST_LINK, netns=netns),
            ip.neighbour_replace(lab.bridge_ip, lab.bridge_mac, GUEST_LINK, netns=netns),
            ip.route_replace(lab.bridge_ip, netns=netns),
        )


class LabStep(NamedTuple):
    """A lab that is not there: its bridge and its guests side by side, where no hook stands between them.

    The bridge's rules take the kernel up to 90 ms in a namespace that is new, while it mostly waits.
    """

    lab: Lab

    def up(self) -> Stages:
        """Make guests while the bridge's side is set and its rules are loaded; they become its ports when it is whole."""
        made, bridge, forward = BridgeStep(self.lab).up()
        guests, ports = self._guests().up()
        return (made, (*bridge, *guests), (*forward, *ports))

    def down(self) -> Stages:
        """Let the guests go, then the bridge."""
        return (*self._guests()._replace(links=False).down(), *BridgeStep(self.lab).down())

    def _guests(self) -> GuestsStep:
        """Make a step of all guests."""
        return GuestsStep(self.lab, tuple(guest.name for guest in self.lab.guests))


def _slices(guests: tuple[Guest, ...]) -> Iterator[tuple[Guest, ...]]:
    """Share the guests out to scripts."""
    size = min(MOST, -(-len(guests) // SCRIPTS))
    for start in range(0, len(guests), size or 1):
        yield guests[start : start + size]
