"""A machine that was rebooted, one that lacks a tool, and one whose tool hangs: what vnet finds, says, and leaves."""

from __future__ import annotations

import pytest
from conftest import Box, box_of, need_root
from lab_world import SHOP, SITE, pings, same_host, standing
from snapshot import assert_same

#: What stays on the disk of a machine that is switched off, where /run is on one; pins are plain files then.
KEEP = "cd / && tar --one-file-system -cf - run/vnet"
#: What vnet-up runs, each taken away in turn; setpriv and nsenter are what these tests enter the machine with.
TOOLS = ("ip", "iptables-restore", "busybox", "mount", "install", "umount", "rm", "mv", "touch", "unshare")


@pytest.mark.quick_in("userns", "sudo")
def test_after_a_reboot(box: Box) -> None:
    """The files of the machine's former life are there, and nothing that they tell of: vnet-up works, vnet-down leaves nothing."""
    with standing(box):
        box.machine.run("sh", "-c", f"{KEEP} > /root/kept.tar")
        kept = box.machine.run("base64", "-w0", "/root/kept.tar").stdout
    with box_of(box.way) as reborn:
        before = reborn.machine.snapshot()
        reborn.write("vnet.toml", SHOP)
        reborn.machine.write("/root/kept.b64", kept)
        boot = 'find /run/vnet -type f -exec sed -i \'s/"boot": "[^"]*"/"boot": "before"/\' {} +'
        reborn.machine.run("sh", "-c", f"base64 -d /root/kept.b64 | tar -C / -xpf -; rm /root/kept.b64; {boot}")
        reborn.vnet("up")
        assert pings(reborn, "web", "app", "db", SITE) == []
        reborn.vnet("down", "--all", "--gateway")
        assert_same(before, reborn.machine)


@pytest.mark.long
@pytest.mark.quick_in("userns")
def test_without_a_tool(box: Box) -> None:
    """vnet-up either does without it or names it, in words that tell what to install; nothing is left of what was begun."""
    missed = set()
    for name in TOOLS:
        with same_host(box) as before:
            box.write("vnet.toml", SHOP)
            path = box.machine.run("sh", "-c", f"readlink -f $(command -v {name})").stdout.strip()
            box.machine.run("mount", "-n", "--bind", "/dev/null", path)
            done = box.vnet("up", check=False)
            box.machine.run("python3", "-c", UNMOUNT, path)
            if done.returncode:
                missed.add(name)
                assert done.returncode == 1, (name, done.stderr)
                assert f"{name}: no such tool" in done.stderr, (name, done.stderr)
                assert "Traceback" not in done.stderr
                box.vnet("down", "--all", "--gateway")
                assert before.diff(box.machine.snapshot()) == [], name
    assert missed >= {"ip", "iptables-restore", "busybox", "install"}


#: umount(8) may be the tool that is gone.
UNMOUNT = "import ctypes, sys; assert ctypes.CDLL(None).umount2(sys.argv[1].encode(), 2) == 0"


@pytest.mark.long
def test_a_tool_that_hangs() -> None:
    """Its time is a minute; then the verb ends, names it, and takes back what was made."""
    need_root()
    with box_of("root") as box:
        before = box.machine.snapshot()
        box.write("vnet.toml", SHOP)
        box.machine.run("sh", "-c", "printf '#!/bin/sh\\nexec sleep 1000\\n' > /root/hang; chmod 755 /root/hang")
        path = box.machine.run("sh", "-c", "readlink -f $(command -v busybox)").stdout.strip()
        box.machine.run("mount", "-n", "--bind", "/root/hang", path)
        done = box.vnet("up", check=False, timeout_s=200)
        box.machine.run("umount", "-n", path)
        assert done.returncode == 1, done.stderr
        assert "busybox" in done.stderr
        box.machine.run("rm", "/root/hang")
        box.vnet("down", "--all", "--gateway")
        assert_same(before, box.machine)


#: What stands in for unshare(1) and makes no namespaces of that kind; vnet looks first whether it can make any.
REFUSES = """case "$*" in *{}*) echo 'unshare: unshare failed: No space left on device' >&2; exit 1;; esac
exec /home/unshare "$@"
"""


@pytest.mark.parametrize("kind", ["--map-user=", "--propagation"])
def test_namespaces_that_can_t_be_made(kind: str) -> None:
    """Where user namespaces run out between the look and the step, vnet-up says so when it happens, and leaves nothing."""
    need_root()
    with box_of("userns") as box:
        before = box.machine.snapshot()
        box.write("vnet.toml", SHOP)
        path = box.machine.run("sh", "-c", "readlink -f $(command -v unshare)").stdout.strip()
        box.machine.run("cp", path, "/home/unshare")
        box.machine.write("/home/refuses", f"#!/bin/sh\n{REFUSES.format(kind)}")
        box.machine.run("chmod", "755", "/home/refuses")
        box.machine.run("mount", "-n", "--bind", "/home/refuses", path)
        done = box.vnet("up", check=False, timeout_s=40)  # less than the minute that a command may take
        box.machine.run("umount", "-n", path)
        box.machine.run("rm", "/home/refuses", "/home/unshare")
        assert done.returncode == 1, done.stderr
        assert "cat: exit status 1: unshare: unshare failed: No space left on device" in done.stderr.splitlines()[-1]
        box.vnet("down", "--all", "--gateway")
        assert_same(before, box.machine)
