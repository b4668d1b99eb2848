"""The settings: layers of TOML, environment and flags become one frozen `Settings`, or one `SettingsError`.

A later layer wins key by key: built-in defaults, /etc/vnet/settings.toml, the user's settings.toml,
the project's vnet.toml, the environment, flags. The lists of `hooks.load` add up instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal, NamedTuple

from vnet.config.draft import Draft
from vnet.config.files import sources
from vnet.errors import SettingsError
from vnet.model import Port

__all__ = ["GuestSettings", "Host", "Networks", "Settings", "load"]


class Host(NamedTuple):
    """What vnet adds to the host."""

    ip: IPv4Address
    interface: str
    dns: Literal["auto", "off"] | IPv4Address
    iptables: bool


class Networks(NamedTuple):
    """The addresses and the MTU of every lab."""

    bridges: IPv4Network
    guests: IPv4Network
    mtu: int


class GuestSettings(NamedTuple):
    """One guest, its address chosen."""

    name: str
    ip: IPv4Address
    ports: tuple[Port, ...]
    command: str | None
    tags: tuple[str, ...]
    ready: str | None = None
    after: tuple[str, ...] = ()


class Settings(NamedTuple):
    """All that a user said or left to the defaults; guests in the order of the file.

    `file` is the project's vnet.toml, `hooks` are the files of hooks, all by absolute paths.
    """

    name: str
    file: str | None
    host: Host
    networks: Networks
    hooks: tuple[str, ...]
    guests: tuple[GuestSettings, ...]


def load(
    *,
    file: str | None = None,
    lab: str | None = None,
    guests: Sequence[str] = (),
    host_ip: str | None = None,
    iptables: bool | None = None,
    environ: Mapping[str, str],
    cwd: str,
    home: str | None = None,
) -> Settings:
    """Read all layers and check them.

    `file`, `lab`, `guests`, `host_ip` and `iptables` are what the command line says, None or empty where it says
    nothing. Where a project has a file, `guests` have to be in it, and `Settings.guests` holds all of the file's;
    else they are the lab's guests. `home` stands in for the caller's home.

    Raises `SettingsError` with every mistake of all layers, and nothing else, whatever the files hold.
    """
    draft = Draft()
    for source in sources(file=file, environ=environ, cwd=cwd, home=home):
        draft.add_file(source)
    draft.add("VNET_HOST_IP", "host.ip", environ.get("VNET_HOST_IP") or None)
    draft.add("VNET_LAB", "name", environ.get("VNET_LAB") or None)
    draft.add("-n", "name", lab)
    draft.add("--host-ip", "host.ip", host_ip)
    draft.add("--no-iptables", "host.iptables", iptables)
    draft.finish(guests, cwd)
    if draft.mistakes:
        raise SettingsError(draft.mistakes)
    return _settings(draft)


def _settings(draft: Draft) -> Settings:
    """Freeze a draft that is free of mistakes."""

    def part(table: str, *names: str) -> dict[str, Any]:
        return {name: draft.get(table, name) for name in names}

    return Settings(
        name=draft.get("name"),
        file=draft.file,
        host=Host(**part("host", "ip", "interface", "dns", "iptables")),
        networks=Networks(**part("networks", "bridges", "guests", "mtu")),
        hooks=tuple(dict.fromkeys(draft.hooks)),
        guests=tuple(
            GuestSettings(
                name=name,
                ip=draft.addresses[name],
                ports=draft.get("guests", name, "ports") or (),
                command=draft.get("guests", name, "command"),
                tags=draft.get("guests", name, "tags") or (),
                ready=draft.get("guests", name, "ready"),
                after=draft.get("guests", name, "after") or (),
            )
            for name in draft.guests
        ),
    )
