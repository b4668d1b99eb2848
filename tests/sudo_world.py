"""A machine on which eve may run vnet's part under sudo and nothing else, and words that she sends to it by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import Box
from lab_world import SHOP
from machine import INSIDE, REPO, Machine
from snapshot import assert_same

from vnet.codec import decode, encode
from vnet.host import HostStep
from vnet.model import Gateway

EVE = {
    "uid": 3003, "gid": 3003, "way": "sudo", "interface": "vnet2", "host_ip": "172.18.255.5",
    "bridges": "172.19.0.0/19", "mtu": 1500, "iptables": True,
}  # fmt: skip
ALICE = EVE | {
    "uid": 3001, "gid": 3001, "interface": "vnet", "host_ip": "172.18.255.1", "bridges": "172.18.192.0/19"
}  # fmt: skip


def rule(python: str) -> str:
    """Read the rule of sudoers(5) that docs/security.md gives, for eve and this Python."""
    page = (Path(REPO) / "docs/security.md").read_text().partition("```")[2].partition("```")[0]
    return page.replace("/usr/bin/python3", python).replace("/usr/lib/python3/dist-packages", INSIDE)


@contextmanager
def restricted(toml: str = SHOP) -> Iterator[Box]:
    """Give eve's box on a machine where alice's lab stands; what eve did must be gone at the end."""
    with Machine(userns=False) as machine:
        python = machine.run("python3", "-c", "import sys; print(sys.executable)").stdout.strip()
        machine.write("/etc/sudoers.d/eve", rule(python), mode=0o440)
        for user in ("alice", "eve"):
            machine.run("mkdir", "project", user=user)
        alice = Box(machine, "alice", "sudo")
        alice.write("vnet.toml", toml)
        alice.vnet("up")
        eve = Box(machine, "eve", "sudo")
        eve.run("sudo", "-n", "true", check=False)  # sudo remembers that she was there
        before = machine.snapshot()
        yield eve
        assert_same(before, machine)
        alice.vnet("down", "--all", "--gateway")


def program(box: Box, *words: str) -> list[str]:
    """Write how the part under sudo is started."""
    quick = ["-S"] if words and words[0].startswith("exec") else []
    python = box.machine.run("python3", "-c", "import sys; print(sys.executable)").stdout.strip()
    return ["sudo", "-n", "--", python, "-I", "-B", *quick, f"{INSIDE}/vnet/workers/root.py", *words]


def speak(box: Box, *requests: Any) -> list[dict[str, Any]]:
    """Send requests, as JSON or as they are, to one worker under sudo; gives its answers."""
    lines = (each if isinstance(each, str) else json.dumps(each) for each in requests)
    done = box.run(*program(box), input="".join(f"{line}\n" for line in lines))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(requests), done
    return answers


def step(name: str, way: str = "up", **fields: Any) -> dict[str, Any]:
    """Write a request for a step."""
    return {"way": way, "step": name, "fields": fields}


def host(way: str = "up", gateway: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Write a request for the host's step, of eve's gateway with some of its fields changed."""
    known = encode(HostStep(decode(Gateway, EVE), closes=True))
    return step("HostStep", way, **{**known, "gateway": EVE | (gateway or {}), **fields})


def lab(gateway: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Write a lab of eve's, with some fields changed."""
    guests = [{"name": "web", "ip": "172.18.0.1", "ports": [{"outside": 8000, "protocol": "tcp", "inside": 8000}]}]
    made = {"name": "trial", "number": 1, "file": None, "gateway": EVE | (gateway or {}), "network": "172.18.0.0/24"}
    return {**made, "mtu": 1500, "guests": guests, **fields}


def question(name: str, **fields: Any) -> dict[str, Any]:
    """Write a question."""
    return {"question": name, "fields": fields}
