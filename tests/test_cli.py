"""What all verbs take, `vnet VERB`, and an installation by pip."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Box
from lab_world import SHOP, same_host, standing
from machine import Machine
from snapshot import assert_same
from terminal import Terminal

from vnet import __version__
from vnet.cli import VERBS

BIN = Path(__file__).resolve().parent.parent / "bin"
#: Verbs that need a lab, with words that show something and change nothing.
LOOKING = {
    "up": ("--json",), "down": ("--dry-run",), "partition": ("show",), "status": (), "exec": ("web", "hostname")
}  # fmt: skip
#: Ends by KILL alone.
DEAF = "trap '' TERM; echo ready; while :; do sleep 1; done"
INSTALL = """
mkdir source && cp -r /opt/vnet/vnet /opt/vnet/share /opt/vnet/pyproject.toml /opt/vnet/README.md source
python3 -m venv --without-pip ~/env
echo /opt/vnet/.venv/lib/python3*/site-packages >$(echo ~/env/lib/python3*/site-packages)/dependencies.pth
~/env/bin/python -m pip install -q --no-index --no-build-isolation --no-deps --disable-pip-version-check ./source
rm -r source
"""

TEST = """
import pytest, vnet
@pytest.mark.vnet(guests=["a"])
def test_it(lab):
    assert "/env/lib/" in vnet.__file__
    with lab.partition("isolate", "a"):
        assert lab.guest("a").exec("hostname").stdout == "a\\n"
