"""vnet-status: true in every state that a lab can be in, for people and for programs."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import Box, wait_for
from lab_world import SHOP, as_root, end, same_host, standing
from terminal import Terminal

SCHEMA = json.loads(
    Path(__file__).parent.parent.joinpath("vnet/picture/status.schema.json").read_text(encoding="utf-8")
)
EXEC = "/opt/vnet/bin/vnet-exec"
#: Waits in the middle of making a lab, until told to go on.
HOLD = """
import os, time, vnet
@vnet.hookimpl
def vnet_before_guest_up(lab, guest):
    open(lab.file.replace("vnet.toml", "held"), "w").close()
    while not os.path.exists(lab.file.replace("vnet.toml", "go")):
        time.sleep(0.01)
"""
only_userns = pytest.mark.parametrize("box", ["userns"], indirect=True)


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a schema refuse what it does not name: readers have to take more keys, but the writer has none to add."""
    made = copy.deepcopy(schema)

    def visit(part: Any) -> None:
        if isinstance(part, dict):
            if "properties" in part:
                part["additionalProperties"] = False
            for each in part.values():
                visit(each)

    visit(made)
    return made


def status(box: Box, *args: str) -> dict[str, Any]:
    """Read `vnet-status --json`, held against the schema."""
    data: dict[str, Any] = json.loads(box.vnet("status", "--json", *args).stdout)
    jsonschema.validate(data, strict(SCHEMA), format_checker=jsonschema.FormatChecker())
    return data


def states(lab: dict[str, Any]) -> dict[str, str]:
    """Map bridge and guests of a lab to their states."""
    return {"bridge": lab["bridge"]["state"], **{guest["name"]: guest["state"] for guest in lab["guests"]}}


@pytest.mark.parametrize("box", ["userns", "sudo"], indirect=True)
def test_every_state_of_a_lab(box: Box) -> None:
    """Nothing, labs, processes, ports, cuts, what was taken away, the gateway alone; each as JSON and as a tree."""
    with same_host(box):
        assert status(box) == {"schema": 1, "host": None, "gateway": {"ip": None, "up": False}, "labs": []}
        assert box.vnet("status").stdout == "nothing is up; vnet-up brings up a lab\n"
        box.write("vnet.toml", SHOP)
        made = json.loads(box.vnet("up", "--json").stdout)
        assert status(box) == made
        (lab,) = made["labs"]
        assert made["host"] == {"interface": "vnet", "ip": "172.18.255.1"}
        assert made["gateway"] == {"ip": "172.18.255.2", "up": True, "netns": "/run/netns/vnet", "pids": []}
        assert (lab["name"], lab["number"], lab["file"]) == ("project", 1, f"{box.project}/vnet.toml")
        assert [(guest["name"], guest["ip"], guest["ports"]) for guest in lab["guests"]] == [
            ("web", "172.18.0.1", {"8000": 8000, "5353/udp": 53}), ("app", "172.18.0.2", {}), ("db", "172.18.0.9", {})
        ]  # fmt: skip
        assert lab["cut"] is None
        running = [
            box.popen(EXEC, node, "sleep", "1000", stdout=subprocess.PIPE) for node in ("web", "bridge", "gateway")
        ]
        names = ("sleep",)
        wait_for(lambda: box.vnet("status").stdout.count("sleep (") == len(running), f"{names} in the tree")
        found = status(box)
        shown = [found["labs"][0]["guests"][0]["pids"], found["labs"][0]["bridge"]["pids"], found["gateway"]["pids"]]
        assert all(len(pids) == 1 for pids in shown), "vnet's own processes are not counted"
        assert [as_root(box, "gateway", "cat", f"/proc/{pids[0]}/comm").stdout for pids in shown] == ["sleep\n"] * 3
        end(*running)
        box.vnet("partition", "isolate", "web", "--for", "100")
        cut = status(box)["labs"][0]["cut"]
        assert (cut["kind"], cut["groups"], cut["counted"]) == ("isolate", [["web"]], box.way != "sudo")
        assert cut["deaf"] == {"web": ["app", "db"], "app": ["web"], "db": ["web"]}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", cut["until"])
        assert "cut isolate: web" in box.vnet("status").stdout
        probe = status(box, "--probe", "-n", "project")["labs"][0]["probe"]
        assert sorted(probe["not"]) == [["app", "web"], ["db", "web"], ["web", "app"], ["web", "db"]]
        assert len(probe["reached"]) == 8
        enter = ("nsenter", "--mount=/run/vnet/3001.ns/mnt", "--") if box.way == "userns" else ()
        box.machine.run(*enter, "umount", "--no-mtab", "/run/netns/vnet-x1x2")
        assert states(status(box)["labs"][0]) == {"bridge": "up", "web": "up", "app": "gone", "db": "up"}
        assert re.search(r"app +172.18.0.2  gone", box.vnet("status").stdout)
        box.vnet("down")
        assert status(box) == {**made, "labs": []}
        assert "no labs" in box.vnet("status").stdout
        done = box.vnet("status", "-n", "project", check=False)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("vnet-status: the lab project is not up; vnet-up brings it up")


@only_userns
def test_a_lab_that_is_just_being_made(box: Box) -> None:
    """It waits for no lock, and shows how far it is."""
    with same_host(box):
        box.write("vnet.toml", f'{SHOP}\n[hooks]\nload = ["hold.py"]\n')
        box.write("hold.py", HOLD)
        making = box.popen("/opt/vnet/bin/vnet-up")
        wait_for(lambda: box.run("test", "-e", "held", check=False).returncode == 0, "the hook")
        (lab,) = status(box)["labs"]
        assert states(lab) == {"bridge": "making", "web": "making", "app": "making", "db": "making"}
        assert box.vnet("status").stdout.count("making") == 4
        box.write("go", "")
        assert making.wait(20) == 0
        assert set(states(status(box)["labs"][0]).values()) == {"up"}


@only_userns
def test_on_a_terminal(box: Box) -> None:
    """It draws boxes and colours, fits the width, and with NO_COLOR has no colours; a pipe gets plain ASCII, whole."""
    with standing(box, "".join(f"[guests.node-{number}]\n" for number in range(1, 51))):
        box.vnet("partition", "halves", "--seed", "1")
        for columns in (80, 120):
            terminal = Terminal(box, (50, columns))
            text = terminal.run("vnet-status --probe")
            assert "└─ " in text
            assert "\033[" in text
            plain = terminal.run("NO_COLOR=1 vnet-status --probe")
            assert plain.splitlines()[-1] == re.sub(r"\033\[\d*m", "", text).splitlines()[-1]
            assert "\033" not in plain
            assert max(map(len, plain.splitlines())) <= columns
            assert len(plain.splitlines()) <= 45, "a lab of 50 guests fits on a screen"
            terminal.close()
        piped = box.vnet("status").stdout
        assert piped.isascii()
        assert "\033" not in piped
        assert all(f"node-{number} " in piped for number in range(1, 51))
