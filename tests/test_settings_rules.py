"""Values that the settings refuse, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from settings_world import LONG, NAMED, World, allowed

from vnet.config.schema import KEYS, RULES


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give three places for settings files."""
    return World(tmp_path)


VALUES = [  # the text, the row that refuses it and says what is allowed, what is wrong
    ('name = ""', "name", "'' is 0 characters long"),
    ('name = "a b"', "name", "'a b' holds the character ' '"),
    ('name = "a/b"', "name", "'a/b' holds the character '/'"),
    ('name = "b\u00fccher"', "name", "'b\u00fccher' holds the character '\u00fc'"),
    ('name = "a\\nb"', "name", r"'a\nb' holds the character '\n'"),
    ('name = "-a"', "name", "'-a' begins with a sign"),
    ('name = "a."', "name", "'a.' ends with a sign"),
    (f'name = "{LONG}"', "name", f"'{LONG}' is 64 characters long"),
    ('name = "12"', "name", "'12' reads as a number"),
    ('name = "0x1F"', "name", "'0x1F' reads as a number"),
    ('name = "10.0.0.1"', "name", "'10.0.0.1' reads as an IPv4 address"),
    ('name = "1.2"', "name", "'1.2' reads as an IPv4 address"),
    ("name = 12", "name", "12 is a whole number, not a string"),
    ("name = 1979-05-27", "name", "this is a date or time, not a string"),
    ("name = []", "name", "this is a list, not a string"),
    ("host.ip = 1", "host.ip", "1 is a whole number, not a string"),
    ('host.ip = "172.18.255"', "host.ip", "'172.18.255' is not an IPv4 address"),
    ('host.ip = "::1"', "host.ip", "'::1' is not an IPv4 address"),
    (
        'host.ip = "172.18.255.1/30"',
        "host.ip",
        "'172.18.255.1/30' is not an IPv4 address: leave out the prefix length",
    ),
    (
        'host.ip = "172.18.255.0"',
        "host.ip",
        "172.18.255.0 is the network address of 172.18.255.0/30, use 172.18.255.1 or 172.18.255.2",
    ),
    (
        'host.ip = "10.0.0.7"',
        "host.ip",
        "10.0.0.7 is the broadcast address of 10.0.0.4/30, use 10.0.0.5 or 10.0.0.6",
    ),
    ('host.ip = "0.0.0.0"', "host.ip", "0.0.0.0 is unspecified (0.0.0.0/8)"),
    ('host.ip = "127.0.0.1"', "host.ip", "127.0.0.1 is loopback (127.0.0.0/8)"),
    ('host.ip = "169.254.1.1"', "host.ip", "169.254.1.1 is link-local (169.254.0.0/16)"),
    ('host.ip = "224.0.0.1"', "host.ip", "224.0.0.1 is multicast (224.0.0.0/4)"),
    ('host.ip = "255.255.255.254"', "host.ip", "255.255.255.254 is reserved (240.0.0.0/4)"),
    ('host.ip = "a\\u0000"', "host.ip", r"'a\x00' holds a NUL character"),
    ('host.interface = ""', "host.interface", "'' is 0 characters long"),
    ('host.interface = "abcdefghijklmnop"', "host.interface", "'abcdefghijklmnop' is 16 characters long"),
    ('host.interface = "1a"', "host.interface", "'1a' does not begin with a letter"),
    ('host.interface = "-a"', "host.interface", "'-a' does not begin with a letter"),
    ('host.interface = "v%d"', "host.interface", "'v%d' holds the character '%'"),
    ('host.interface = "a.b"', "host.interface", "'a.b' holds the character '.'"),
    *(
        (f'host.interface = "{name}"', "host.interface", f"'{name}' is a name that the kernel or vnet itself uses")
        for name in ("lo", "all", "default", "uplink", "bridge", "vnet_guest", "eth0", "x1", "x2048")
    ),
    ('host.dns = "on"', "host.dns", "'on' is not an IPv4 address"),
    ('host.dns = "127.0.0.53"', "host.dns", "127.0.0.53 is loopback (127.0.0.0/8)"),
    ("host.dns = false", "host.dns", "false is a boolean, not a string"),
    ("host.iptables = 1", "host.iptables", "1 is a whole number, not a boolean"),
    ('host.iptables = "true"', "host.iptables", "'true' is a string, not a boolean"),
    ('networks.bridges = "172.18.192.0"', "networks.bridges", "'172.18.192.0' has no prefix length, such as /24"),
    (
        'networks.bridges = "10.0.0.0/255.0.0.0"',
        "networks.bridges",
        "'10.0.0.0/255.0.0.0' has no prefix length, such as /24",
    ),
    (
        'networks.bridges = "172.18.192.1/19"',
        "networks.bridges",
        "'172.18.192.1/19' has host bits set, the network is 172.18.192.0/19",
    ),
    ('networks.bridges = "10.0.0.0/7"', "networks.bridges", "10.0.0.0/7 is too wide"),
    ('networks.bridges = "10.0.0.0/31"', "networks.bridges", "10.0.0.0/31 is too narrow"),
    ('networks.bridges = "127.0.0.0/8"', "networks.bridges", "127.0.0.0/8 is loopback (127.0.0.0/8)"),
    ('networks.bridges = "x"', "networks.bridges", "'x' is not an IPv4 network"),
    ('networks.guests = "172.18.0.0/16"', "networks.guests", "172.18.0.0/16 is too wide"),
    ('networks.guests = "172.18.0.0/30"', "networks.guests", "172.18.0.0/30 is too narrow"),
    ("networks.mtu = 575", "networks.mtu", "575 is too small"),
    ("networks.mtu = 65536", "networks.mtu", "65536 is too large"),
    ("networks.mtu = true", "networks.mtu", "true is a boolean, not a whole number"),
    ("networks.mtu = 1500.0", "networks.mtu", "1500.0 is a fraction, not a whole number"),
    ("networks.mtu = inf", "networks.mtu", "inf is a fraction, not a whole number"),
    ("networks.mtu = nan", "networks.mtu", "nan is a fraction, not a whole number"),
    ("networks.mtu = 0x" + "f" * 5000, "networks.mtu", "a huge number is too large"),
    ('hooks.load = "a.py"', "hooks.load", "'a.py' is a string, not a list of strings"),
    ("hooks.load = [1]", "hooks.load", "1 is a whole number, not a string"),
    ('hooks.load = [" "]', "hooks.load", "' ' is empty"),
    ('hooks.load = ["none.py"]', "hooks.load", "'none.py' matches no file in FOLDER"),
    ('hooks.load = ["no/*.py"]', "hooks.load", "'no/*.py' matches no file in FOLDER"),
    ('hooks.load = ["."]', "hooks.load", "'.' matches no file in FOLDER"),
    ("guests.a.ip = 1", "guests.*.ip", "1 is a whole number, not a string"),
    ("guests.a.ports = [80]", "guests.*.ports", "this is a list, not a table"),
    ('guests.a.ports = { "a" = 80 }', "guests.*.ports", "'a' is not a port"),
    ("guests.a.ports = { 0 = 80 }", "guests.*.ports", "'0' is not a port"),
    ("guests.a.ports = { 65536 = 80 }", "guests.*.ports", "'65536' is not a port"),
    ("guests.a.ports = { 080 = 80 }", "guests.*.ports", "'080' is not a port"),
    ('guests.a.ports = { "80/TCP" = 80 }', "guests.*.ports", "'80/TCP' is not a port"),
    ('guests.a.ports = { "80/" = 80 }', "guests.*.ports", "'80/' is not a port"),
    ('guests.a.ports = { "\u0661" = 80 }', "guests.*.ports", "'\u0661' is not a port"),
    ("guests.a.ports = { 80 = 0 }", "guests.*.ports", "80 leads to a wrong port: 0 is too small"),
    (
        "guests.a.ports = { 80 = true }",
        "guests.*.ports",
        "80 leads to a wrong port: true is a boolean, not a whole number",
    ),
    ('guests.a.ports = { 80 = 1, "80/tcp" = 2 }', "guests.*.ports", "'80/tcp' is there twice"),
    ('guests.a.command = "\\n "', "guests.*.command", r"'\n ' is empty"),
    ('guests.a.command = "a\\u0000b"', "guests.*.command", r"'a\x00b' holds a NUL character"),
    ('guests.a.command = ["a"]', "guests.*.command", "this is a list, not a string"),
    ("guests.a.command = \"sh -c 'a\"", "guests.*.command", "\"sh -c 'a\" can't be split into words: no closing quotation"),
    ("guests.a.command = 'a b\\'", "guests.*.command", r"'a b\\' can't be split into words: no escaped character"),
    ("guests.a.command = '\"\" x'", "guests.*.command", "'\"\" x' names no program"),
    ('guests.a.ready = "tcp:0"', "guests.*.ready", "'tcp:0' is not a port"),
    ('guests.a.ready = "tcp:http"', "guests.*.ready", "'tcp:http' is not a port"),
    ('guests.a.ready = "udp:53"', "guests.*.ready", "'udp:53' is not a way to try a port"),
    ('guests.a.ready = " "', "guests.*.ready", "' ' is empty"),
    ("guests.a.ready = 8000", "guests.*.ready", "8000 is a whole number, not a string"),
    ('guests.a.after = "b"', "guests.*.after", "'b' is a string, not a list of strings"),
    ('guests.a.after = ["b"]', "guests.*.after", "'b' is no guest here"),
    ('guests.a.after = ["A"]', "guests.*.after", "'A' is no guest here (did you mean a?)"),
    ('guests.a.after = ["a"]', "guests.*.after", "a circle: a waits for a"),
    ('guests.a.tags = ["a", "b", "a"]', "guests.*.tags", "'a' is there twice"),
    ('guests.a.tags = ["a b"]', "guests.*.tags", "'a b' holds the character ' '"),
    ('guests.a.tags = "web"', "guests.*.tags", "'web' is a string, not a list of strings"),
    *((f"guests.{name}.ip = '172.18.0.1'", "guests.*", f"'{name}' is the name of another node")
      for name in ("bridge", "gateway", "host", "localhost", "LocalHost")),
    ('[guests."1.1.1.1"]', "guests.*", "'1.1.1.1' reads as an IPv4 address"),
    ("[guests.7]", "guests.*", "'7' reads as a number"),
    ("[guests._a]", "guests.*", "'_a' begins with a sign"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "what"), VALUES, ids=[text[:40] for text, _, _ in VALUES])
def test_a_value_is_refused(world: World, text: str, key: str, what: str) -> None:
    """One value, one line: the file, the key, what is wrong, what is allowed."""
    head = "" if text.startswith(("name", "[")) else 'name = "x"\n'
    (line,) = world.mistakes(head + text)
    start, _, rest = line.removeprefix(NAMED).partition(": ")
    assert line.startswith(NAMED)
    assert start.rpartition(".")[2] == key.rpartition(".")[2] or key == "guests.*"
    assert rest == what.replace("FOLDER", str(world.project.parent)) + allowed(key)


def test_every_row_is_tried() -> None:
    """No key of the table goes without a value that it refuses."""
    assert {key for _, key, _ in VALUES} == {key.name for key in KEYS}


def test_the_table_is_sound() -> None:
    """Each key is there once, its default passes its own check, and people are told about it."""
    assert len(RULES) == len(KEYS)
    for key in KEYS:
        assert key.doc.endswith(".")
        assert key.allowed
        assert key.default is not None or key.otherwise
        if key.default is not None:
            key.check(key.default)
