"""Mistakes that are not one value's: keys, what must fit together, the command line, files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from settings_world import LONG, NAMED, World, allowed


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give three places for settings files."""
    return World(tmp_path)


WHOLE = [
    ("nam = 1", ["nam: there is no such key (did you mean name?); allowed: name, host, networks, hooks, guests"]),
    ("zzzz = 1", ["zzzz: there is no such key; allowed: name, host, networks, hooks, guests"]),
    (
        "mtu = 1",
        ["mtu: there is no such key (did you mean networks.mtu?); allowed: name, host, networks, hooks, guests"],
    ),
    ("host.IP = 1", ["host.IP: there is no such key (did you mean host.ip?); allowed: ip, interface, dns, iptables"]),
    (
        "guests.a.port = 1",
        [
            "guests.a.port: there is no such key (did you mean guests.a.ports?); allowed: ip, ports, command, ready, after, tags"
        ],
    ),
    (
        "guests.a.interface = 1",
        [
            "guests.a.interface: there is no such key (did you mean host.interface?); allowed: ip, ports, command, ready, after, tags"
        ],
    ),
    (
        "[hooks]\n'a\u202eb' = 1",
        [r"hooks.'a\u202eb': there is no such key; allowed: load"],
    ),
    (f"{LONG}{LONG} = 1", [f"'{LONG}aaa...': there is no such key; allowed: name, host, networks, hooks, guests"]),
    (
        "[guests]\na.after = ['b']\nb.after = ['d', 'c']\nc.after = ['d', 'a']\nd.after = []",
        ["guests.a.after: a circle: a waits for b waits for c waits for a" + allowed("guests.*.after")],
    ),
    (
        "[guests]\na.after = ['b', 'c', 'd']\nb.after = ['c']\nc.after = ['d']\nd.after = ['e', 'aa']",
        [
            f"guests.d.after: '{name}' is no guest here{meant}" + allowed("guests.*.after")
            for name, meant in (("e", ""), ("aa", " (did you mean a?)"))
        ],
    ),
    ("host = 3", ["host: 3 is a whole number, not a table"]),
    ("guests = []", ["guests: this is a list, not a table"]),
    ("guests.a = 'x'", ["guests.a: 'x' is a string, not a table"]),
    ("[[guests]]\nip = '172.18.0.1'", ["guests: this is a list, not a table"]),
    (
        "[networks]\nguests = '172.18.192.0/24'",
        [
            "networks.guests: 172.18.192.0/24 overlaps 172.18.192.0/19 of networks.bridges (the defaults)"
            + allowed("networks.guests")
        ],
    ),
    (
        "[host]\nip = '172.18.0.1'",
        ["host.ip: 172.18.0.0/30 overlaps 172.18.0.0/24 of networks.guests (the defaults)" + allowed("host.ip")],
    ),
    (
        "[host]\nip = '10.0.0.1'\n[networks]\nbridges = '10.0.0.0/8'",
        ["networks.bridges: 10.0.0.0/8 overlaps 10.0.0.0/30 of host.ip (vnet.toml)" + allowed("networks.bridges")],
    ),
    (
        "[guests.Web]\n[guests.web]",
        ["guests.web: it differs from 'Web' in case only; allowed: names that differ in more"],
    ),
    (
        "[guests.a]\nports = {80 = 1}\n[guests.b]\nports = {'80/udp' = 1, '80/tcp' = 2}",
        ["guests.b.ports: 80/tcp leads to 'a' already" + allowed("guests.*.ports")],
    ),
    *(
        (
            f"[guests.z]\nip = '172.18.0.9'\n[guests.a]\nip = '{ip}'",
            [
                f"guests.a.ip: {ip} is {what}; "
                "allowed: an address from 172.18.0.1 to 172.18.0.253 that no other guest has"
            ],
        )
        for ip, what in (
            ("172.18.0.0", "the network's own"),
            ("172.18.0.254", "the bridge's"),
            ("172.18.0.255", "the broadcast address"),
            ("172.18.1.1", "outside networks.guests 172.18.0.0/24"),
            ("172.18.0.9", "that of 'z'"),
        )
    ),
    (
        "".join(f"[guests.g{number}]\n" for number in range(254)),
        ["guests: 254 guests are too many; allowed: 253 in 172.18.0.0/24, or a wider networks.guests, up to /17"],
    ),
    (
        "networks.guests = '172.18.0.0/17'\n" + "".join(f"[guests.g{number}]\n" for number in range(1024)),
        ["guests: 1,024 guests are too many; allowed: 1,023, as many as the kernel's bridge has ports"],
    ),
]


