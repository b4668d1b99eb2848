"""vnet-run on simulated machines: from the beginning to the end, stopped, failed and killed."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Box, need_root
from inside import Process, wait_for
from lab_world import same_host
from machine import Machine

REPO = Path(__file__).resolve().parent.parent
#: db is ready late, web asks it and ends; what web finds out about itself is in its output.
SHOP = """
[guests.db]
command = "sh -c 'echo db is slow; sleep 0.3; exec python3 -I -S /opt/vnet/tests/talk.py serve tcp 8000 hello'"
ready = "tcp:8000"
[guests.idle]
[guests.web]
command = '''sh -c "
    cat; pwd; id -un; hostname; echo $VNET_LAB $VNET_NODE $VNET_IP; umask; echo 'not ''out' >&2
    python3 -I -S /opt/vnet/tests/talk.py ask tcp db 8000; vnet-partition show; exit 3
"'''
after = ["db"]
"""
#: Processes that want to stay: sessions of their own, orphans, and one that does not heed TERM.
STAYERS = """setsid -f sleep 7001; (sleep 7002 & setsid sleep 7003 &) ; (trap "" TERM INT HUP; sleep 7004) & exec sleep 7005"""
ALL = "sleep 700[1-5]"


@pytest.fixture
def one() -> Iterator[Box]:
    """Give one machine, where the way makes no difference."""
    need_root()
    with Machine() as fresh:
        fresh.run("mkdir", "project", user="alice")
        yield Box(fresh, "alice", "userns")


def guests(**commands: str) -> str:
    """Write settings with one guest for each command, a shell's."""
    return "".join(f"[guests.{name}]\ncommand = '''sh -c '{text}' '''\n" for name, text in commands.items())


def start(box: Box, toml: str, *args: str, **kwargs: object) -> Process:
    """Start vnet-run, with pipes for what it says."""
    box.write("vnet.toml", toml)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **kwargs}
    return box.popen("/opt/vnet/bin/vnet-run", *args, **pipes)


def pids(box: Box, pattern: str) -> list[str]:
    """List the processes whose whole command line is this."""
    return box.machine.run("pgrep", "-xf", pattern, check=False).stdout.split()


def labs(box: Box) -> int:
    """Count the labs."""
    return box.vnet("status", "--json").stdout.count('"bridge"')


@contextmanager
def stayers(box: Box, *args: str) -> Iterator[Process]:
    """Run processes that want to stay, in two guests, and assert that none does at the end."""
    process = start(box, guests(a=STAYERS, b=STAYERS), *args)
    wait_for(lambda: len(pids(box, ALL)) == 10, "all processes to run", 20)
    yield process
    wait_for(lambda: not pids(box, ALL), "no process to be left", 10)


def keeper(box: Box) -> str:
    """Find the keeper: the parent of the commands."""
    return box.machine.run("ps", "-o", "ppid=", pids(box, "sleep 7005")[0]).stdout.strip()


def test_from_the_beginning_to_the_end(box: Box) -> None:
    """The lab, the order, names in front, folder, user, environment, logs, exit status; and all of it is gone."""
    with same_host(box):
        box.write("vnet.toml", SHOP)
        done = box.vnet("run", "--logs", "log", check=False)
        assert done.returncode == 3, done
        lines = done.stdout.splitlines()
        db = [line.removeprefix("db  | ") for line in lines if line.startswith("db ")]
        assert db[0] == "db is slow"
        assert "ready" in db
        web = [line.removeprefix("web | ") for line in lines if line.startswith("web")]
        assert web[:5] == [box.project, box.user, "web", "project web 172.18.0.3", "0022"]
        assert web[5:7] == ["not out", "hello 172.18.0.3"], done
        assert web[7] == "no cut: everyone hears everyone", done
        assert "db: ready after" in done.stderr
        assert "vnet-run: web ended with status 3: stopping the others" in done.stderr
        assert box.run("cat", "log/db.log").stdout.splitlines() == db
        assert box.run("stat", "-c", "%U", "log/web.log").stdout.strip() == box.user
        assert labs(box) == 0


