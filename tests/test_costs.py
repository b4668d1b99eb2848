"""What each command costs, in numbers that no noise can change: processes started, and modules imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from conftest import need_root
from machine import INSIDE, Machine

SIZES = (1, 10, 100)
PROCESSES: dict[str, Callable[[int], int]] = {
    "first up": lambda guests: 27 + guests,
    "up": lambda guests: 8 + guests + max(min(3, guests), -(-guests // 16)),
    "no-op up": lambda guests: 4,
    "partition": lambda guests: 5,
    "no-op partition": lambda guests: 4,
    "heal": lambda guests: 8,
    "status": lambda guests: 0,
    "exec": lambda guests: 0,
    "down": lambda guests: 4,
}
"""How many processes a command may start, itself not counted, for a lab of so many guests."""
WORDS = {
    "partition": ("partition", "isolate", "g1"), "no-op partition": ("partition", "isolate", "g1"),
    "heal": ("partition", "fullmesh"), "exec": ("exec", "g1", "--", "true"), "no-op up": ("up",), "first up": ("up",),
}  # fmt: skip
"""The words of each command that is not its own name."""
NEVER = {"sh", "pluggy", "asyncio", "subprocess", "logging", "inspect", "pathlib", "tempfile", "threading", "multiprocessing",
         "urllib", "http", "email", "xml", "unittest", "jsonschema", "dataclasses", "ast", "random"}  # fmt: skip
"""What takes long to import and what no command needs once the gateway stands and there is no hook."""
NEVER_IN_EXEC = NEVER | {"argparse", "json", "ipaddress", "toml", "tomllib", "socket", "shutil", "datetime", "decimal",
                         "signal", "selectors", "locale", "gettext"}  # fmt: skip
"""vnet-exec stands in front of each command of a user."""
EXEC_OWN = {
    "vnet",
    "vnet.errors",
    "vnet.exec",
    "vnet.kernel",
    "vnet.kernel.marks",
    "vnet.kernel.namespace",
    "vnet.nodes",
    "vnet.project",
}
"""What of vnet it may import."""
SETTINGS = {"vnet.config.settings", "toml", "tomllib"}
"""What only vnet-up needs."""


@pytest.fixture(scope="module")
def standing() -> Iterator[Machine]:
    """Give a machine that the module shares, with a project folder of root's."""
    need_root()
    with Machine(sudo=False) as machine:
        machine.run("mkdir", "project")
        yield machine


def settings(machine: Machine, guests: int) -> None:
    """Write settings."""
    machine.write("/root/project/vnet.toml", "".join(f"[guests.g{number}]\n" for number in range(1, guests + 1)))


def vnet(machine: Machine, command: str, *before: str) -> str:
    """Run a command behind a tool that watches it; what that tool said."""
    verb, *words = WORDS.get(command, (command,))
    return machine.run(*before, f"{INSIDE}/bin/vnet-{verb}", *words, cwd="/root/project").stderr


def processes(machine: Machine, command: str) -> int:
    """Count the processes that a command starts: what it forks, with or without a program in it, and threads not."""
    calls = "clone,clone3,fork,vfork"
    watch = ("strace", "-f", "-qq", "--seccomp-bpf", "-o", "/run/trace", "-e", f"trace={calls}", "-e", "signal=none")
    vnet(machine, command, *watch)
    trace = machine.run("cat", "/run/trace").stdout
    begun = [line for line in trace.splitlines() if re.search(r"^\d+ +(clone3?|v?fork)\(", line)]
    return sum("CLONE_THREAD" not in line and "= -1 " not in line for line in begun)


def test_processes(standing: Machine) -> None:
    """Each command starts as many processes as PROCESSES says at most, for 1, 10 and 100 guests."""
    settings(standing, 1)
    counted = {("first up", 1): processes(standing, "first up")}
    vnet(standing, "down")
    order = ("up", "no-op up", "partition", "no-op partition", "heal", "status", "exec", "down")
    for guests in SIZES:
        settings(standing, guests)
        counted |= {(command, guests): processes(standing, command) for command in order}
    assert {command for command, _ in counted} == {*PROCESSES}
    too_many = {key: found for key, found in counted.items() if found > PROCESSES[key[0]](key[1])}
    assert not too_many, {key: f"{found}, not {PROCESSES[key[0]](key[1])}" for key, found in too_many.items()}
    assert counted["up", 1] > 1, "strace saw nothing"


def imports(stderr: str) -> set[str]:
    """Read what `-X importtime` wrote: the names of modules."""
    return {line.rpartition("|")[2].strip() for line in stderr.splitlines() if line.startswith("import time:")}


def test_commands_import_only_what_they_need(standing: Machine) -> None:
    """Each command, once the gateway stands, does without the modules that are slow to import; workers included."""
    watch = ("python3", "-X", "importtime")
    bare = imports(standing.run(*watch, "-c", "pass").stderr)
    settings(standing, 2)
    vnet(standing, "up")
    vnet(standing, "down")
    wrong = {}
    for command in ("up", "no-op up", "partition", "status", "exec", "heal", "down"):
        found = imports(vnet(standing, command, *watch)) - bare
        assert any(name.startswith("vnet.") for name in found), "-X importtime said nothing"
        never = NEVER_IN_EXEC if command == "exec" else NEVER
        never = never if command in ("up", "no-op up", "down") else never | SETTINGS
        bad = {name for name in found if name in never or name.partition(".")[0] in never}
        own = {name for name in found if name.partition(".")[0] == "vnet"}
        wrong[command] = bad | (own - EXEC_OWN if command == "exec" else set())
    assert not any(wrong.values()), {command: sorted(names) for command, names in wrong.items() if names}
