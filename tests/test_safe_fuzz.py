"""Hostile input: nothing that a file, a command line, a record or a request may hold does harm, or gets past its errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from conftest import Box
from fuzz_loader import NASTY, safe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lab_world import inside, same_host
from machine import REPO, Machine

from vnet.bridge import BridgeForwardsStep, BridgeStep
from vnet.codec import decode, encode
from vnet.cuts.step import Block, CutStep
from vnet.engine.record import GatewayRecord, LabRecord
from vnet.gateway import Forward, ForwardsStep, GatewayStep
from vnet.guest import GuestsStep
from vnet.host import HostStep, StateStep
from vnet.model import Gateway, Guest, Lab, Port

KEYWORDS = (
    "address",
    "up",
    "name",
    "dev",
    "a",
    "via",
    "type",
    "netns",
    "help",
    "all",
    "default",
    "lo",
    "any",
    "to",
    "veth",
    "none",
    "Off",
)
GATEWAY = Gateway(
    1000, 1000, "sudo", "vnet", IPv4Address("172.18.255.1"), IPv4Network("172.18.192.0/19"), 1500, iptables=True
)
GUESTS = (
    Guest("web", IPv4Address("172.18.0.1"), (Port(8000, "tcp", 80), Port(53, "udp", 53))),
    Guest("db", IPv4Address("172.18.0.9")),
)
LAB = Lab("shop", 7, "/home/me/shop/vnet.toml", GATEWAY, IPv4Network("172.18.0.0/24"), 1500, GUESTS)
VALUES: tuple[Any, ...] = (
    StateStep(1000, 1000), HostStep(GATEWAY, closes=True), HostStep(GATEWAY._replace(way="userns"), closes=False, folder=True),
    GatewayStep(GATEWAY), GatewayStep(GATEWAY._replace(way="userns")),
    ForwardsStep(GATEWAY, (Forward(Port(1, "tcp", 2), LAB.uplink),)),
    BridgeStep(LAB), BridgeForwardsStep(LAB), GuestsStep(LAB, ("web", "db")),
    CutStep(LAB, (Block(("web",), ("db",)),), "2026-11-24T20:00:00", 1, ("cut-2-to-x7x1", "cut-1")),
    GatewayRecord(GATEWAY, closes=True, state="up", lab="shop", hooks=("/home/me/hooks/a.py",)),
    LabRecord(LAB, "up", (("web", "up"), ("db", "making")), (("vnet-x7", 1),), None, "auto"),
)  # fmt: skip
json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(NASTY) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from((*NASTY, "lab")), inner, max_size=3),
    max_leaves=5,
)


def places(data: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths to everything in JSON data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [here, *(path for key, value in inner for path in places(value, (*here, key)))]


def changed(data: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Put something else in one place."""
    if not path:
        return new
    key, *rest = path
    pairs = data.items() if isinstance(data, dict) else enumerate(data)
    made = {each: changed(value, tuple(rest), new) if each == key else value for each, value in pairs}
    return made if isinstance(data, dict) else list(made.values())


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(VALUES), st.data(), st.lists(json_data, min_size=1, max_size=2))
def test_any_record_and_request(value: Any, choose: Any, new: list[Any]) -> None:
    """With anything anywhere: a ValueError, or a value whose commands hold no word of anybody's making."""
    data = encode(value)
    for each in new:
        data = changed(data, choose.draw(st.sampled_from(places(data))), each)
    try:
        made = decode(type(value), data)
    except ValueError:
        return
    assert encode(made) == data
    if hasattr(made, "up"):
        safe(made.up())
        safe(made.down())


def test_the_values_themselves_pass() -> None:
    """So the test above changes what is good."""
    for value in VALUES:
        assert decode(type(value), encode(value)) == value
        assert re.search("guest|shop|web", str(value)) or not isinstance(value, BridgeStep)


def load(cases: int, seed: int, timeout_s: float) -> str:
    """Run the generator of settings in a process of its own, which hears of every command that is started."""
    argv = [sys.executable, f"{REPO}/tests/fuzz_loader.py", str(cases), str(seed)]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True, text=True, timeout=timeout_s
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_any_settings() -> None:
    """No exception but the settings' own, no command, no file; what is accepted can be made."""
    said = load(1500, 1, 100)
    accepted = re.fullmatch(r"1500 cases, (\d+) accepted, 0 commands started, \d+ s\n", said)
    assert accepted, said
    assert 60 < int(accepted[1]) < 800, "some are good, most are not"


@pytest.mark.long
def test_a_million_settings() -> None:
    """The same, a million times."""
    assert ", 0 commands started, " in load(1_000_000, 2, 7200)


def type_all(machine: Machine, every: int) -> str:
    """Type command lines on a machine."""
    path = f"/opt/vnet:/opt/vnet/.venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    return machine.run(
        "python3", "/opt/vnet/tests/fuzz_verbs.py", str(every), env={"PYTHONPATH": path}, timeout_s=600
    ).stdout


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.long)])
def test_any_command_line(machine: Machine, every: int) -> None:
    """Of all verbs, also by way of variables: refused in one clear line, nothing started, nothing left."""
    before = machine.snapshot()
    assert type_all(machine, every).endswith("command lines, 0 commands started\n")
    assert before.diff(machine.snapshot()) == []


@pytest.mark.parametrize("box", ["root"], indirect=True)
def test_a_lab_of_keywords(box: Box) -> None:
    """Names that ip(8) reads as words of its own are guests as any."""
    with same_host(box):
        box.vnet("up", "-n", "dev", *KEYWORDS)
        script = 'for name; do ping -c1 -W2 "$name" >/dev/null || echo "$name"; done'
        assert inside(box, "dev:up", "sh", "-c", script, "sh", *KEYWORDS).stdout == ""
        box.vnet("partition", "-n", "dev", "isolate", "all", "any")
        box.vnet("down", "-n", "dev", "up", "name")