@pytest.mark.quick_in("userns")
def test_nothing_outlives_it(box: Box) -> None:
    """Killed, its keeper killed, and told to end: the lab at most stays, and can be run again; no process does."""
    with same_host(box):
        with stayers(box) as process:
            box.run("pkill", "-KILL", "-f", "bin/vnet-run")
            process.communicate(timeout=10)
        assert labs(box) == 1
        with stayers(box) as process:
            box.machine.run("pkill", "-KILL", "-xf", ".*sudo -n -- .* run", check=box.way == "sudo")  # it is not missed
            box.machine.run("kill", "-KILL", keeper(box))
            _, said = process.communicate(timeout=30)
            assert process.returncode == 1, said
            assert "keeps the guests' commands was ended from outside" in said
        with stayers(box, "--kill-after", "0.5") as process:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
            assert process.returncode == 128 + signal.SIGTERM, said
            assert "SIGTERM: stopping" in said
            assert "not ended 0.5 s after SIGTERM: killed" in said
        assert labs(box) == 0


def test_a_command_is_killed(one: Box) -> None:
    """Its status is 128 + 9, and what it had started ends with the others."""
    with stayers(one, "--kill-after", "0.5") as process:
        one.machine.run("kill", "-KILL", pids(one, "sleep 7005")[0])
        _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL, said
    assert "ended by SIGKILL: stopping the others" in said


def test_all_of_vnet_is_killed(one: Box) -> None:
    """In one moment: the kernel kills the commands, and vnet-down ends what they had started."""
    process = start(one, guests(a=STAYERS))
    wait_for(lambda: len(pids(one, ALL)) == 5, "all processes to run", 20)
    stopped = keeper(one)
    one.machine.run("kill", "-STOP", stopped)  # lest it sees vnet-run's end
    process.kill()
    one.machine.run("kill", "-KILL", stopped)
    process.communicate(timeout=10)
    wait_for(lambda: not pids(one, "sleep 7005"), "the command to be killed")
    assert len(pids(one, ALL)) == 4, "nobody was there to kill these"
    one.vnet("down")
    assert not pids(one, ALL)


def test_modes(one: Box) -> None:
    """The first that ends, ends the run; or all have to succeed, and none is started before its turn."""
    one.write("vnet.toml", guests(a="echo a; sleep 0.1", b="exec sleep 60"))
    assert one.vnet("run", timeout_s=20).stdout == "a | a\n"
    one.write(
        "vnet.toml", guests(a="sleep 0.3; echo first > made", b="cat made; exit") + 'after = ["a"]\nready = "true"'
    )
    one.machine.run("sed", "-i", '0,/^.guests.b/s//ready = "test -s made"\\n&/', f"{one.project}/vnet.toml")
    done = one.vnet("run", "--mode", "wait-all-successful", timeout_s=20)
    assert done.stdout == "b | first\n", done.stderr
    one.write("vnet.toml", guests(a="exit 5", b="exec sleep 60"))
    assert one.vnet("run", "--mode", "wait-all-successful", check=False, timeout_s=20).returncode == 5
    assert labs(one) == 0


def test_a_choice_leaves_the_other_guests_up(one: Box) -> None:
    """What is excluded is there to be worked in by hand."""
    toml = guests(a="echo a; ping -c1 -W5 b >/dev/null && echo b answers", b="echo b")
    one.write("vnet.toml", toml)
    assert one.vnet("run", "--exclude", "b").stdout == "a | a\na | b answers\n"
    done = one.vnet("run", "--only", "c", check=False)
    assert (done.returncode, done.stdout, labs(one)) == (2, "", 0)