"""


@pytest.mark.parametrize("verb", VERBS)
def test_one_program_under_two_names(verb: str) -> None:
    """`vnet VERB` is `vnet-VERB`, help and version included."""
    for word in ("--help", "--version"):
        both = [
            subprocess.run([sys.executable, *argv, word], capture_output=True, text=True, check=True)
            for argv in ((BIN / "vnet", verb), (BIN / f"vnet-{verb}",))
        ]
        assert both[0].stdout == both[1].stdout
        assert (both[0].stdout == f"vnet {__version__}\n") == (word == "--version")
        assert f"usage: vnet-{verb} " in both[0].stdout or word == "--version"
    words = ("--no-such-option", *(("fullmesh",) if verb == "partition" else ()))
    done = subprocess.run([sys.executable, BIN / f"vnet-{verb}", *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--no-such-option" in done.stderr


#: Where a verb's output goes, the exit status then, and what is said of it.
NOWHERE = [
    ("/dev/full", 1, "vnet: it is done, but its output could not be written: No space left on device\n"),
    ("closed", 0, ""),
    ("a pipe that nobody reads", 141, ""),
]


@pytest.mark.parametrize(("where", "status", "said"), NOWHERE)
@pytest.mark.parametrize("argv", [("vnet", "--help"), ("vnet-status", "--json")])
def test_output_that_goes_nowhere(argv: tuple[str, ...], where: str, status: int, said: str) -> None:
    """One line where there is something to be done about it, and no traceback."""
    full = os.open("/dev/full", os.O_WRONLY)
    read, pipe = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, BIN / argv[0], *argv[1:]], stdout=pipe if where.startswith("a pipe") else full, text=True,
        stderr=subprocess.PIPE, preexec_fn=(lambda: os.close(1)) if where == "closed" else None,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    os.close(full)
    os.close(pipe)
    assert (done.returncode, done.stderr) == (status, said)


def test_vnet_alone_lists_the_verbs() -> None:
    """To stdout where asked for, else to stderr with status 2."""
    for words, status in (((), 2), (("--help",), 0), (("upp",), 2)):
        done = subprocess.run([sys.executable, BIN / "vnet", *words], capture_output=True, text=True)
        assert done.returncode == status
        assert re.findall(r"^  (\w+) ", done.stderr if status else done.stdout, re.MULTILINE) == list(VERBS)
        assert not (done.stdout if status else done.stderr)


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_quiet_verbose_debug(box: Box) -> None:
    """-q leaves errors alone, -v shows each command before it runs, --debug adds a traceback; data goes to stdout."""
    with same_host(box):
        box.write("vnet.toml", SHOP)
        done = box.vnet("up", "-q")
        assert (done.stdout, done.stderr) == ("", "")
        for verb, words in LOOKING.items():
            one, two = box.vnet(verb, *words), box.run("/opt/vnet/bin/vnet", verb, *words)
            assert one.stdout == two.stdout, verb
            assert one.stdout
            assert re.sub("[0-9.]+ s$", "", one.stderr) == re.sub("[0-9.]+ s$", "", two.stderr), verb
        said = box.vnet("partition", "isolate", "web", "-v").stderr
        assert [line for line in said.splitlines() if line.startswith("[#] ") and "iptables-restore" in line]
        assert "vnet-partition: isolate: web\n" in box.run("/opt/vnet/bin/vnet", "partition", "isolate", "web").stderr
        assert box.vnet("partition", "-q", "fullmesh").stderr == ""
        assert "[#] " in box.vnet("down", "-v", "app").stderr
        for verb in ("status", "partition", "exec"):
            words = {"status": (), "partition": ("show",), "exec": ("web", "true")}[verb]
            done = box.vnet(verb, "-q", "-n", "none", *words, check=False)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
            assert done.stderr.startswith(f"vnet-{verb}: the lab none is not up")
            done = box.vnet(verb, "--debug", "-n", "none", *words, check=False)
            assert done.stderr.startswith("Traceback")
            assert "NotUpError: the lab none is not up" in done.stderr


@pytest.mark.parametrize("box", ["userns", "sudo"], indirect=True)
@pytest.mark.quick_in("userns")
def test_who_waits_at_a_terminal_is_told_why(box: Box) -> None:
    """A line on stderr while a program does not end, which is gone then; with -q (here where sudo is asked) there is none."""
    with standing(box, "[guests.a]\n"):
        deaf = box.popen("/opt/vnet/bin/vnet-exec", "a", "sh", "-c", DEAF, stdout=subprocess.PIPE)
        assert deaf.stdout
        assert deaf.stdout.readline() == "ready\n"
        terminal = Terminal(box)
        shown = terminal.run("vnet-down" + (" -q" if box.way == "sudo" else ""))
        terminal.close()
        assert deaf.wait(10) == -signal.SIGKILL
        lines = [line for line in re.split(r"\r|\033\[K", shown) if line]
        assert bool(lines) == (box.way == "userns"), shown
        told = r"vnet-down: taking project down: waiting for what runs in it to end, \d s"
        assert all(re.fullmatch(told, line) for line in lines), shown
        assert not lines or shown.endswith("\r\033[K")


@pytest.mark.parametrize("box", ["sudo"], indirect=True)
def test_installed_by_pip(box: Box) -> None:
    """Into a virtual environment: commands, the part under sudo, vnet's commands within nodes, and the pytest plugin."""
    box.run("sh", "-ec", INSTALL)
    for path in ("man/man1/vnet-up.1", "bash-completion/completions/vnet-up", "zsh/site-functions/_vnet"):
        box.run("test", "-s", f"/home/{box.user}/env/share/{path}")
    before = box.machine.snapshot()
    env = {"PATH": f"/home/{box.user}/env/bin:/usr/bin:/bin"}
    box.write("vnet.toml", SHOP)
    box.run("vnet", "up", env=env)
    script = "command -v vnet-exec; vnet-partition -q isolate web; vnet exec app hostname; id -u"
    for start in (("vnet-exec",), ("vnet", "exec")):
        found = box.run(*start, "web", "sh", "-c", script, env=env).stdout.split()
        assert found == [f"/home/{box.user}/env/bin/vnet-exec", "app", "3001"]
    assert "isolate" in box.run("vnet-status", env=env).stdout
    box.write("test_it.py", TEST)
    box.run("python", "-m", "pytest", "--vnet-required", "-p", "no:cacheprovider", env=env)
    box.run(f"/home/{box.user}/env/bin/vnet-down", "--all", "--gateway")
    assert_same(before, box.machine)


def test_without_its_packages(machine: Machine) -> None:
    """A checkout that was never set up, and a Python without the packages: a verb says which one it misses, and how to get it."""
    machine.run(
        "sh",
        "-ec",
        "mkdir /root/bare; cp -r /opt/vnet/bin /opt/vnet/vnet /root/bare; echo '[guests.a]' >/root/vnet.toml",
    )
    for verb in ("up", "run", "doctor"):
        done = machine.run("python3", "-S", f"/root/bare/bin/vnet-{verb}", cwd="/root", check=False)
        said = done.stderr + done.stdout
        assert ("Traceback" in said, done.returncode) == (False, 1), (verb, said)
        assert ("toml" in said, "make setup" in said or "pip install" in said) == (True, True), (verb, said)
