"""Clashes with what the host has already: its links, addresses and routes. Changes nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from vnet.errors import UsageError, VnetError
from vnet.kernel.marks import PINS, distrust, is_named_after, link_holders, pins
from vnet.kernel.path import tool
from vnet.kernel.runner import capture
from vnet.model import Gateway

#: A network wider than this is no one's: a VPN cuts all of the internet into such routes (0.0.0.0/1 and 128.0.0.0/1).
WIDEST = 8
#: Kinds of links that VPNs make, and beginnings of their names.
VPN = ("tun", "tap", "wg", "ppp", "tailscale", "utun", "nebula", "zt")


class ClashError(UsageError):
    """Somebody else holds what is wanted: `what`, in words, and what to set instead, by the names of the settings."""

    def __init__(self, what: str, choice: dict[str, str]) -> None:
        self.what, self.choice = what, choice
        words = " and ".join(f'{key} = "{value}"' for key, value in choice.items())
        self.how = f"set {words}" if words else "set another one"
        super().__init__(f"{what}; {self.how}")


def check(gateway: Gateway, uid: int) -> None:
    """Refuse a gateway that would take what somebody else holds, and name the holder and a free choice."""
    links = {name: link for link in ask("link") for name in (link["ifname"], *link.get("altnames", ()))}
    if gateway.way != "userns":
        _check_pins()
    what = _held(gateway, uid, links)
    if what:
        raise ClashError(what, _other_choice(gateway, links))


def _check_pins() -> None:
    """Refuse a /run/netns that others can write: they could put namespaces of theirs in the place of a lab's."""
    try:
        found = os.lstat(PINS)
    except FileNotFoundError:
        return
    if why := distrust(PINS, found, 0):
        raise VnetError(why)


def _held(gateway: Gateway, uid: int, links: dict[str, dict[str, Any]]) -> str:
    """Say what of a gateway's somebody else holds; nothing where all is free."""
    if gateway.interface in links:
        return f"host.interface: {gateway.interface} is there already: {holder(links[gateway.interface], uid)}"
    ours = gateway.way == "userns" or link_holders().get(gateway.interface) == uid
    taken = [] if ours else [each for each in pins() if is_named_after(each, gateway.netns)]
    if taken:
        return (
            f"host.interface: {PINS}/{taken[0]} is there already: a network namespace that is not vnet's, see ip netns"
        )
    for network, route in networks():
        if network.overlaps(gateway.host.network):
            dev = route.get("dev")
            whose = holder(links.get(dev, {"ifname": dev}), uid) if dev else f"a route of type {_kind(route)}"
            return f"host.ip: {gateway.host.network} overlaps {network} of {whose}"
    return ""


def ask(what: str) -> list[dict[str, Any]]:
    """Ask `ip` for links or routes."""
    detail = ("-d",) if what == "link" else ()
    more = ("show", "table", "all") if what == "route" else ()
    found = json.loads(capture(("ip", "-4", "-j", *detail, what, *more)) or "[]")
    return [each for each in found if each]


def networks() -> Iterator[tuple[IPv4Network, dict[str, Any]]]:
    """List the networks that the host has a route or an address for, each with the route."""
    for route in ask("route"):
        if _kind(route) not in ("broadcast", "multicast") and route["dst"] != "default":
            network = IPv4Network(route["dst"])
            if network.prefixlen >= WIDEST:
                yield network, route


def _kind(route: dict[str, Any]) -> str:
    """Tell the type of a route (ip-route(8))."""
    return str(route.get("type", "unicast"))


def holder(link: dict[str, Any], uid: int) -> str:
    """Name who a link belongs to, as its user would."""
    name = link["ifname"]
    kind = link.get("linkinfo", {}).get("info_kind", "")
    owner = link_holders().get(name)
    if owner is not None:
        return f"{name}, the vnet of {'yourself' if owner == uid else _user(owner)}"
    if name == "docker0":
        return "docker0, Docker's default network"
    if re.fullmatch(r"br-[0-9a-f]{12}", name):
        return f"{name}, the Docker network {_docker_network(name[3:])}"
    if is_vpn(link):
        return f"{name}, a VPN"
    return f"{name} ({kind})" if kind else name


def is_vpn(link: dict[str, Any]) -> bool:
    """Tell whether a link is a VPN's."""
    kind = link.get("linkinfo", {}).get("info_kind", "")
    return kind in ("tun", "wireguard") or link.get("ifname", "").startswith(VPN)


def _user(uid: int) -> str:
    """Name a user."""
    import pwd

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _docker_network(number: str) -> str:
    """Ask Docker for a network's name; its number, where it does not say."""
    from vnet.errors import CommandError

    try:
        tool("docker")
        name = capture(("docker", "network", "ls", "--filter", f"id={number}", "--format", "{{.Name}}"), may_fail=True)
    except CommandError:
        name = ""
    return name or number


def _other_choice(gateway: Gateway, links: dict[str, Any]) -> dict[str, str]:
    """Choose what to set instead: an address and a name that nobody has, by the names of the settings."""
    taken = [gateway.bridges, *(network for network, _ in networks())]
    held = {*links, *(each.partition("-x")[0] for each in pins())}
    names = (gateway.interface, "vnet", *(f"vnet{number}" for number in range(1, 100)))
    name = next((each for each in names if each not in held), gateway.interface)
    wanted = (gateway.host_ip, *map(IPv4Address, _choices()))
    ip = next(
        (each for each in wanted if not any(IPv4Network((each, 30), strict=False).overlaps(net) for net in taken)), None
    )
    choice = {"host.ip": str(ip)} if ip and ip != gateway.host_ip else {}
    return choice | ({"host.interface": name} if name != gateway.interface else {})


def _choices() -> Iterator[str]:
    """Name addresses for the host, near to the default first, then in the other private networks (RFC 1918)."""
    yield from (f"172.{second}.255.{last}" for last in (1, 5, 9) for second in (*range(18, 32), 17, 16))
    yield from (f"{prefix}.255.1" for prefix in ("192.168", *(f"10.{second}" for second in range(255, 0, -1))))
