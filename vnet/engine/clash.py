"""Clashes with what the host has already: its links, addresses and routes. Changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from vnet.errors import UsageError
from vnet.host import link_holders
from vnet.kernel.path import tool
from vnet.kernel.runner import capture
from vnet.model import Gateway

#: Routes that a VPN lays over everything, two halves of it: they are no clash.
EVERYTHING = (IPv4Network("0.0.0.0/1"), IPv4Network("128.0.0.0/1"), IPv4Network("0.0.0.0/0"))
#: Kinds of links that VPNs make, and beginnings of their names.
VPN = ("tun", "tap", "wg", "ppp", "tailscale", "utun", "nebula", "zt")


def check(gateway: Gateway, uid: int) -> None:
    """Refuse a gateway that would take what somebody else holds, and name the holder and a free choice."""
    links = {link["ifname"]: link for link in _ask("link")}
    if gateway.interface in links:
        holder = _holder(links[gateway.interface], uid)
        raise UsageError(f"host.interface: {gateway.interface} is there already: {holder}; "
                         f"{_other_choice(gateway, links)}")  # fmt: skip
    for network, dev in _networks():
        if network.overlaps(gateway.host.network) and network not in EVERYTHING:
            holder = _holder(links.get(dev, {}), uid)
            raise UsageError(f"host.ip: {gateway.host.network} overlaps {network} of {holder}; "
                             f"{_other_choice(gateway, links)}")  # fmt: skip


def _ask(what: str) -> list[dict[str, Any]]:
    """Ask `ip` for links or routes."""
    detail = ("-d",) if what == "link" else ()
    more = ("show", "table", "all") if what == "route" else ()
    found = json.loads(capture(("ip", "-4", "-j", *detail, what, *more)) or "[]")
    return [each for each in found if each]


def _networks() -> Iterator[tuple[IPv4Network, str]]:
    """List the networks that the host has a route or an address for."""
    for route in _ask("route"):
        if route.get("type", "unicast") in ("broadcast", "multicast"):
            continue
        if route["dst"] != "default":
            yield IPv4Network(route["dst"]), route.get("dev", "")


def _holder(link: dict[str, Any], uid: int) -> str:
    """Name who a link belongs to, as its user would."""
    name = link.get("ifname", "")
    kind = link.get("linkinfo", {}).get("info_kind", "")
    owner = link_holders().get(name)
    if owner is not None:
        return f"{name}, the vnet of {'yourself' if owner == uid else _user(owner)}"
    if name == "docker0":
        return "docker0, Docker's default network"
    if re.fullmatch(r"br-[0-9a-f]{12}", name):
        return f"{name}, the Docker network {_docker_network(name[3:])}"
    if kind in ("tun", "wireguard") or name.startswith(VPN):
        return f"{name}, a VPN"
    return f"{name or 'a route'}{f' ({kind})' if kind else ''}"


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


def _other_choice(gateway: Gateway, links: dict[str, Any]) -> str:
    """Say what to set instead: an address and a name that nobody has."""
    taken = [network for network, _ in _networks() if network not in EVERYTHING]
    taken += [gateway.bridges]
    names = (gateway.interface, "vnet", *(f"vnet{number}" for number in range(1, 100)))
    name = next(each for each in names if each not in links)
    free = (IPv4Address(f"172.{second}.255.{last}") for last in (1, 5, 9) for second in (*range(18, 32), 17, 16))
    ip = next(
        (each for each in free if not any(IPv4Network((each, 30), strict=False).overlaps(net) for net in taken)), None
    )
    words = [f'host.ip = "{ip}"'] if ip and ip != gateway.host_ip else []
    words += [f'host.interface = "{name}"'] if name != gateway.interface else []
    return f"set {' and '.join(words)}" if words else "set another host.ip"
