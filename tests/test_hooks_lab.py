"""Hooks on real labs: each at its moment, in order, as the caller; what an exception in one does."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest
from conftest import WAYS, Box, wait_for
from hook_lab import DOWN, GUESTS, TIMELINE, all_hooks, calls, note, project
from lab_world import as_root, end, inside, same_host
from machine import Machine
from snapshot import assert_same

IDS = {"root": 0, "alice": 3001}


@pytest.fixture
def rooted(machine: Machine) -> Box:
    """Give a machine on which root is the user, where the way does not matter."""
    machine.run("mkdir", "project")
    return Box(machine, WAYS["root"][0], "root")


def order(hook: str) -> tuple[str, ...]:
    """Tell in which order the files are called: the other way round on the way down."""
    return ("b.py", "a.py") if hook.endswith("_down") or hook == "vnet_failed" else ("a.py", "b.py")


@pytest.mark.quick_in("userns")
def test_every_hook_at_its_moment(box: Box) -> None:
    """From the first vnet-up to the last vnet-down: order, arguments, what is there then, and who runs them."""
    with same_host(box):
        project(box, a=note(all_hooks()), b=note(all_hooks(), look=False))
        box.vnet("up")
        box.vnet("partition", "isolate", "app")
        inside(box, "app", "vnet-partition", "fullmesh")
        box.vnet("down", "--all", "--gateway")
        made = calls(box)
    assert [(call["hook"], call["by"]) for call in made] == [(hook, by) for hook, *_ in TIMELINE for by in order(hook)]
    looked = [call for call in made if call["by"] == "a.py"]
    for (hook, words, there), call in zip(TIMELINE, looked, strict=True):
        shown = " ".join(call["given"].values()).replace("project", "lab")
        assert (hook, shown, call["there"]) == (hook, words, there)
    assert {tuple(call["ids"]) for call in made} == {(IDS[box.user],) * 6}
    assert [call for call in made if call["sudo"]] == []
    assert {call["node"] for call in made if call["given"].get("cut") == "fullmesh"} == {"app"}


def failing(box: Box, hooks: str, *words: str) -> str:
    """Call vnet with hooks that raise, with status 1, and give what it said."""
    done = box.vnet(*words, check=False, env={"FAIL": hooks})
    assert done.returncode == 1, done.stderr
    return done.stderr


def told(box: Box, hook: str) -> str:
    """Write how an exception in a hook is told: file, hook and lab."""
    return f": {hook} in lab project: ValueError: no {hook}"


def failures(box: Box) -> list[tuple[str, str]]:
    """Read which hooks ran since, and what vnet_failed was told."""
    return [(call["hook"], call["given"].get("step", "")) for call in calls(box) if call["hook"] == "vnet_failed"]


@pytest.mark.quick_in("root")
@pytest.mark.parametrize("box", ["root", "userns"], indirect=True)
def test_an_exception_on_the_way_up_undoes_the_step(box: Box) -> None:
    """The message names file, hook and lab; the host is as it was; what stood before stands; hooks hear of it first."""
    with same_host(box) as before:
        project(box, a=note(all_hooks(), look=False))
        line = box.run("grep", "-n", "raise", "hooks/a.py").stdout.partition(":")[0]
        for hook in ("vnet_before_gateway_up", "vnet_after_gateway_up"):
            said = failing(box, hook, "up")
            assert f": {box.project}/hooks/a.py:{line}{told(box, hook)}\n" in said
            assert failures(box) == [("vnet_failed", "gateway up")]
            left = before.diff(box.machine.snapshot())
            assert {each.split()[2].partition("/locks")[0] for each in left} <= {"/run/vnet", f"/run/vnet/{uid(box)}"}
        box.vnet("up")
        box.vnet("down")
        alone = box.machine.snapshot()
        for hook, step in (("bridge", "bridge up"), ("guest", "guests up")):
            for name in (f"vnet_before_{hook}_up", f"vnet_after_{hook}_up"):
                calls(box)
                assert told(box, name) in failing(box, name, "up")
                made = calls(box)
                assert [call["given"]["step"] for call in made if call["hook"] == "vnet_failed"] == [step]
                assert [call["hook"] for call in made][-1] == "vnet_after_bridge_down", (
                    "what was prepared is taken back"
                )
                assert_same(alone, box.machine)


def guests(box: Box) -> list[str]:
    """List the guests that are up."""
    labs = json.loads(box.vnet("status", "--json").stdout)["labs"]
    return [guest["name"] for lab in labs for guest in lab["guests"]]


def uid(box: Box) -> int:
    """Tell the number of the box's user."""
    return IDS[box.user]


def test_an_exception_leaves_other_guests_and_the_old_cut_alone(rooted: Box) -> None:
    """A guest that can't be added is taken away again; a cut that is refused, or taken back, changes nothing."""
    with same_host(rooted):
        project(rooted, a=note(all_hooks(), look=False))
        rooted.vnet("up")
        lives = rooted.popen("/opt/vnet/bin/vnet-exec", "web", "sleep", "99")
        net = inside(rooted, "web", "readlink", "/proc/self/ns/net").stdout
        rooted.vnet("partition", "isolate", "app")
        cut = rooted.vnet("partition", "show").stdout.splitlines()[:2]
        project(rooted, GUESTS + "[guests.new]\n")
        for hook in ("vnet_before_guest_up", "vnet_after_guest_up"):
            assert told(rooted, hook) in failing(rooted, hook, "up")
            assert guests(rooted) == ["web", "app"]
            assert inside(rooted, "web", "readlink", "/proc/self/ns/net").stdout == net
        for hook in ("vnet_before_partition", "vnet_after_partition"):
            calls(rooted)
            assert told(rooted, hook) in failing(rooted, hook, "partition", "isolate", "web")
            assert failures(rooted) == [("vnet_failed", "partition")]
            assert rooted.vnet("partition", "show").stdout.splitlines()[:2] == cut
        assert lives.poll() is None
        rooted.vnet("up")
        assert guests(rooted) == ["web", "app", "new"]
        project(rooted)
        assert told(rooted, "vnet_before_guest_down") in failing(rooted, "vnet_before_guest_down", "up")
        assert guests(rooted) == ["web", "app"]
        assert lives.poll() is None
        end(lives)


