"""The three hooks in `hooks/`, each on a real lab. A test in test_hooks_shipped.py sees to it that none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Box, wait_for
from hook_lab import GUESTS, TIMELINE, project
from lab_world import APP, WEB, end, inside, pings, same_host, serve
from snapshot import assert_same

HOOKS = Path(__file__).resolve().parent.parent / "hooks"
#: Stops vnet-up where it stands.
STOP = """\
import pathlib, time, vnet

@vnet.hookimpl
def vnet_before_guest_up():
    pathlib.Path("here").touch()
    time.sleep(99)
"""


def shipped(name: str) -> str:
    """Read one of them: a copy in the project is the caller's, as the repository need not be."""
    return (HOOKS / f"{name}.py").read_text(encoding="utf-8")


def packets(box: Box, name: str, *words: str) -> list[str]:
    """Read a capture with tcpdump, without the times."""
    argv = ("tcpdump", "-Z", "root", "-ttnn", "-r", f"{box.project}/{name}", *words)
    return [line.split(" ", 1)[1] for line in box.machine.run(*argv).stdout.splitlines()]


@pytest.mark.quick_in("userns")
def test_capture_on_a_lab(box: Box) -> None:
    """A ping between guests is in the file, once; what ends the lab ends the recorder, after a killed vnet-up too."""
    between = ("icmp", "and", "host", APP, "and", "host", WEB)
    with same_host(box) as before:
        project(box, capture=shipped("capture"), stop=STOP)
        up = box.popen("/opt/vnet/bin/vnet-up")
        wait_for(lambda: box.run("test", "-e", "here", check=False).returncode == 0, "the hook to be reached")
        recorder = int(box.run("cat", ".project.capture.pid").stdout.split()[0])
        up.kill()
        up.wait(10)
        assert box.machine.run("kill", "-0", str(recorder), check=False).returncode == 0
        box.vnet("down")
        assert box.machine.run("kill", "-0", str(recorder), check=False).returncode == 1
        box.run("rm", "hooks/stop.py")
        box.vnet("up")
        assert pings(box, "app", WEB) == []
        wait_for(lambda: len(packets(box, "project.pcap", *between)) == 2, "both to be in the file of a running lab")
        box.vnet("partition", "isolate", "app")
        assert pings(box, "app", WEB) == [WEB]
        box.vnet("down")
        echoes = [re.sub(r"id \d+", "id N", line) for line in packets(box, "project.pcap", *between)]
        ping = [f"IP {one} > {two}: ICMP echo {kind}, id N, seq 1, length 64" for one, two, kind in
                ((APP, WEB, "request"), (WEB, APP, "reply"))]  # fmt: skip
        assert echoes == [*ping, ping[0]], "also what a cut drops"
        assert {path for path in box.run("ls", "-A").stdout.split() if "capture" in path} == set()
        box.vnet("down", "--gateway")
        assert_same(before, box.machine)


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_steplog_on_a_lab(box: Box) -> None:
    """A line a step with its time, and the seconds that it took; also from inside a guest."""
    with same_host(box):
        project(box, steplog=shipped("steplog"))
        box.vnet("up")
        box.vnet("partition", "isolate", "app")
        inside(box, "app", "vnet-partition", "fullmesh")
        box.vnet("down", "--all", "--gateway")
        log = box.run("cat", f"{box.project}/../.local/state/vnet/steps.log").stdout.splitlines()
    assert [re.sub(r" seconds=\d+\.\d{3}$", " N", line.split(" ", 1)[1]) for line in log] == [
        step_line(hook, words) for hook, words, _ in TIMELINE
    ]
    times = [line.split(" ", 1)[0] for line in log]
    assert times == sorted(times)
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", time) for time in times)


def step_line(hook: str, words: str) -> str:
    """Write a line of the log as the timeline has it."""
    more = words.split()[1:]
    what = "".join(f" cut={word}" if "partition" in hook else f" guest={word}" for word in more)
    return f"{hook} lab=project{what}" + (" N" if "_after_" in hook else "")


@pytest.mark.parametrize("box", ["root"], indirect=True)
def test_etc_hosts_on_a_lab(box: Box) -> None:
    """The host reaches a guest with a port by name; afterwards the file is what it was, byte by byte."""
    toml = "[guests.web]\nports = { 8000 = 8000 }\n[guests.app]\n"
    box.machine.run("sh", "-c", r"printf '# the last line is not ended\n192.0.2.7\tx' >>/etc/hosts")
    old = box.run("cat", "/etc/hosts").stdout
    with same_host(box):
        project(box, toml, etc_hosts=shipped("etc_hosts"))
        box.vnet("up")
        server = serve(box, "web", "tcp", 8000)
        assert box.run("getent", "hosts", "web").stdout.split() == ["172.18.255.2", "web"]
        assert box.run("python3", "/opt/vnet/tests/talk.py", "ask", "tcp", "web", "8000").stdout.startswith("web ")
        assert box.run("getent", "hosts", "app", check=False).stdout == ""
        project(box, GUESTS)
        box.vnet("down", "web")
        assert box.run("cat", "/etc/hosts").stdout == old
        end(server)
        project(box, toml)
        box.vnet("up")
        assert "172.18.255.2 web" in box.run("cat", "/etc/hosts").stdout
        box.vnet("down")
        assert box.run("cat", "/etc/hosts").stdout == old


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_etc_hosts_of_one_who_may_not_write_it(box: Box) -> None:
    """He is told, and has no lab; with a file of his own it works."""
    with same_host(box):
        project(box, "[guests.web]\nports = { 8000 = 8000 }\n", etc_hosts=shipped("etc_hosts"))
        done = box.vnet("up", check=False)
        assert done.returncode == 1
        assert "vnet_after_guest_up in lab project: PermissionError: /etc/hosts: you may not write it" in done.stderr
        assert inside(box, "web", "true", check=False).returncode == 3
        box.write("hosts", "")
        env = {"VNET_ETC_HOSTS": f"{box.project}/hosts"}
        box.vnet("up", env=env)
        assert "172.18.255.2 web\n" in box.run("cat", "hosts").stdout
        box.vnet("down", env=env)
        assert box.run("cat", "hosts").stdout == ""
