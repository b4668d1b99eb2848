"""The facts: what is looked up on this machine, and in the settings. Nothing is changed."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib.util import find_spec
from ipaddress import IPv4Network
from typing import Any, Literal, NamedTuple

from vnet.config import settings
from vnet.config.settings import Settings
from vnet.doctor import tries
from vnet.engine import gateway_up
from vnet.engine.context import Context
from vnet.engine.files import RESOLV, read
from vnet.errors import CommandError, SettingsError, UsageError, VnetError
from vnet.hooks import Hooks
from vnet.kernel import clash
from vnet.kernel.forwarding import base_chains
from vnet.kernel.marks import link_holders, pins
from vnet.kernel.path import tool
from vnet.kernel.runner import capture
from vnet.model import Way
from vnet.nodes import caller
from vnet.workers.rights import way_of_caller
from vnet.workers.sudo import blocked, sudo_argv

#: Each tool, and the Debian package that brings it.
TOOLS = {
    "ip": "iproute2", "iptables": "iptables", "iptables-restore": "iptables", "ip6tables-restore": "iptables",
    "busybox": "busybox", "mount": "mount", "umount": "mount", "unshare": "util-linux", "nsenter": "util-linux",
    "setpriv": "util-linux", "install": "coreutils",
}  # fmt: skip
PACKAGES = ("pluggy", "sh", "toml")
SYSCTLS = (
    "kernel/apparmor_restrict_unprivileged_userns", "kernel/unprivileged_userns_clone", "user/max_user_namespaces",
    "user/max_net_namespaces", "net/ipv4/neigh/default/gc_thresh3",
)  # fmt: skip
Sudo = Literal["free", "password", "missing", "blocked"]


class Route(NamedTuple):
    """A network that the host has a route to, and who holds the link it leads to."""

    network: IPv4Network
    dev: str
    holder: str
    vpn: bool


class Facts(NamedTuple):
    """What was found. None: could not be looked at."""

    uid: int
    way: Way
    python: tuple[int, int, int]
    lacking: tuple[str, ...]
    tools: dict[str, bool]
    brctl: bool
    apt: bool
    sysctls: dict[str, str]
    sudo: Sudo
    container: bool
    features: dict[str, str] | None
    backend: str
    rules: dict[str, str] | None
    chains: list[dict[str, Any]] | None
    running: frozenset[str]
    links: frozenset[str]
    routes: tuple[Route, ...]
    settings: Settings | None
    mistakes: tuple[str, ...]
    clash: UsageError | None
    resolv: tuple[str, ...]
    refused_neighbours: int
    gateway_up: bool
    half_made: tuple[str, ...]
    untrusted: tuple[str, ...]
    strays: tuple[str, ...]
    marks: dict[str, int]


def look(uid: int, *, file: str | None, lab: str | None) -> Facts:
    """Look everything up."""
    lacking = tuple(each for each in PACKAGES if not find_spec(each))
    wanted, mistakes = (None, ()) if lacking else _settings(file, lab)
    context, untrusted = _context(uid)
    way: Way = context.rights.way if context else way_of_caller(uid)
    sudo, seen = _sudo_and_seen()
    as_root = _as_root(way, seen)
    tools = {name: _there(name) for name in TOOLS}
    routes = _routes(uid) if tools["ip"] else ()
    return Facts(
        uid=uid, way=way, python=sys.version_info[:3], lacking=lacking,
        tools=tools, brctl=tools["busybox"] and "brctl" in capture(("busybox", "--list"), may_fail=True).split(),
        apt=_there("apt-get"), sysctls={key: read(f"/proc/sys/{key}").strip() for key in SYSCTLS}, sudo=sudo,
        container=any(map(os.path.exists, ("/.dockerenv", "/run/.containerenv"))) or "container" in os.environ,
        backend=_backend() if tools["iptables"] else "", running=_running(), routes=routes,
        links=frozenset(os.listdir("/sys/class/net")), settings=wanted, mistakes=mistakes,
        clash=_clash(context, wanted) if context and wanted and tools["ip"] else None,
        resolv=tuple(read(path) for path in RESOLV), refused_neighbours=_refused_neighbours(),
        untrusted=untrusted, marks=link_holders(), **as_root, **_records(context),
    )  # fmt: skip


def unseen(facts: Facts) -> str:
    """Say why something could not be looked at."""
    return f"it takes root, and {'sudo asks for a password' if facts.sudo == 'password' else 'there is no sudo that works'}"


def _there(name: str) -> bool:
    """Tell whether a tool is where vnet looks for it."""
    try:
        tool(name)
    except CommandError:
        return False
    return True


def _settings(file: str | None, lab: str | None) -> tuple[Settings | None, tuple[str, ...]]:
    """Load the settings of the project here, or tell what is wrong with them."""
    try:
        return settings.load(file=file, lab=lab, environ=os.environ, cwd=os.getcwd()), ()
    except SettingsError as error:
        return None, error.mistakes


def _context(uid: int) -> tuple[Context | None, tuple[str, ...]]:
    """Find out as vnet-up does what the caller may do, and what is up; or tell why his folder of records is not trusted."""
    try:
        return Context.of_caller(uid, Hooks(""), lambda _: None), ()
    except VnetError as error:
        return None, (str(error),)


def _sudo_and_seen() -> tuple[Sudo, dict[str, Any]]:
    """Find out whether sudo is there, and whether it asks for a password: by what is to be looked at by it, which this gives."""
    if not _there("sudo"):
        return "missing", {}
    if blocked():
        return "blocked", {}
    if os.geteuid() == 0:
        return "free", {}
    try:
        return "free", json.loads(capture(("sudo", *sudo_argv(asks=False)[1:], "doctor")))
    except (CommandError, ValueError):
        return "password", {}


def _as_root(way: Way, seen: dict[str, Any]) -> dict[str, Any]:
    """Give what only root may see, as far as that took no password; features are tried in the caller's own way."""
    none: dict[str, Any] = {"features": None, "rules": None, "chains": None}
    if os.geteuid() == 0:
        return {"features": tries.features(userns=False), "rules": tries.rules(), "chains": base_chains()}
    own = {"features": tries.features(userns=True)} if way == "userns" else {}
    return {**none, **seen, **own}


