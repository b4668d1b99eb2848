"""The layers of the settings: where they are found, which one wins, what follows from them."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from settings_world import World

from vnet.config import settings
from vnet.config.docs import document
from vnet.config.schema import KEYS
from vnet.model import Port

ROOT = Path(__file__).parent.parent
DEFAULT_HOST = settings.Host(ip=IPv4Address("172.18.255.1"), interface="vnet", dns="auto", iptables=True)
DEFAULT_NETWORKS = settings.Networks(
    bridges=IPv4Network("172.18.192.0/19"), guests=IPv4Network("172.18.0.0/24"), mtu=1500
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give three places for settings files."""
    return World(tmp_path)


def addresses(loaded: settings.Settings) -> dict[str, str]:
    """Give the guests' addresses by name, in their order."""
    return {guest.name: str(guest.ip) for guest in loaded.guests}


# Defaults, the example, the page


def test_defaults(world: World) -> None:
    """Nothing said anywhere: the defaults, and a lab named after the folder."""
    assert world.load() == settings.Settings("shop", None, DEFAULT_HOST, DEFAULT_NETWORKS, (), ())


def test_the_example_is_the_defaults(world: World) -> None:
    """settings.example.toml says what holds anyway, and adds two guests."""
    file = str(ROOT / "settings.example.toml")
    loaded = world.load(file=file)
    assert (loaded.host, loaded.networks, loaded.hooks) == (DEFAULT_HOST, DEFAULT_NETWORKS, ())
    assert (loaded.name, loaded.file) == ("shop", os.path.realpath(file))
    nginx, flask = loaded.guests
    ports = (Port(8000, "tcp", 8000), Port(5353, "udp", 53))
    assert nginx == settings.GuestSettings(
        "nginx", IPv4Address("172.18.0.1"), ports, "nginx -c nginx.conf", ("web",), "tcp:8000", ("flask",)
    )
    assert flask == settings.GuestSettings("flask", IPv4Address("172.18.0.2"), (), None, ())


def test_the_example_shows_every_key() -> None:
    """No key of the table is missing in the example."""
    import tomllib

    shown = tomllib.loads((ROOT / "settings.example.toml").read_text())
    for key in KEYS:
        table: Any = shown
        for part in key.path:
            table = table["nginx" if part == "*" else part]


def test_the_page_is_what_the_table_says() -> None:
    """docs/settings.md is up to date."""
    assert (ROOT / "docs/settings.md").read_text() == document(), "python -m vnet.config.docs > docs/settings.md"


def test_importing_the_settings_is_cheap() -> None:
    """Many commands need no file parsed, no near miss and no pattern."""
    heavy = {"toml", "tomllib", "difflib", "glob", "pwd", "argparse", "pathlib", "json", "subprocess", "textwrap"}
    code = f"import sys, vnet.config.settings as s; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# Which layer wins

