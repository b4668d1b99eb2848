"""What README.md, the Makefile and examples/ tell users to type, on simulated machines, and interrupted there."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Box, need_root
from inside import Process, search_path
from lab_world import same_host
from machine import Completed
from snapshot import assert_same

REPO = Path(__file__).resolve().parent.parent
PATH = {"PATH": f"/opt/vnet/bin:{search_path()}"}
#: When a run of the shop is interrupted: what to look for on the machine.
MOMENTS = {
    "the gateway is being made": "test -e /run/vnet/*/gateway.json",
    "the lab is being made": "test -e /run/vnet/*/labs/shop/record.json",
    "the app starts": "pgrep -xf 'python3 app.py'",
    "the page is fetched": "pgrep -xf 'curl -fsS http://nginx/from-a-guest'",
}
#: An app that never answers.
SILENT = "import socket, time\ns = socket.create_server(('', 8000))\ntime.sleep(99)\n"


def snippet(language: str) -> str:
    """Take the one snippet of a language out of README.md."""
    page = (REPO / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return str(text)


def promised(page: str) -> list[str]:
    """Take the lines that a run is said to print, which begin with vnet-up's, out of a page."""
    text = (REPO / page).read_text(encoding="utf-8")
    (block,) = re.findall(r"^    vnet-up: .*\n(?:    .*\n)*", text, re.MULTILINE)
    return [steady(line.strip()) for line in block.splitlines()]


def printed(done: Completed) -> list[str]:
    """List the lines that a run has printed."""
    return [steady(line) for line in (*done.stderr.splitlines(), *done.stdout.splitlines())]


def steady(line: str) -> str:
    """Leave out how long it took."""
    return re.sub(r"[\d.]+ ?(m?s)$", r"N \1", line)


def labs(box: Box) -> int:
    """Count the labs."""
    return box.vnet("status", "--json").stdout.count('"bridge"')


def shop(box: Box) -> str:
    """Copy the example to the project's folder, and give its place."""
    box.run("cp", "-r", "/opt/vnet/examples/shop", ".")
    return f"{box.project}/shop"


@pytest.mark.quick_in("root", "userns")
def test_the_shop_serves_its_page(box: Box) -> None:
    """To a client guest by nginx's name, and to the host by a forwarded port, as its page says; then all is as before."""
    with same_host(box):
        found = printed(box.run("make", cwd=shop(box), env=PATH))
        assert [line for line in found if line in promised("examples/shop/README.md")] == promised(
            "examples/shop/README.md"
        )
        assert labs(box) == 0


@pytest.mark.long
@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_a_flaky_network_is_measured(box: Box) -> None:
    """`make` prints the table that the example's page shows; the nemesis in the bridge does make errors, for each connection."""
    with same_host(box):
        box.run("cp", "-r", "/opt/vnet/examples/flaky-network", ".")
        done = box.run("make", "DURATION=3", cwd=f"{box.project}/flaky-network", env=PATH)
        up, head, *rows = promised("examples/flaky-network/README.md")
        found = printed(done)[-4:]
        assert found[:2] == [up, head], printed(done)
        form = re.compile(r"(\w+) +[\d.]+ ms +[\d.]+ ms +[\d.]+ ms +(\d+) +(\d+)")
        assert all(map(form.fullmatch, rows))
        good, flaky = (form.fullmatch(line) for line in found[2:])
        assert good, found
        assert flaky, found
        assert (good[1], flaky[1]) == ("good", "flaky")
        assert int(good[2]) > int(flaky[2]) > 0, found
        assert int(flaky[3]) >= max(8, int(good[3])), found
        assert labs(box) == 0


def interrupted(box: Box, moment: str, *argv: str, **kwargs: Any) -> Process:
    """Start the shop with an app that never answers, and wait for a moment in its life."""
    box.run("rm", "-rf", "shop")
    folder = shop(box)
    box.write("shop/app.py", SILENT)
    nowhere = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
    make = box.popen(*argv, cwd=folder, env=PATH, **nowhere, **kwargs)
    looks = box.machine.popen("sh", "-c", f"until {MOMENTS[moment]}; do sleep 0.001; done", **nowhere)
    assert looks.wait(20) == 0, moment
    return make


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_a_shop_that_is_terminated_is_taken_down(box: Box) -> None:
    """`make` gets TERM, alone, at one moment or another: the trap of its recipe takes the lab away before it ends."""
    before = box.machine.snapshot()
    for moment in MOMENTS:
        make = interrupted(box, moment, "make")
        make.terminate()
        assert make.wait(20) != 0, moment
        assert labs(box) == 0, moment
        box.vnet("down", "--all", "--gateway")
        assert_same(before, box.machine)


