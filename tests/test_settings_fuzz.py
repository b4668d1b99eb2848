"""Whatever the files, the variables and the flags hold: settings that fit together, or a `SettingsError`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from settings_world import World

from vnet.config.schema import KEYS
from vnet.config.settings import Settings
from vnet.errors import SettingsError

ROOT = Path(__file__).parent.parent
EXAMPLE = (ROOT / "settings.example.toml").read_bytes()
QUICK = settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FLAGS = ("lab", "host_ip")

names = st.sampled_from(
    [*{part for key in KEYS for part in key.path}, "nginx", "Nginx", "bridge", "1.2.3.4", "", "a b"]
)
ips = st.sampled_from(["172.18.0.1", "172.18.0.254", "172.18.255.1", "10.0.0.0/8", "10.0.0.0/24", "127.0.0.1", "auto"])
texts = ips | names | st.text(max_size=8).filter(lambda text: "**" not in text)  # which would search the disk
scalars = (
    texts
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 80, 1500, 65535, 65536, 2**63, 10**4000])
    | st.floats()
    | st.sampled_from([datetime.date(1979, 5, 27), datetime.time(7, 32), datetime.datetime(1979, 5, 27, 7, 32)])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
tables = st.fixed_dictionaries(
    {},
    optional={
        "name": scalars,
        "host": st.fixed_dictionaries({}, optional=dict.fromkeys(["ip", "interface", "dns", "iptables"], values)),
        "networks": st.fixed_dictionaries({}, optional=dict.fromkeys(["bridges", "guests", "mtu"], values)),
        "hooks": st.fixed_dictionaries({}, optional={"load": values}),
        "guests": st.dictionaries(
            names,
            st.fixed_dictionaries(
                {}, optional=dict.fromkeys(["ip", "ports", "command", "ready", "after", "tags"], values)
            )
            | values,
            max_size=4,
        ),
    },
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Give three places for settings files; hypothesis writes them anew each time."""
    yield World(tmp_path_factory.mktemp("fuzz"))


def toml(value: Any) -> str:
    """Write a value as TOML: strings and keys as JSON does, tables inline."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, list, dict)):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def document(data: dict[str, Any]) -> bytes:
    """Write a table as a TOML file."""
    text = "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in data.items())
    return text.encode("utf-8", "surrogatepass")


def tried(world: World, **given: Any) -> Settings | None:
    """Load, and hold what comes out to what is promised."""
    try:
        loaded = world.load(**given)
    except SettingsError as error:
        assert error.mistakes
        assert all(line and line.isprintable() and len(line) < 1000 for line in error.mistakes)
        return None
    ips = [guest.ip for guest in loaded.guests]
    usable = set(islice(loaded.networks.guests.hosts(), loaded.networks.guests.num_addresses - 3))
    assert len(set(ips)) == len(ips)
    assert set(ips) <= usable
    ports = [(port.outside, port.protocol) for guest in loaded.guests for port in guest.ports]
    assert len(set(ports)) == len(ports)
    assert world.load(**given) == loaded, "the same each time"
    return loaded


@QUICK
@given(tables, st.lists(names, max_size=3), st.dictionaries(st.sampled_from(FLAGS), texts, max_size=2))
def test_any_table(world: World, data: dict[str, Any], guests: list[str], flags: dict[str, str]) -> None:
    """Tables of the right shape with anything in them; also as the machine's and the user's file."""
    for file in (world.system, world.user, world.project):
        file.write_bytes(document(data))
    tried(world, guests=guests, **flags)
    world.system.unlink()
    world.user.unlink()
    tried(world, guests=guests)


@QUICK
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes(world: World, data: bytes) -> None:
    """No file is too odd."""
    world.project.write_bytes(data)
    tried(world)


edits = st.tuples(
    st.integers(0, len(EXAMPLE)), st.integers(0, 3), st.sampled_from(list("\"'[]{}=,.#\n\r \\a1_-\0\u00e9"))
)


@QUICK
@given(st.lists(edits, min_size=1, max_size=4))
def test_any_slip_of_the_hand(world: World, slips: list[tuple[int, int, str]]) -> None:
    """The example with a few characters changed: what toml and TOML understand differently is never let in."""
    import tomllib

    data = EXAMPLE
    for at, dropped, typed in slips:
        data = data[:at] + typed.encode() + data[at + dropped :]
    world.project.write_bytes(data)
    loaded = tried(world)
    if loaded is not None:
        said = tomllib.loads(data.decode())
        assert [guest.name for guest in loaded.guests] == list(said.get("guests", {}))
        for guest in loaded.guests:
            assert said["guests"][guest.name].get("command") == guest.command


words = st.none() | texts | st.text(st.characters(codec=None), max_size=5)


@QUICK
@given(st.tuples(words, words, words, words, words), st.booleans())
def test_any_command_line(world: World, typed: tuple[str | None, ...], said: bool) -> None:
    """And any environment; strings come from the kernel, so they may hold what no file does."""
    file, lab, ip, guest, home = typed
    world.project.unlink(missing_ok=True)
    pairs = {"VNET_FILE": file, "VNET_LAB": lab, "VNET_HOST_IP": ip, "XDG_CONFIG_HOME": home, "HOME": home}
    environ = {name: value for name, value in pairs.items() if said and value is not None}
    flags = {} if said else {"file": file, "lab": lab, "host_ip": ip, "home": home or str(world.home)}
    tried(world, environ=environ, guests=[] if guest is None else [guest], **flags)
