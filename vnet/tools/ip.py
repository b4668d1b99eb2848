"""Builders for `ip` of iproute2: typed values in, one `Command` out.

Names are written after `name` and `dev`, so that none can be taken for a keyword (`up`, `a`, `name`).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from vnet.command import HOST, Command


def netns_add(name: str) -> Command:
    """Make a network namespace and pin it in /run/netns."""
    return Command(("ip", "netns", "add", name))


def netns_del(name: str) -> Command:
    """Take a pin away; the namespace goes when nobody is in it."""
    return Command(("ip", "netns", "del", name))


def veth_add(
    name: str,
    peer: str,
    *,
    netns: str,
    peer_netns: str,
    mtu: int,
    mac: str = "",
    peer_mac: str = "",
    up: bool = True,
) -> Command:
    """Make a veth pair in `netns`, its far end already in `peer_netns` (a pin's name, or a path)."""
    near = ("address", mac) if mac else ()
    state = ("up",) if up else ()
    far = ("address", peer_mac) if peer_mac else ()
    argv = ("ip", "link", "add", "name", name, *near, "mtu", str(mtu), *state, "type", "veth",
            "peer", "name", peer, *far, "mtu", str(mtu), "netns", peer_netns)  # fmt: skip
    return Command(argv, netns)


def link_up(name: str, *, netns: str = HOST) -> Command:
    """Set a link up."""
    return Command(("ip", "link", "set", "dev", name, "up"), netns)


def link_set(name: str, *, netns: str = HOST, mac: str = "", mtu: int = 0, master: str = "") -> Command:
    """Set a link's hardware address and MTU (bytes), where given, and set it up."""
    address = ("address", mac) if mac else ()
    size = ("mtu", str(mtu)) if mtu else ()
    port = ("master", master) if master else ()
    return Command(("ip", "link", "set", "dev", name, *address, *size, *port, "up"), netns)


def link_del(name: str, *, netns: str = HOST) -> Command:
    """Delete a link; a veth's other end goes with it."""
    return Command(("ip", "link", "del", "dev", name), netns)


def link_group(name: str, group: int, *, netns: str) -> Command:
    """Put a link into a group of links."""
    return Command(("ip", "link", "set", "dev", name, "group", str(group)), netns)


def group_del(group: int, *, netns: str) -> Command:
    """Delete a group of links, in one step; a veth's other end goes with it."""
    return Command(("ip", "link", "del", "group", str(group)), netns)


def address_replace(address: IPv4Interface, dev: str, *, netns: str = HOST) -> Command:
    """Give a link an address; it is no error that it has it."""
    return Command(("ip", "address", "replace", str(address), "dev", dev), netns)


def route_replace(via: IPv4Address, *, netns: str) -> Command:
    """Route all by way of an address."""
    return Command(("ip", "route", "replace", "default", "via", str(via)), netns)


def neighbour_del(ip: IPv4Address, dev: str, *, netns: str) -> Command:
    """Forget a neighbour's hardware address."""
    return Command(("ip", "neighbour", "del", str(ip), "dev", dev), netns)


def neighbour_replace(ip: IPv4Address, mac: str, dev: str, *, netns: str = HOST) -> Command:
    """Name a neighbour's hardware address for good: no ARP, and no entry that counts in the kernel's table."""
    return Command(("ip", "neighbour", "replace", str(ip), "lladdr", mac, "dev", dev, "nud", "permanent"), netns)