@pytest.mark.parametrize(("text", "lines"), WHOLE, ids=[lines[0][:50] for _, lines in WHOLE])
def test_what_does_not_fit_is_refused(world: World, text: str, lines: list[str]) -> None:
    """Keys that do not exist, tables that are none, and values that are fine but for each other."""
    assert world.mistakes(text) == [NAMED + line for line in lines]


def test_all_mistakes_of_all_layers_come_together(world: World) -> None:
    """Also the ones that a later layer wins over, and those of variables and flags."""
    world.system.write_text("name = 'x'\n[networks]\nmtu = 1\n[guests.a]\nip = 1\n")
    world.user.write_text("[networks]\nmtu = 2\n[hooks]\nload = ['none']\n")
    world.environ |= {"VNET_HOST_IP": "one", "VNET_LAB": "a b"}
    text = "name = 'c d'\n[networks]\nmtu = 1400\n[guests.b]\nip = '1.2.3.4'\ntags = ['+', '-']\n"
    lines = world.mistakes(text, lab="7", host_ip="127.0.0.1", guests=["c", "bb", "b"])
    assert [line.partition("; allowed: ")[0] for line in lines] == [
        f"{world.system}: name: only a project's vnet.toml may say this",
        f"{world.system}: networks.mtu: 1 is too small",
        f"{world.system}: guests: only a project's vnet.toml may say this",
        f"{world.user}: networks.mtu: 2 is too small",
        f"{world.user}: hooks.load: 'none' matches no file in {world.user.parent}",
        "vnet.toml: name: 'c d' holds the character ' '",
        "vnet.toml: guests.b.tags: '+' holds the character '+'",
        "vnet.toml: guests.b.tags: '-' begins with a sign",
        "VNET_HOST_IP: host.ip: 'one' is not an IPv4 address",
        "VNET_LAB: name: 'a b' holds the character ' '",
        "-n: name: '7' reads as a number",
        "--host-ip: host.ip: 127.0.0.1 is loopback (127.0.0.0/8)",
        "command line: guests.c: vnet.toml has no such guest",
        "command line: guests.bb: vnet.toml has no such guest (did you mean b?)",
        "vnet.toml: guests.b.ip: 1.2.3.4 is outside networks.guests 172.18.0.0/24",
    ]


# The command line


def test_guests_that_the_file_does_not_have(world: World) -> None:
    """The near miss, and what there is."""
    assert world.mistakes("[guests.nginx]\n[guests.flask]\n", guests=["ngimx"]) == [
        "command line: guests.ngimx: vnet.toml has no such guest (did you mean nginx?); allowed: 'nginx', 'flask'"
    ]
    assert world.mistakes("", guests=["a"]) == ["command line: guests.a: vnet.toml has no such guest; allowed: none"]


def test_names_without_a_file(world: World) -> None:
    """They are checked like those of a file."""
    lines = world.mistakes(guests=["a b", "host", "x", "X"])
    assert [line.partition("; allowed: ")[0] for line in lines] == [
        "command line: guests.'a b': 'a b' holds the character ' '",
        "command line: guests.host: 'host' is the name of another node",
        "command line: guests.X: it differs from 'x' in case only",
    ]
    assert world.mistakes(guests=[f"g{number}" for number in range(300)]) == [
        "command line: guests: 300 guests are too many; "
        "allowed: 253 in 172.18.0.0/24, or a wider networks.guests, up to /17"
    ]


@pytest.mark.parametrize("flag", ["lab", "host_ip", "file"])
def test_an_empty_flag_is_a_mistake(world: World, flag: str) -> None:
    """Unlike an empty variable: somebody typed it."""
    said = {
        "lab": "-n: name: '' is 0 characters long" + allowed("name"),
        "host_ip": "--host-ip: host.ip: '' is not an IPv4 address" + allowed("host.ip"),
        "file": "'': it is a directory; allowed: a file, such as vnet.toml in there",
    }
    assert world.mistakes(**{flag: ""}) == [said[flag]]


