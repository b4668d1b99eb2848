"""What a lab is: gateway, lab, guest and port as frozen values.

Everything that gets a name or a number in the kernel gets it here, as a pure function of the
user's settings and the lab's number. No process, no file, no clock.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal, NamedTuple

Way = Literal["root", "userns", "sudo"]
Protocol = Literal["tcp", "udp"]


class Port(NamedTuple):
    """A port at the gateway's address, and the guest's port that it leads to."""

    outside: int
    protocol: Protocol
    inside: int

    def __str__(self) -> str:
        """Name the outside port as in the settings: `8000`, or `5353/udp`."""
        return str(self.outside) if self.protocol == "tcp" else f"{self.outside}/{self.protocol}"


class Guest(NamedTuple):
    """One namespace for a process under test."""

    name: str
    ip: IPv4Address
    ports: tuple[Port, ...] = ()


class Gateway(NamedTuple):
    """The gateway and the host's end of it: made once for each user of the machine."""

    uid: int
    gid: int
    way: Way
    interface: str
    host_ip: IPv4Address
    bridges: IPv4Network
    mtu: int
    iptables: bool

    @property
    def host(self) -> IPv4Interface:
        """The host's end, with its /30."""
        return IPv4Interface(f"{self.host_ip}/30")

    @property
    def ip(self) -> IPv4Address:
        """The gateway's address: the other one of the host's /30."""
        first, second = self.host.network.hosts()
        return second if self.host_ip == first else first

    @property
    def netns(self) -> str:
        """The name of the gateway's namespace."""
        return self.interface

    @property
    def host_mac(self) -> str:
        """The hardware address of the host's end: known, so that no ARP is needed."""
        return mac_of(self.host_ip)

    @property
    def mac(self) -> str:
        """The hardware address of the gateway's end towards the host."""
        return mac_of(self.ip)


class Lab(NamedTuple):
    """One bridge with its guests."""

    name: str
    number: int
    file: str | None
    gateway: Gateway
    network: IPv4Network
    mtu: int
    guests: tuple[Guest, ...]

    @property
    def subnet(self) -> IPv4Network:
        """The /30 between gateway and bridge, the number's share of `networks.bridges`."""
        first = int(self.gateway.bridges.network_address)
        return IPv4Network((first + 4 * (self.number - 1), 30))

    @property
    def gateway_ip(self) -> IPv4Address:
        """The gateway's end of the uplink."""
        return self.subnet[1]

    @property
    def uplink(self) -> IPv4Address:
        """The bridge's end of the uplink."""
        return self.subnet[2]

    @property
    def gateway_mac(self) -> str:
        """The hardware address of the gateway's end of the uplink."""
        return mac_of(self.gateway_ip)

    @property
    def uplink_mac(self) -> str:
        """The hardware address of the bridge's end of the uplink."""
        return mac_of(self.uplink)

    @property
    def bridge_ip(self) -> IPv4Address:
        """The bridge's address towards the guests: the last usable one."""
        return self.network[-2]

    @property
    def bridge_mac(self) -> str:
        """The bridge's own hardware address, pinned: left alone it follows its ports."""
        return mac_of(self.bridge_ip)

    @property
    def link(self) -> str:
        """The name of the gateway's link to this lab's bridge: `xN`."""
        return f"x{self.number}"

    @property
    def netns(self) -> str:
        """The name of the bridge's namespace."""
        return f"{self.gateway.netns}-{self.link}"

    def port(self, guest: Guest) -> str:
        """Name the bridge's port to a guest: `xNxM`."""
        return f"{self.link}x{int(guest.ip) - int(self.network.network_address)}"

    def guest_netns(self, guest: Guest) -> str:
        """Name a guest's namespace."""
        return f"{self.gateway.netns}-{self.port(guest)}"

    def guest(self, name: str) -> Guest | None:
        """Find a guest by name."""
        return next((guest for guest in self.guests if guest.name == name), None)


def mac_of(ip: IPv4Address) -> str:
    """Derive a locally administered unicast hardware address from an address."""
    return "02:76:" + ":".join(f"{byte:02x}" for byte in ip.packed)