def test_exceptions_on_the_way_down_are_collected(box: Box) -> None:
    """Each hook of the way down raises: all are told, and the host is as before all the same."""
    before = box.machine.snapshot()
    project(box, a=note(all_hooks(), look=False))
    box.vnet("up")
    said = failing(box, " ".join(DOWN), "down", "--all", "--gateway")
    assert [told(box, hook) in said for hook in DOWN] == [True] * len(DOWN)
    assert len(said.splitlines()) == len(DOWN), "two guests"
    assert_same(before, box.machine)


def test_the_record_names_the_hooks_of_the_way_down(rooted: Box) -> None:
    """The project's file is gone, another project is here, a hook file is gone: what was loaded on the way up counts."""
    before = rooted.machine.snapshot()
    project(rooted, a=note(all_hooks(), look=False), b=note({"vnet_after_guest_down": "lab"}, look=False))
    rooted.vnet("up")
    rooted.write("elsewhere/vnet.toml", "[guests.other]\n")
    rooted.run("rm", "vnet.toml", "hooks/b.py")
    calls(rooted)
    done = rooted.vnet("down", "--all", "--gateway", cwd=f"{rooted.project}/elsewhere", check=False)
    assert (done.returncode, done.stderr) == (
        1, f"vnet-down: hooks of lab project: {rooted.project}/hooks/b.py: can't be read: No such file or directory\n",
    )  # fmt: skip
    assert [call["hook"] for call in calls(rooted)] == list(DOWN)
    assert_same(before, rooted.machine)


def test_an_installed_package_brings_hooks(rooted: Box) -> None:
    """By the entry-point group `vnet`, with no word in the settings.

    A broken one is refused by vnet-up, and told by vnet-down, which goes on without it.
    """
    site = f"{rooted.project}/site"
    rooted.write("vnet.toml", GUESTS)
    rooted.write("site/noting/__init__.py", note(all_hooks(), look=False))
    rooted.write("site/noting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: noting\nVersion: 1.0\n")
    rooted.write("site/noting-1.0.dist-info/entry_points.txt", "[vnet]\nnotes = noting\n")
    with same_host(rooted):
        env = {"PYTHONPATH": site}
        rooted.vnet("up", env=env)
        rooted.vnet("partition", "isolate", "web", env=env)
        rooted.vnet("down", env=env)
        made = rooted.run("cat", "site/calls").stdout
        rooted.vnet("up")
        rooted.write("site/noting/__init__.py", "import nothing\n")
        done = rooted.vnet("up", env=env, check=False)
        broken = "entry point notes = noting of noting: can't be loaded: ModuleNotFoundError: No module named 'nothing'"
        assert (done.returncode, done.stderr) == (2, f"vnet-up: {broken}\n")
        done = rooted.vnet("down", env=env, check=False)
        assert (done.returncode, done.stderr) == (1, f"vnet-down: hooks of lab project: {broken}\n")
        assert inside(rooted, "web", "true", check=False).returncode == 3
    wanted = [hook for hook, words, _ in TIMELINE if "fullmesh" not in words and not hook.endswith("gateway_down")]
    assert [json.loads(text)["hook"] for text in made.splitlines()] == wanted


def test_a_signal_that_comes_while_a_hook_runs(rooted: Box) -> None:
    """Is no exception of the hook's: the lab is taken back, and the status is the signal's."""
    slow = "import vnet\n\n@vnet.hookimpl\ndef vnet_after_guest_up(guest):\n    guest.exec('sleep', '99')\n"
    with same_host(rooted):
        project(rooted, a=slow)
        up = rooted.popen("/opt/vnet/bin/vnet-up", stderr=subprocess.PIPE)
        wait_for(lambda: rooted.run("pgrep", "-xf", "sleep 99", check=False).stdout, "the hook to run")
        up.send_signal(signal.SIGTERM)
        assert (up.wait(20), up.stderr.read()) == (128 + 15, "vnet-up: ended by SIGTERM\n")
        assert inside(rooted, "web", "true", check=False).returncode == 3


@pytest.mark.parametrize("box", ["sudo"], indirect=True)
def test_no_hook_of_a_user_runs_as_root(box: Box) -> None:
    """Where `vnet-exec --root` is root of the host, hooks are refused before anything is touched."""
    with same_host(box):
        project(box, a=note(all_hooks(), look=False))
        box.vnet("up")
        calls(box)
        done = as_root(box, "bridge", "vnet-partition", "isolate", "app", check=False)
        assert (done.returncode, calls(box)) == (2, [])
        assert "hooks that others can write are refused, vnet runs them as root" in done.stderr
        assert box.vnet("partition", "show").stdout == "no cut: everyone hears everyone\n"