LAYERS = ("system", "user", "project")
WINS = [
    ("host", "ip", ["10.0.0.1", "10.0.0.5", "10.0.0.9"]),
    ("host", "interface", ["a1", "a2", "a3"]),
    ("host", "dns", ["off", "10.1.1.1", "169.254.169.253"]),
    ("host", "iptables", [False, True, False]),
    ("networks", "bridges", ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/30"]),
    ("networks", "guests", ["10.1.0.0/17", "10.2.0.0/24", "10.3.0.0/29"]),
    ("networks", "mtu", [576, 9000, 65535]),
]


@pytest.mark.parametrize(("table", "key", "values"), WINS, ids=[f"{table}.{key}" for table, key, _ in WINS])
def test_a_later_file_wins_key_by_key(world: World, table: str, key: str, values: list[Any]) -> None:
    """The user's file wins over the machine's, the project's over both, and the rest stays."""
    other = "mtu" if key == "dns" else "dns"
    kept = {"mtu": "networks.mtu = 1000\n", "dns": 'host.dns = "off"\n'}[other]
    for layer, value in zip(LAYERS, values, strict=True):
        written = str(value).lower() if isinstance(value, bool) else repr(value)
        getattr(world, layer).write_text((kept if layer == "system" else "") + f"{table}.{key} = {written}\n")
        loaded = world.load()
        assert str(getattr(getattr(loaded, table), key)) == str(value), layer
        assert (loaded.networks.mtu if other == "mtu" else loaded.host.dns) == (1000 if other == "mtu" else "off")


def test_the_table_of_layers_is_complete() -> None:
    """Every key of host and networks is tried above."""
    assert [f"{table}.{key}" for table, key, _ in WINS] == [
        key.name for key in KEYS if key.path[0] in ("host", "networks")
    ]


def test_environment_wins_over_files_and_flags_over_all(world: World) -> None:
    """File, then variable, then flag."""
    world.project.write_text('name = "one"\n[host]\nip = "10.0.0.1"\n')
    assert (world.load().name, str(world.load().host.ip)) == ("one", "10.0.0.1")
    world.environ |= {"VNET_LAB": "two", "VNET_HOST_IP": "10.0.0.5"}
    assert (world.load().name, str(world.load().host.ip)) == ("two", "10.0.0.5")
    loaded = world.load(lab="three", host_ip="10.0.0.9", iptables=False)
    assert (loaded.name, str(loaded.host.ip), loaded.host.iptables) == ("three", "10.0.0.9", False)
    assert world.load(iptables=True).host.iptables is True


def test_an_empty_variable_is_not_set(world: World) -> None:
    """`VNET_LAB=` is how a shell unsets it for one command."""
    world.environ |= {"VNET_LAB": "", "VNET_HOST_IP": "", "VNET_FILE": "", "XDG_CONFIG_HOME": ""}
    assert world.load() == settings.Settings("shop", None, DEFAULT_HOST, DEFAULT_NETWORKS, (), ())


def test_hooks_of_all_layers_add_up(world: World) -> None:
    """Layer by layer, each pattern sorted, each file once, no folders."""
    for file, names in ((world.system, "ba"), (world.user, "cd"), (world.project, "fe")):
        (file.parent / "hooks").mkdir()
        for name in names:
            (file.parent / f"hooks/{name}.py").touch()
        file.write_text('[hooks]\nload = ["hooks/*.py"]\n')
    (world.project.parent / "hooks/deep").mkdir()
    (world.project.parent / "hooks/deep/g.py").touch()
    (world.project.parent / "hooks/folder.py").mkdir()
    names = [str(Path(hook).relative_to(world.home.parent)) for hook in world.load().hooks]
    machine, user, project = "etc/vnet/hooks/", "home/.config/vnet/hooks/", "shop/hooks/"
    every = [machine + "a.py", machine + "b.py", user + "c.py", user + "d.py", project + "e.py", project + "f.py"]
    assert names == every
    one = world.read('[hooks]\nload = ["hooks/f.py", "./hooks/../hooks/**/*.py", "../etc/vnet/hooks/a.py"]\n')
    assert [Path(hook).name for hook in one.hooks] == ["a.py", "b.py", "c.py", "d.py", "f.py", "g.py", "e.py"]


def test_signs_of_patterns_in_the_folder_are_not_patterns(world: World, tmp_path: Path) -> None:
    """Only what the file says is a pattern, not where it is."""
    folder = tmp_path / "a[b]*"
    folder.mkdir()
    (folder / "hook.py").touch()
    (folder / "vnet.toml").write_text('name = "x"\n[hooks]\nload = ["h*.py"]\n')
    assert world.load(cwd=str(folder)).hooks == (str(folder.resolve() / "hook.py"),)


# Guests


def test_free_addresses_lowest_first_behind_those_that_were_asked_for(world: World) -> None:
    """In the order of the file."""
    loaded = world.read('[guests.z]\n[guests.a]\nip = "172.18.0.1"\n[guests.m]\n[guests.b]\nip = "172.18.0.3"\n')
    assert addresses(loaded) == {"z": "172.18.0.2", "a": "172.18.0.1", "m": "172.18.0.4", "b": "172.18.0.3"}
    assert [guest.name for guest in loaded.guests] == ["z", "a", "m", "b"]


def test_guests_of_the_command_line_without_a_file(world: World) -> None:
    """They are the lab's guests, each once."""
    loaded = world.load(guests=("b", "a", "b"))
    assert addresses(loaded) == {"b": "172.18.0.1", "a": "172.18.0.2"}
    assert (loaded.name, loaded.file) == ("shop", None)
    assert world.load(guests=["a"], lab="x").name == "x"


def test_guests_of_the_command_line_only_choose_from_a_file(world: World) -> None:
    """The settings hold all guests of the file still."""
    loaded = world.read("[guests.a]\n[guests.b]\n", guests=["b"])
    assert list(addresses(loaded)) == ["a", "b"]


@pytest.mark.parametrize(("network", "room"), [("172.18.0.0/24", 253), ("10.0.0.0/29", 5), ("172.18.0.0/17", 1023)])
def test_a_network_can_be_filled(world: World, network: str, room: int) -> None:
    """To the last address, or to the last port of the bridge."""
    head = f'[networks]\nguests = "{network}"\n'
    loaded = world.read(head + "".join(f"[guests.g{number}]\n" for number in range(room)))
    ips = [guest.ip for guest in loaded.guests]
    assert ips == list(IPv4Network(network).hosts())[:room]
    assert IPv4Network(network)[-2] not in ips


def test_a_full_guest(world: World) -> None:
    """Every key of a guest, and all ways to write a port."""
    text = """
[guests."a.b"]
ports = { 80 = 8080, "80/udp" = 53, "81/tcp" = 1, 65535 = 65535 }
command = '''
set -e
sleep 1
'''
tags = ["web", "x.y"]
ready = "curl -fsS 'http://a.b:8080/ready'"
after = ["db"]
[guests.db]
ready = "tcp:5432"
"""
    guest, db = world.read(text).guests
    assert [str(port) for port in guest.ports] == ["80", "80/udp", "81", "65535"]
    assert [port.inside for port in guest.ports] == [8080, 53, 1, 65535]
    assert (guest.name, guest.command, guest.tags) == ("a.b", "set -e\nsleep 1\n", ("web", "x.y"))
    assert (guest.ready, guest.after) == ("curl -fsS 'http://a.b:8080/ready'", ("db",))
    assert (db.ready, db.after) == ("tcp:5432", ())


def test_a_byte_order_mark_and_windows_lines_are_read(world: World) -> None:
    """As editors on Windows leave them."""
    assert world.read('\ufeffname = "x"\r\n[guests.a]\r\n').name == "x"
