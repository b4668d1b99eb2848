"""Settings out of a random generator, each loaded; what is accepted is planned, and its commands are looked at. Nothing is run.

PYTHONPATH=. python tests/fuzz_loader.py CASES [SEED [FIRST]]    print the figures; fail at the first case that breaks a promise

The promises: settings that fit, or a SettingsError with one printable line for each mistake; no command started, no file
written, nobody called; and in the commands of what was accepted no word that a user's text could have got into.
"""

from __future__ import annotations

import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from vnet.bridge import BridgeStep
from vnet.command import Command, Maker, Stages, Write
from vnet.config import files, settings
from vnet.engine import files as texts
from vnet.errors import SettingsError
from vnet.gateway import GatewayStep
from vnet.guest import GuestsStep
from vnet.host import HostStep
from vnet.model import Gateway, Lab

FORBIDDEN = ("subprocess.", "os.posix_spawn", "os.exec", "os.fork", "os.system", "os.spawn", "pty.", "socket.connect", "os.remove",
             "os.rename", "os.mkdir", "os.chmod", "os.kill", "ctypes.dlopen")  # fmt: skip
NASTY = (
    "", " ", "-", "--", "-n", "-rf", "--help", "%d", "v%d", "%n", "$(id)", "`id`", "${IFS}", ";id", "|id", "&", "a b", "a\tb", "a\nb",
    "a\nnetns exec x id", "\n", "\r", "a\0b", "'", '"', "\\", "#", "!", "*", "**", "?", "[a]", "~", "~root", "/", "//", ".", "..",
    "../x", "../../etc/passwd", "/dev/null", "/proc/self/mem", "a/b", "\u202egro", "\u200b", "\ufeff", "\u0130", "\u017f", "\u00e9",
    "\u4e16", "\U0001f600", "\x1b[31m", "\x7f", "\x85", "\u2028", "a" * 15, "a" * 16, "a" * 63, "a" * 64, "a" * 300, "\u4e16" * 100,
    "up", "down", "name", "dev", "a", "address", "via", "type", "netns", "help", "all", "default", "lo", "any", "to", "host",
    "localhost", "bridge", "gateway", "uplink", "eth0", "vnet", "vnet-x1", "x1", "x1x1", "veth", "None", "null", "true", "1", "0",
    "1.2", "0x7f", "1e9", "172.18.0.1", "172.18.0.254", "172.18.255.1", "127.0.0.1",
    "0.0.0.0", "255.255.255.255", "224.0.0.1", "::1", "1.1",
    "172.18.0.0/24", "0.0.0.0/0", "10.0.0.0/33", "10.0.0.0/-1", "1/1", "169.254.169.254", "0177.0.0.1", "8000", "8000/tcp", "53/udp",
    "web", "db", "nginx", "a.b", "a-b", "a_b", "-a", "a-", ".a", "a.", "auto", "off",
)  # fmt: skip
PATHS = ("name", "host.ip", "host.interface", "host.dns", "host.iptables", "networks.bridges", "networks.guests", "networks.mtu",
         "hooks.load", "guests.{0}.ip", "guests.{0}.ports", "guests.{0}.command", "guests.{0}.tags", "guests.{0}.ready",
         "guests.{0}.after", "guests.{0}", "{0}", "{0}.{0}", "host.{0}", "guests.{0}.{0}")  # fmt: skip
BROKEN = ("=", "[", "]", "[[a]]", "[[guests]]", "{", "}", '"""', "'''", "a = ", "= 1", "\0", "\ufffe", "[guests.a]\n[guests.a]",
          "a=1\na=2",           "[a.b]\n[a]\n", "x = {a=1,}", "x = [1,]", "x = [{x=1}, 2]",
          "x = 1__0", "x = 0x", "x = 1979-05-27T07:32:00Z", "x = inf",
          "\ufeff", "\r", "x = \"\\uD800\"", "x = \"\\x00\"", "[" * 60, "x = " + "[" * 60)  # fmt: skip
WORD = re.compile(r"[A-Za-z0-9_./:=,@-]+")
RULE = re.compile(r"[A-Za-z0-9_./:=,@! \[\]*-]*")


def quoted(text: str) -> str:
    """Write a basic string."""
    out = []
    for char in text:
        plain = char >= " " and char not in '"\\\x7f'
        out.append(char if plain else f"\\u{ord(char):04x}")
    return '"' + "".join(out) + '"'


def value(dice: random.Random, depth: int = 2) -> str:
    """Write a value of any type."""
    roll = dice.randrange(12)
    if roll < 6 or not depth:
        return quoted(nasty(dice))
    if roll < 8:
        return str(
            dice.choice((0, 1, -1, 80, 8000, 65535, 65536, 1500, 576, 10**12, 10**400, "0.5", "true", "false", "nan"))
        )
    if roll < 10:
        return "[" + ", ".join(value(dice, depth - 1) for _ in range(dice.randrange(3))) + "]"
    pairs = (f"{quoted(nasty(dice))} = {value(dice, depth - 1)}" for _ in range(dice.randrange(3)))
    return "{" + ", ".join(pairs) + "}"


def nasty(dice: random.Random) -> str:
    """Choose a text: one that is known to hurt, two of them, or any characters."""
    roll = dice.random()
    if roll < 0.7:
        return dice.choice(NASTY)
    if roll < 0.85:
        return dice.choice(NASTY) + dice.choice(NASTY)
    return "".join(
        chr(dice.choice((dice.randrange(128), dice.randrange(0x2100), dice.randrange(0xE000))))
        for _ in range(dice.randrange(9))
    )


