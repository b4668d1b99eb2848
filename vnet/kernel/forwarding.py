"""What the switch `ip_forward` changes besides: the kernel sets each link's own one, and whether redirects are accepted.

Turning it on sets forwarding of all links and refuses ICMP redirects; turning it off does the opposite (ip-sysctl, `ip_forward`). So
what was set before vnet is kept, and put back behind the switch.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import Any

from vnet.errors import CommandError
from vnet.kernel import runner
from vnet.kernel.marks import FORWARDING_MARK
from vnet.kernel.path import tool

#: A link's name that can stand in a rule as it is; with a `+` at its end iptables would take it for the beginning of a name.
NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
#: A chain of nftables: its family, its table, its name.
CHAIN = re.compile(r"[a-z0-9]+/[\w.-]{1,99}/[\w.-]{1,99}")
#: The tables that iptables-nft(8) speaks to; their rules are in iptables-save.
_IPTABLES = re.compile(r"ip6?/(filter|nat|mangle|raw|security)/")
_CONF = "/proc/sys/net/ipv4/conf"


def before() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tell what was there before any vnet: links that forwarded, `default` among them, and chains as `chains_now` has them.

    `all`, which no link is called, stands first where ICMP redirects were accepted.
    """
    kept = _kept()
    return (_links_now(), chains_now()) if kept is None else kept


def chains_now() -> tuple[str, ...]:
    """Name the chains of nftables, iptables' own left out, that packets meet on their way through the host, where root can ask."""
    if os.geteuid():
        return ()
    through = (
        each
        for each in base_chains()
        if each["hook"] == "forward" or (each["hook"], each["type"]) == ("postrouting", "nat")
    )
    found = (f"{each['family']}/{each['table']}/{each['name']}" for each in through)
    return tuple(sorted(name for name in found if CHAIN.fullmatch(name) and not _IPTABLES.match(name)))


def base_chains() -> list[dict[str, Any]]:
    """List the base chains of nftables, as root, where there is an nft to ask."""
    try:
        tool("nft")
    except CommandError:
        return []
    found = json.loads(runner.capture(("nft", "-j", "list", "chains"), may_fail=True) or "{}")
    return [each["chain"] for each in found.get("nftables", ()) if "hook" in each.get("chain", ())]


def _kept() -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Read what was kept: two lines, or somebody was killed at it; None where vnet has not turned forwarding on."""
    try:
        with open(FORWARDING_MARK, encoding="ascii", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, PermissionError):
        return None
    if text.count("\n") != 2:
        return None
    links, chains, _ = text.split("\n")
    return tuple(filter(NAME.fullmatch, links.split())), tuple(filter(CHAIN.fullmatch, chains.split()))


def _links_now() -> tuple[str, ...]:
    """Name the links that forward now."""
    names = sorted(set(os.listdir(_CONF)) - {"all"}) if os.path.isdir(_CONF) else []
    found = tuple(name for name in names if NAME.fullmatch(name) and _is_set(f"{name}/forwarding"))
    return (*(("all",) if _is_set("all/accept_redirects") else ()), *found)


def _is_set(key: str) -> bool:
    """Tell whether a setting is 1; a link may be gone by now."""
    with suppress(OSError), open(f"{_CONF}/{key}", encoding="ascii") as file:
        return file.read().strip() == "1"
    return False