@pytest.mark.parametrize("box", ["userns", "sudo"], indirect=True)
@pytest.mark.quick_in("userns")
def test_a_shop_that_is_stopped_at_the_keyboard_is_taken_down(box: Box) -> None:
    """Ctrl-C at a terminal, while a command runs in a guest."""
    with same_host(box):
        make = interrupted(box, "the page is fetched", "script", "-qec", "make", "/dev/null", stdin=subprocess.PIPE)
        make.stdin.write("\x03")
        make.stdin.flush()
        assert make.wait(20) != 0
        assert labs(box) == 0


@pytest.mark.parametrize("box", ["root", "userns"], indirect=True)
def test_the_readmes_own_makefile(box: Box) -> None:
    """Its vnet.toml and Makefile as they stand there print what it says; the lab also goes when the command fails."""
    with same_host(box):
        box.write("vnet.toml", snippet("toml"))
        box.write("Makefile", snippet("make"))
        found = printed(box.run("make", env=PATH))
        assert [line for line in found if line in promised("README.md")] == promised("README.md")
        assert labs(box) == 0
        box.write("Makefile", snippet("make").replace("ping -c 1 server", "ping -c 1 -W 0.2 172.18.0.77"))
        assert box.run("make", env=PATH, check=False).returncode == 2
        assert labs(box) == 0


@pytest.mark.quick_in("userns")
def test_eight_projects_at_once(box: Box) -> None:
    """`make -j8` over eight projects, from a machine where nothing is up: each has the README's Makefile, and its own lab."""
    names = [f"project-{number}" for number in range(1, 9)]
    with same_host(box):
        for port, name in enumerate(names, start=8000):  # a forwarded port is one lab's
            box.run("mkdir", name)
            box.write(f"{name}/vnet.toml", snippet("toml").replace("8000 =", f"{port} ="))
            box.write(f"{name}/Makefile", snippet("make"))
        all_ = " ".join(names)
        box.write("Makefile", f".PHONY: all {all_}\nall: {all_}\n{all_}:\n\t@$(MAKE) -C $@\n")
        done = box.run("make", "-j8", "--output-sync=target", env=PATH)
        for name in names:
            assert len(re.findall(rf"^vnet-up: {name} is up: 2 guests", done.stderr, re.MULTILINE)) == 1, done.stderr
        assert done.stdout.count("1 received, 0% packet loss") == len(names)
        assert labs(box) == 0


@pytest.mark.parametrize("box", ["root", "userns"], indirect=True)
def test_make_up_and_make_down(box: Box) -> None:
    """In a checkout whose tools are installed: the example settings are brought up and shown, and all goes again."""
    copy = "cp -r /opt/vnet vnet; mkdir -p vnet/.venv; cd vnet/.venv; ln -sfn /opt/vnet/.venv/lib lib; touch .run"
    box.run("sh", "-c", copy)
    checkout = f"{box.project}/vnet"
    before = box.machine.snapshot()
    shown = box.run("make", "up", cwd=checkout).stdout
    words = ("shop", "nginx", "172.18.0.1", "flask", "172.18.0.2", "172.18.255.1", "8000")
    assert [word for word in words if word not in shown] == []
    box.run("make", "down", cwd=checkout)
    assert_same(before, box.machine)
    targets = re.findall(r"^([a-z-]+):.*## ", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [line.split()[0] for line in box.run("make", cwd=checkout).stdout.splitlines()] == targets


def until(shell: Process, mark: str, timeout_s: float = 20) -> str:
    """Read what a shell says until there is a mark in it."""
    said, deadline = b"", time.monotonic() + timeout_s
    while mark.encode() not in said:
        ready, _, _ = select.select([shell.stdout], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"waited {timeout_s:g} s in vain for {mark!r}, it said {said!r}"
        more = os.read(shell.stdout.fileno(), 4096)
        assert more, f"the shell ended, it said {said!r}"
        said += more
    return said.decode().replace("\r", "")


@pytest.mark.parametrize(
    ("options", "user"), [((), "root"), (("--user", "--no-userns"), "alice")], ids=["root", "alice"]
)
def test_make_shell(options: tuple[str, ...], user: str) -> None:
    """The recipe's program gives a shell at a terminal, in which vnet works; all of it ends with `exit`."""
    need_root()
    recipe = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/.dev", "shell"],
        cwd=REPO, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert recipe.stdout.splitlines()[-1] == ".venv/bin/python tests/shell.py"
    argv = ["script", "-qec", " ".join((sys.executable, "tests/shell.py", *options)), "/dev/null"]
    with Process(argv, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as shell:
        try:
            until(
                shell, ":~# " if user == "root" else ":~$ "
            )  # what is typed earlier is lost when the terminal is set up
            shell.stdin.write(
                b"tty -s && vnet-up -n trial a b && vnet-exec -n trial a ping -qc1 b; id -un; echo do''ne\n"
            )
            said = until(shell, "\ndone\r")
            shell.stdin.write(b"exit 7\n")
            assert shell.wait(20) == 7
        finally:
            shell.kill()
    for text in ("trial is up: 2 guests", "1 received", f"\n{user}\n"):
        assert text in said