def document(dice: random.Random) -> bytes:
    """Write a file; half of them hold few mistakes or none."""
    good = [
        'name = "shop"',
        '[host]\nip = "172.18.255.1"',
        "[networks]\nmtu = 1500",
        '[guests.web]\nip = "172.18.0.1"',
        "[guests.app]",
    ]
    lines = [line for line in good if dice.random() < 0.4]
    for _ in range(dice.choice((0, 1, 1, 2, 5))):
        *tables, last = dice.choice(PATHS).split(".")
        path = [quoted(nasty(dice)) if part == "{0}" else part for part in (*tables, last)]
        said = value(dice) if dice.random() < 0.9 else ""
        lines.append(
            f"{'.'.join(path)} = {said}"
            if dice.random() < 0.6
            else f"[{'.'.join(path[:-1]) or path[0]}]\n{path[-1]} = {said}"
        )
    if dice.random() < 0.1:
        lines.insert(dice.randrange(len(lines) + 1), dice.choice(BROKEN))
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    if dice.random() < 0.05 and data:
        at = dice.randrange(len(data))
        data = data[:at] + bytes([dice.randrange(256)]) + data[at + dice.randrange(3) :]
    return data


def words_given(dice: random.Random) -> dict[str, Any]:
    """Choose flags, guests and variables."""
    given: dict[str, Any] = {"environ": {}}
    for name in ("VNET_LAB", "VNET_HOST_IP", "XDG_CONFIG_HOME", "HOME", "VNET_FILE"):
        if dice.random() < 0.05:
            given["environ"][name] = nasty(dice).replace("\0", "")
    for name in ("lab", "host_ip"):
        if dice.random() < 0.05:
            given[name] = nasty(dice)
    if dice.random() < 0.1:
        given["guests"] = [nasty(dice) for _ in range(dice.randrange(3))]
    return given


def check_commands(loaded: settings.Settings) -> None:
    """Plan what the settings ask for, and hold each word of each command, and each line of each file, to what is safe."""
    host, networks = loaded.host, loaded.networks
    gateway = Gateway(1000, 1000, "sudo", host.interface, host.ip, networks.bridges, networks.mtu, host.iptables)
    lab = Lab(loaded.name, 1, None, gateway, networks.guests, networks.mtu, loaded.guests)
    gateway.check()
    lab.check()
    steps = (HostStep(gateway, closes=True), HostStep(gateway._replace(way="userns"), closes=True, folder=True), GatewayStep(gateway),
             BridgeStep(lab), GuestsStep(lab, tuple(guest.name for guest in lab.guests)))  # fmt: skip
    for step in steps:
        safe(step.up())
        safe(step.down())
    for line in texts.hosts(lab, "").splitlines():
        assert re.fullmatch(r"[0-9.]+\t[A-Za-z0-9_.-]+|", line), line
    assert all(len(line.split()) == 3 for line in texts.nodes(lab).splitlines()[2:])


def safe(stages: Stages) -> None:
    """Hold commands to characters that no shell, batch or file of rules takes for anything."""
    for action in (action for stage in stages for script in stage for action in script):
        if isinstance(action, Write):
            assert WORD.fullmatch(action.key), action
            assert ".." not in action.key, action
        else:
            assert all(map(WORD.fullmatch, action.argv)), action
            assert isinstance(action, Maker) or all(map(RULE.fullmatch, action.stdin.splitlines())), action
            assert not isinstance(action, Command) or not action.netns or WORD.fullmatch(action.netns), action


def one(dice: random.Random, root: Path) -> bool:
    """Try one case; tells whether it was accepted."""
    (root / "vnet.toml").write_bytes(document(dice))
    given = words_given(dice)
    try:
        loaded = settings.load(**{"cwd": str(root), "home": str(root / "home"), **given})
    except SettingsError as error:
        assert error.mistakes
        assert all(line and line.isprintable() and len(line) < 1000 for line in error.mistakes), error.mistakes
        return False
    check_commands(loaded)
    return True


def main(cases: int, seed: int = 1, first: int = 0) -> None:
    """Run so many cases of a seed, beginning with one of them, in a folder in memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        files.SYSTEM = f"{folder}/none"
        one(random.Random(0), Path(folder))  # noqa: S311  # imports what it needs
        watch = Watch()
        started, accepted = time.monotonic(), 0
        for case in range(first, first + cases):
            dice = random.Random(f"{seed}.{case}")  # noqa: S311
            watch.on = True
            try:
                accepted += one(dice, Path(folder))
            except BaseException:
                watch.on = False
                print(f"case {case} of seed {seed}: {(Path(folder) / 'vnet.toml').read_bytes()!r}", file=sys.stderr)
                raise
            watch.on = False
            if not (case + 1) % 100_000:
                print(f"{case + 1 - first} cases, {accepted} accepted", file=sys.stderr, flush=True)
        took_s = time.monotonic() - started
    print(f"{cases} cases, {accepted} accepted, {watch.started} commands started, {took_s:.0f} s")
    assert not watch.started


class Watch:
    """Raises where something is started, written or called meanwhile (sys.addaudithook)."""

    def __init__(self) -> None:
        self.on, self.started = False, 0
        sys.addaudithook(self.hear)

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        """Hear an event."""
        if self.on and (event.startswith(FORBIDDEN) or (event == "open" and _writes(args))):
            self.started += 1
            raise AssertionError(f"{event} {args!r:.200}")


def _writes(args: tuple[Any, ...]) -> bool:
    """Tell whether a file is opened for writing; the generator's own is no matter."""
    path, mode, flags = args
    writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else False
    return (writes or any(sign in (mode or "") for sign in "wax+")) and not str(path).endswith("vnet.toml")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
