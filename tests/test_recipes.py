"""The recipes of docs/recipes.md, each run as it stands there, on simulated machines."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Box, wait_for
from inside import search_path
from lab_world import inside, same_host
from machine import Completed

REPO = Path(__file__).resolve().parent.parent
PATH = {"PATH": f"/opt/vnet/bin:{search_path()}"}
PAGE = (REPO / "docs/recipes.md").read_text(encoding="utf-8")
GUESTS = 'name = "shop"\n[guests.app]\n[guests.web]\n[guests.db]\n'
WHOLE = ["no cut: everyone hears everyone"]
CUT = ["isolate: app", "app: hears nobody", "web, db: hear nothing from app"]
#: podman for a machine without systemd or cgroups; its files are in the memory of the machine's /root.
PODMAN = {
    "CONTAINERS_CONF": """
[containers]
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "/root/containers/tmp"
""",
    "CONTAINERS_STORAGE_CONF": """
[storage]
driver = "overlay"
graphroot = "/root/containers/storage"
runroot = "/root/containers/run"
""",
}


class Block(NamedTuple):
    """A block of a recipe: a file's `name` and text, or commands (no name)."""

    name: str
    text: str


def recipe(heading: str) -> list[Block]:
    """Take the blocks out of a recipe; a file's name stands right before its block."""
    (body,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    found = re.findall(r"(?:`([\w./-]+)`:\n\n)?^```\w+\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)
    return [Block(*each) for each in found]


def prepared(box: Box, heading: str) -> list[str]:
    """Write a recipe's files into the project, and give its commands."""
    blocks = recipe(heading)
    for block in blocks:
        if block.name:
            box.write(block.name, block.text, mode=0o755 if block.text.startswith("#!") else 0o644)
    return [block.text for block in blocks if not block.name]


def bash(box: Box, script: str, timeout_s: float = 60, **env: str) -> Completed:
    """Run commands as a person would type them; the first that fails ends them."""
    return box.run("bash", "-euo", "pipefail", "-c", script, env={**PATH, **env}, timeout_s=timeout_s)


def fails(box: Box, script: str, **env: str) -> str:
    """Run commands that must fail; gives what they say."""
    done = box.run("bash", "-euo", "pipefail", "-c", script, env={**PATH, **env}, check=False)
    assert done.returncode != 0, done
    return done.stderr


def cut(box: Box) -> list[str]:
    """Tell the cut in force, without what it dropped."""
    return uncounted(box.vnet("partition", "-n", "shop", "show").stdout)


def uncounted(shown: str) -> list[str]:
    """Leave out what a cut has dropped: guests send packets of their own whenever they like."""
    return [line for line in shown.splitlines() if not line.startswith("dropped")]


def heal(box: Box) -> None:
    """End the cut."""
    box.vnet("partition", "-q", "-n", "shop", "fullmesh")


def test_every_recipe_is_run() -> None:
    """By a test that names its heading."""
    tests = "".join(path.read_text(encoding="utf-8") for path in (REPO / "tests").glob("test_*.py"))
    headings = [heading for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE) if recipe(heading)]
    assert headings
    assert [heading for heading in headings if f'"{heading}"' not in tests] == []


def rootfs(box: Box, then: str, **env: str) -> None:
    """Pack a root file system, and do something with it."""
    bash(box, f"python3 -I /opt/vnet/tests/rootfs.py root.tar; {then}; rm root.tar", **env)


@pytest.mark.quick_in("userns")
def test_a_root_of_its_own(box: Box) -> None:
    """In a chroot that has Python and iptables the cut is set and shown; it takes each of the mounts, and none is left."""
    box.machine.run("mkdir", "/run/mount")  # mount(8) has made it on any other machine
    with same_host(box):
        commands = prepared(box, "A root file system of its own")
        box.write("vnet.toml", GUESTS)
        rootfs(box, "mkdir root; tar -xf root.tar -C root")
        box.vnet("up")
        mounts = box.run("mount").stdout
        shown = bash(box, commands[0]).stdout
        assert shown.splitlines()[:3] == CUT
        assert "x1x3@" in shown, "the bridge's links"
        assert cut(box) == CUT
        assert box.run("mount").stdout == mounts
        heal(box)
        if box.way == "userns":
            for each in ("/proc", "/run/vnet", "/run/netns"):
                box.run("sh", "-c", f"sed 's, {each}, ,' in-root > less; chmod +x less; rm -rf root/opt root/run/*")
                assert "vnet-partition: " in fails(box, "vnet-exec --root app ./less root vnet-partition isolate app")
                assert cut(box) == WHOLE


@contextmanager
def containers(box: Box) -> Iterator[tuple[str, dict[str, str]]]:
    """Give the commands of podman's recipe and podman's settings, with its image and the lab at hand."""
    if box.run("sh", "-c", "command -v podman", check=False).returncode:
        pytest.skip("podman is not installed: apt-get install podman")
    box.run("mount", "-t", "tmpfs", "cgroup", "/sys/fs/cgroup")  # crun looks for one, and uses none
    box.run("mkdir", "/run/crun", "-m", "700")  # it leaves its folder
    env = {name: f"{box.project}/{name}" for name in PODMAN}
    for name, text in PODMAN.items():
        box.write(name, text)
    with same_host(box):
        rootfs(box, "podman import -q root.tar localhost/app", **env)
        (commands,) = prepared(box, "A podman container in a guest")
        box.write("vnet.toml", GUESTS)
        box.vnet("up")
        yield commands, env


@pytest.mark.long
@pytest.mark.parametrize("box", ["root"], indirect=True)
def test_a_podman_container(box: Box) -> None:
    """It cuts from within a container in the guest's network, where the guests' names are known as well."""
    with containers(box) as (commands, env):
        names = "container localhost/app python3 -c \"import socket; print(socket.gethostbyname('web'))\""
        assert uncounted(bash(box, f"{commands}{names}\n", **env).stdout) == [*CUT, "172.18.0.2"]
        assert cut(box) == CUT


@pytest.mark.long
@pytest.mark.parametrize("box", ["root"], indirect=True)
def test_a_podman_container_takes_all_that(box: Box) -> None:
    """Whatever of it is left out, the partition is refused, and nothing is cut."""
    with containers(box) as (commands, env):
        making = commands.partition("container localhost/app")[0]
        for one, words in (
            ("sys_admin,", "Operation not permitted"),
            (",net_admin", "Permission denied"),
            ("--security-opt unmask=/proc/sys", "Read-only file system"),
            ("--volume /run/vnet/0:/run/vnet/0", "is not up"),
            ("--volume /run/netns:/run/netns:ro", "No such file or directory"),
            ("--env VNET_LAB=shop", "no lab of / is up"),
        ):
            assert one in making
            less = f"{making.replace(one, '')}container localhost/app vnet-partition isolate app"
            assert words in fails(box, less, **env), one
            assert cut(box) == WHOLE


@pytest.mark.parametrize("box", ["root"], indirect=True)
def test_packets_are_recorded_in_the_bridge(box: Box) -> None:
    """By tcpdump, as root."""
    box.write("vnet.toml", GUESTS)
    box.vnet("up")
    capture, _ = prepared(box, "Record packets")
    with box.popen("bash", "-c", capture, env=PATH, stderr=subprocess.PIPE) as process:
        assert process.stderr
        assert "listening on bridge" in process.stderr.readline()
        inside(box, "web", "ping", "-qc1", "app")
        assert process.wait(10) == 0
    assert box.run("tcpdump", "-Z", "root", "-nr", "ping.pcap").stdout.count("172.18.0.1") == 2


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_packets_are_recorded_by_a_hook(box: Box) -> None:
    """From the birth of the lab to its end."""
    with same_host(box):
        _, commands = prepared(box, "Record packets")
        box.run("cp", "/opt/vnet/hooks/capture.py", ".")
        shown = bash(box, commands).stdout
        assert re.findall(r"IP (\S+) > (\S+): ICMP echo (request|reply)", shown) == [
            ("172.18.0.2", "172.18.0.1", "request"),
            ("172.18.0.1", "172.18.0.2", "reply"),
        ]


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_a_hook_sets_each_guest_up(box: Box) -> None:
    """The kernel's settings are those of the recipe in a guest, and as before on the machine."""
    with same_host(box):
        assert prepared(box, "Set a guest up") == []
        box.write("vnet.toml", f'{GUESTS}[hooks]\nload = ["hooks/*.py"]\n')
        box.vnet("up")
        keys = ("cat", "/proc/sys/net/ipv4/tcp_retries2", "/proc/sys/net/ipv4/tcp_syn_retries")
        assert inside(box, "db", *keys).stdout.split() == ["3", "2"]
        assert box.run(*keys).stdout.split() != ["3", "2"]


@contextmanager
def running(
    box: Box, heading: str, packages: str, programs: tuple[str, str], answers: Callable[[], bool]
) -> Iterator[str]:
    """Bring a recipe's members up by vnet-run; gives the recipe's commands once they answer, and ends the run."""
    if box.run("sh", "-c", 'command -v "$0" && command -v "$1"', *programs, check=False).returncode:
        pytest.skip(f"{heading} is not installed: apt-get install {packages}")
    (commands,) = prepared(box, heading)
    run = box.popen("/opt/vnet/bin/vnet-run", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(answers, f"{heading} to answer", timeout_s=30)
    yield commands
    run.terminate()
    assert run.wait(20) == 128 + 15


@pytest.mark.long
@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_etcd(box: Box) -> None:
    """Three members by vnet-run; the majority takes a write, the minority none."""
    healthy = ("exec", "a", "etcdctl", "--endpoints=http://a:2379", "--command-timeout=1s", "endpoint", "health")
    answers = lambda: box.vnet(*healthy, check=False).returncode == 0  # noqa: E731
    with running(box, "etcd", "etcd-server etcd-client", ("etcd", "etcdctl"), answers) as commands:
        assert bash(box, commands).stdout.split() == ["OK", "refused"]


@pytest.mark.long  # sentinels take 10 s to know each other's replicas, and elect as often as it takes
@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_redis_with_sentinel(box: Box) -> None:
    """The master is cut off, refuses writes, and is followed by another one, which takes them; healed, it is a replica."""
    ping, role = (("exec", "a", "redis-cli", "-h", "a", *words) for words in (("ping",), ("info", "replication")))
    answers = lambda: box.vnet(*ping, check=False).stdout == "PONG\n"  # noqa: E731
    programs, packages = ("redis-server", "redis-sentinel"), "redis-server redis-sentinel"
    with running(box, "Redis with Sentinel", packages, programs, answers) as commands:
        done = bash(box, commands, timeout_s=240)
        assert "OK" in done.stdout
        assert "NOREPLICAS" in done.stderr
        wait_for(lambda: "role:slave" in box.vnet(*role).stdout, "the old master to follow", timeout_s=30)