def _backend() -> str:
    """Tell which kernel interface iptables speaks to."""
    return "nft" if "nf_tables" in capture(("iptables", "--version"), may_fail=True) else "legacy"


def _running() -> frozenset[str]:
    """Name what runs, as far as it concerns the firewall."""
    names = {read(f"/proc/{pid}/comm").strip() for pid in os.listdir("/proc") if pid.isdigit()}
    return frozenset(names & {"firewalld", "dockerd"})


def _routes(uid: int) -> tuple[Route, ...]:
    """List the networks of the host, the default route's among them."""
    links = {link["ifname"]: link for link in clash.ask("link")}
    routes = (each for each in clash.ask("route") if "dev" in each and each.get("type", "unicast") == "unicast")
    pairs = dict.fromkeys((each["dst"].replace("default", "0.0.0.0/0"), each["dev"]) for each in routes)
    seen = ((IPv4Network(to), dev, links.get(dev, {"ifname": dev})) for to, dev in pairs)
    return tuple(Route(to, dev, clash.holder(link, uid), clash.is_vpn(link)) for to, dev, link in seen)


def _clash(context: Context, wanted: Settings) -> UsageError | None:
    """Tell what a vnet-up would be refused for."""
    try:
        gateway_up.check_host(context, gateway_up.gateway_for(context, wanted))
    except UsageError as error:
        return error
    return None


def _refused_neighbours() -> int:
    """Tell how many neighbours the kernel had no room for, since it started (arp(7))."""
    head, *rows = read("/proc/net/stat/arp_cache").splitlines() or ("",)
    if "table_fulls" not in head.split():
        return 0
    at = head.split().index("table_fulls")
    return sum(int(row.split()[at], 16) for row in rows)


def _records(context: Context | None) -> dict[str, Any]:
    """Look for what killed vnets have left."""
    records = context.records if context else None
    if not records or not records.exist():
        return {"gateway_up": False, "half_made": (), "strays": _strays({})}
    labs, gateway = records.labs(), records.gateway()
    known = {record.lab.netns: record for record in labs}
    half = [record.lab.name for record in labs if {record.bridge, *dict(record.guests).values()} != {"up"}]
    half += [name for name in records.names() if name not in {record.lab.name for record in labs}]
    owner = {gateway.gateway.netns: gateway} if gateway else {}
    return {"gateway_up": bool(gateway), "half_made": tuple(half), "strays": _strays({**known, **owner})}


def _strays(known: dict[str, Any]) -> tuple[str, ...]:
    """Name the pinned namespaces of vnet's that belong to nothing on record, nor to another user's."""
    prefixes = "|".join(map(re.escape, {"vnet", *(set(link_holders()) - {"vnet"})}))
    others = {interface for interface, uid in link_holders().items() if uid != caller()}
    shape = re.compile(rf"({prefixes})(-x\d+)?(x\d+)?")
    return tuple(sorted(name for name in pins() if (found := shape.fullmatch(name)) and found[1] not in others
                        and name not in known and name.removesuffix(found[3] or "") not in known))  # fmt: skip