@pytest.mark.parametrize(
    ("folder", "why"), [("my shop", "'my shop' holds the character ' '"), ("12", "'12' reads as a number")]
)
def test_a_folder_that_can_t_name_a_lab(world: World, tmp_path: Path, folder: str, why: str) -> None:
    """The message says what to do about it."""
    (tmp_path / folder).mkdir()
    what = f"name: the folder's name can't be the lab's, {why}: set name, or use -n LAB{allowed('name')}"
    given: dict[str, Any] = {"cwd": str(tmp_path / folder)}
    assert world.mistakes(**given) == [f"command line: {what}"]
    assert world.load(**given, lab="x").name == "x"
    (tmp_path / folder / "vnet.toml").touch()
    assert world.mistakes(**given) == [f"vnet.toml: {what}"]
    assert world.load(**given, environ={"VNET_LAB": "y"}).name == "y"


# Files

FILES: list[tuple[bytes, str]] = [
    (b"a", "end of document: Expected '=' after a key in a key/value pair; allowed: TOML"),
    (b"[host]\nip = \n", "line 2, column 6: Invalid value; allowed: TOML"),
    (b"[host]\n[host]\n", "line 2, column 6: Cannot declare ('host',) twice; allowed: TOML"),
    (b"a = 1\na = 2\n", "line 2, column 6: Cannot overwrite a value; allowed: TOML"),
    (b"a = 1\nb = '\xff'\n", "line 2: it is not UTF-8; allowed: TOML in UTF-8"),
    (b"#" * (1 << 20) + b"\n", "it is too large; allowed: 1,048,576 bytes"),
    (b"a = " + b"[" * 5000, "it nests too deep or holds a huge number: "),
    (b"a = " + b"9" * 5000, "it nests too deep or holds a huge number: "),
    (b"a = [1, 'a']", "it is TOML that the toml package can't read; "),
    (b"hooks.load = [{x = 1}, 'a']", "hooks.load: the toml package reads this otherwise than TOML says; "),
    (b"[guests.a]\ncommand = '''\nx\n''' \n[guests.b]\n", "guests.a.command: the toml package reads this otherwise "),
    (b'[guests.a]\ncommand = """\necho "#1"\n"""\n', "guests.a.command: the toml package reads this otherwise than "),
]


@pytest.mark.parametrize(("data", "what"), FILES, ids=[what[:45] for _, what in FILES])
def test_a_file_that_is_not_toml_is_refused(world: World, data: bytes, what: str) -> None:
    """With its place where that is known; nothing else is said of it, as all would follow from that."""
    (line,) = world.mistakes(data, guests=["a"])
    assert line.startswith(NAMED + what)
    assert len(line) < 400


def test_a_file_that_is_not_there(world: World) -> None:
    """Whoever named it is named; a link that leads nowhere is found, and said to be one."""
    assert world.mistakes(file="no.toml") == ["no.toml: there is no such file, though -f names it"]
    world.environ["VNET_FILE"] = "/no/no.toml"
    assert world.mistakes() == ["/no/no.toml: there is no such file, though VNET_FILE names it"]
    world.environ.clear()
    world.project.symlink_to("nowhere")
    assert world.mistakes() == ["vnet.toml: there is no such file, it is a link that leads nowhere"]


def test_a_file_that_is_no_file(world: World) -> None:
    """A folder, a pipe, which would wait for ever, a device."""
    assert world.mistakes(file="..") == ["..: it is a directory; allowed: a file, such as vnet.toml in there"]
    os.mkfifo(world.project)
    assert world.mistakes() == ["vnet.toml: it is not a file; allowed: a regular file"]
    assert world.mistakes(file="/dev/zero") == ["/dev/zero: it is not a file; allowed: a regular file"]


@pytest.mark.parametrize(("name", "why"), [("a\0b", "embedded null byte"), ("a\n" * 3000, "File name too long")])
def test_a_file_that_can_t_be(world: World, name: str, why: str) -> None:
    """No name is too odd."""
    assert world.mistakes(file=name) == [f"{name!r}: it can't be read: {why}"]


def test_a_file_that_may_not_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not skipped, whichever layer it is of."""

    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("vnet.config.files._open", refuse)
    lines = [f"{name}: it can't be read: Permission denied" for name in (world.system, world.user, "vnet.toml")]
    world.project.touch()
    assert world.mistakes() == lines


def test_an_odd_folder_does_not_break_the_line(world: World, tmp_path: Path) -> None:
    """Each mistake is one line, whatever the folder is called."""
    folder = tmp_path.resolve() / "a\nb"
    folder.mkdir()
    (folder / "vnet.toml").write_text('name = "x"\nhooks.load = ["none"]')
    path, hooks = world.mistakes(cwd=str(folder))
    assert "rename the folder" in path
    assert f"'none' matches no file in {str(folder)!r}; allowed" in hooks
    assert "\n" not in path + hooks
