"""What a lab is: gateway, lab, guest and port as frozen values.

Everything that gets a name or a number in the kernel gets it here, as a pure function of the
user's settings and the lab's number. No process, no file, no clock.

`check` holds a value that comes from outside (a record, a request to a worker) to the rules of the settings: it raises
ValueError. See `codec.py`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal, NamedTuple

Way = Literal["root", "userns", "sudo"]
Protocol = Literal["tcp", "udp"]
#: What a gateway's link to the host, and a guest's to its bridge, are called in there.
GATEWAY_LINK, GUEST_LINK = "vnet_guest", "eth0"
#: The smallest and the largest MTU.
MTU = (576, 65535)


class Port(NamedTuple):
    """A port at the gateway's address, and the guest's port that it leads to."""

    outside: int
    protocol: Protocol
    inside: int

    def __str__(self) -> str:
        """Name the outside port as in the settings: `8000`, or `5353/udp`."""
        return str(self.outside) if self.protocol == "tcp" else f"{self.outside}/{self.protocol}"

    def check(self) -> None:
        """Hold both numbers to what is a port."""
        _expect(0 < self.outside < 65536 and 0 < self.inside < 65536, f"{self.outside} to {self.inside}: not ports")


class Guest(NamedTuple):
    """One namespace for a process under test."""

    name: str
    ip: IPv4Address
    ports: tuple[Port, ...] = ()

    def check(self) -> None:
        """Hold the name to the rules; a guest of which only an address is known is called by it."""
        from vnet.config import checks

        checks.label(self.name)


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

    def check(self) -> None:
        """Hold names and numbers to the rules."""
        from vnet.config import checks

        _expect(0 <= self.uid < 2**32 and 0 <= self.gid < 2**32, f"{self.uid}, {self.gid}: not ids")
        checks.interface(self.interface)
        checks.host_ip(str(self.host_ip))
        checks.network(str(self.bridges), 8, 30)
        checks.number(self.mtu, *MTU)


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

    def check(self) -> None:
        """Hold names and numbers to the rules, and the guests to the lab's network."""
        from vnet.config import checks

        checks.name(self.name)
        checks.number(self.number, 1, self.gateway.bridges.num_addresses // 4)
        checks.network(str(self.network), 17, 29)
        checks.number(self.mtu, *MTU)
        ips = {int(guest.ip) for guest in self.guests}
        first, bridge = int(self.network.network_address), int(self.bridge_ip)
        _expect(all(first < ip < bridge for ip in ips), f"not all guests are in {self.network}")
        names = {guest.name for guest in self.guests}
        _expect(len(ips) == len(names) == len(self.guests), "guests share a name or an address")


def _expect(holds: bool, otherwise: str) -> None:
    """Raise ValueError unless `holds`."""
    if not holds:
        raise ValueError(otherwise)


def mac_of(ip: IPv4Address) -> str:
    """Derive a locally administered unicast hardware address from an address."""
    return "02:76:" + ":".join(f"{byte:02x}" for byte in ip.packed)