def test_never_ready(one: Box) -> None:
    """It says what was tried, and what it said, and all is stopped."""
    toml = guests(a="exec sleep 60", b="exec sleep 60") + 'after = ["a"]\n'
    one.write("vnet.toml", toml)
    for ready, said in (("tcp:81", "(port 81): Connection refused; --ready-limit gives it longer\n"),
                        ("sh -c 'echo no such table; exit 4'", "table; exit 4): no such table")):  # fmt: skip
        one.write("vnet.toml", toml.replace("[guests.b]", f'ready = "{ready}"\n[guests.b]'))
        done = one.vnet("run", "--ready-limit", "1.2", check=False)
        assert done.returncode == 1
        assert "a: not ready after 1 s" in done.stderr
        assert said in done.stderr, done.stderr


def test_the_page_tells_the_truth(one: Box) -> None:
    """Its example prints what it says, times and dates aside."""
    page = (REPO / "docs/run.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    promised = re.search(r"^    \$ vnet-run\n((?:    .*\n)*)    \$ echo \$\?\n    0\n", page, re.MULTILINE)
    assert promised
    one.write("vnet.toml", toml)
    done = one.vnet("run", "-n", "shop")
    varies = re.compile(r"\[[^]]*:[^]]*\]|[\d.]+ s$|^    ", re.MULTILINE)
    assert sorted(varies.sub("", promised[1]).splitlines()) == sorted(
        varies.sub("", done.stderr[done.stderr.index("vnet-run: shop is up") :] + done.stdout).splitlines()
    )


def test_a_command_that_is_not_there(one: Box) -> None:
    """As vnet-exec: 127 and 126, in front of it the guest's name."""
    one.write("vnet.toml", '[guests.a]\ncommand = "./nowhere"\n')
    done = one.vnet("run", check=False)
    assert (done.returncode, done.stdout) == (127, "a | vnet-run: ./nowhere: command not found\n")


def test_on_a_terminal(one: Box) -> None:
    """Colours, parts of lines, Ctrl-C once and twice."""
    ours, theirs = pty.openpty()
    both = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    process = start(one, guests(a='trap "" INT TERM; printf "name: "; exec sleep 7001'), **both)
    os.close(theirs)
    said = bytearray()

    def hears(what: bytes) -> bool:
        said.extend(os.read(ours, 4096))
        return what in said

    wait_for(lambda: hears(b"\033[36ma |\033[0m name: \r\n"), "the part of a line, with colours")
    process.send_signal(signal.SIGINT)
    wait_for(lambda: hears(b"SIGINT: stopping; once more kills at once"), "word of the first Ctrl-C")
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(20)
    assert time.monotonic() - begun < 4, "it waited for what the second Ctrl-C was to kill"
    assert process.returncode == 130, said
    assert not pids(one, ALL)
    os.close(ours)


def test_nobody_reads(one: Box) -> None:
    """As a program that writes to a closed pipe: all ends, with SIGPIPE's status."""
    one.write("vnet.toml", guests(a="yes"))
    script = "/opt/vnet/bin/vnet-run | head -n2; echo ${PIPESTATUS[0]}"
    done = one.run("bash", "-c", script, timeout_s=30)
    assert done.stdout.split("\n")[:3] == ["a | y", "a | y", "141"]
    assert labs(one) == 0


def test_one_run_in_a_lab(one: Box) -> None:
    """A second one would take the lab away from under the first."""
    process = start(one, guests(a='trap "echo reopened" USR1; sleep 7001 & wait; wait'))
    wait_for(lambda: pids(one, ALL), "the command to run")
    process.send_signal(signal.SIGUSR1)  # to the command, not to what it started
    done = one.vnet("run", check=False)
    assert (done.returncode, len(pids(one, ALL)), labs(one)) == (1, 1, 1)
    assert "project: another vnet-run is at work in this lab" in done.stderr
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=20)[0] == "a | reopened\n"
    assert process.returncode == 129
