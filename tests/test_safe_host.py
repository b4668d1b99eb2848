"""What others may have left in vnet's way on the machine, and what a caller's environment may hold: refused, or without effect."""

from __future__ import annotations

import json

import pytest
from conftest import Box
from lab_world import APP, inside, same_host, standing

UID = {"root": 0, "alice": 3001}
SPOILED = {
    "RUN is a link": "ln -s /home/eve/trap /run/vnet",
    "RUN is eve's": "install -d -o eve /run/vnet",
    "RUN can be written by all": "install -d -m 777 /run/vnet",
    "RUN is a file": "touch /run/vnet",
    "UID is a link": "mkdir /run/vnet; ln -s /home/eve/trap /run/vnet/{uid}",
    "UID is eve's": "mkdir /run/vnet; install -d -m 700 -o eve /run/vnet/{uid}",
    "UID can be written by all": "mkdir /run/vnet; install -d -m 777 -o {uid} /run/vnet/{uid}",
    "UID is a file": "mkdir /run/vnet; touch /run/vnet/{uid}",
    "UID.ns is a link": "mkdir /run/vnet; ln -s /home/eve/trap /run/vnet/{uid}.ns",
    "UID.ns is eve's": "mkdir /run/vnet; install -d -o eve /run/vnet/{uid}.ns",
}
"""Only root can make any of these, by mistake or talked into it: /run and /run/vnet are root's."""


def quiet(text: str) -> str:
    """Give the last line of what a command said, which must be no traceback."""
    assert "Traceback" not in text, text
    return text.strip().splitlines()[-1]


@pytest.mark.parametrize("box", ["root", "userns"], indirect=True)
def test_a_place_that_is_not_vnets_is_refused(box: Box) -> None:
    """Every verb says which path, and leaves all as it was."""
    uid = UID[box.user]
    box.write("vnet.toml", "[guests.web]\n")
    box.run("install", "-d", "-m", "777", "-o", "eve", "/home/eve/trap", user="root")
    if box.way == "userns":  # sudo remembers him
        box.run("sudo", "-n", "true")
    box.run("rm", "-rf", "/run/vnet", user="root")
    before = box.machine.snapshot()
    for what, script in SPOILED.items():
        if box.way == "root" and ".ns" in what:
            continue  # it is for those who have user namespaces of their own
        box.run("sh", "-c", script.format(uid=uid), user="root")
        for verb in (("up",), ("down", "--all", "--gateway"), ("exec", "web", "true"))[: 1 if box.way == "root" else 3]:
            done = box.vnet(*verb, check=False)
            said = quiet(done.stderr or "nothing")
            if verb[0] == "up":
                assert (done.returncode, "/run/vnet" in said) == (1, True), (what, done)
            assert done.returncode or verb[0] == "down", (what, verb, done)
        box.run("rm", "-r", "/run/vnet", user="root")
    assert before.diff(box.machine.snapshot()) == []
    assert box.run("ls", "-A", "/home/eve/trap", user="root").stdout == ""


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_a_record_that_is_not_ones_own_is_refused(box: Box) -> None:
    """One of another owner, one that is a link, one that is no record, or holds what the settings would not take.

    Either that is said, or vnet goes on with what root's mark and the names of files tell.
    """
    folder, real = f"/run/vnet/{UID[box.user]}", "/run/real"
    with standing(box, "[guests.web]\n[guests.app]\n"):
        for path in (f"{folder}/gateway.json", f"{folder}/labs/project/record.json"):
            text = box.run("cat", path, user="root").stdout
            data = json.loads(text)
            forged = [
                "[]",
                "[" * 100_000,
                text[:-9],
                text.replace('"vnet"', '"../x"'),
                json.dumps({**data, "schema": 99}),
            ]
            if "lab" in data and isinstance(data["lab"], dict):
                forged += [text.replace('"name": "web"', '"name": "-web"')]
            spoil = [("chown eve {0}", ""), ("rm {0}; ln -s {1} {0}", "")]
            for script, new in (*spoil, *(("cat >{0}", each) for each in forged)):
                box.run("sh", "-c", f"cp -a {path} {real}; {script.format(path, real)}", input=new, user="root")
                for verb in (("up",), ("partition", "isolate", "web"))[: 1 if new else 2]:
                    done = box.vnet(*verb, check=False)
                    known = (done.returncode, path in quiet(done.stderr)) == (1, True) or done.returncode == 0
                    assert known, (path, script, new[:99], verb, done)
                    assert "../x" not in done.stdout
                if done.returncode:
                    box.run("sh", "-c", f"rm -f {path}; cp -a {real} {path}", user="root")
                box.run("rm", real, user="root")
        inside(box, "web", "ping", "-c1", "-W2", "app")


PAYLOAD = '#!/bin/sh\n[ "$(/usr/bin/id -u)" = 0 ] && echo "$0 $*" >>/tmp/vnet-mark-{tag}\nexit 1\n'
TOOLS = ("ip", "iptables", "iptables-restore", "ip6tables-restore", "mount", "umount", "install", "rm", "mv", "unshare", "nsenter",
         "setpriv", "busybox", "sudo", "sh", "python3", "modprobe", "cat")  # fmt: skip


KEPT = 'Defaults !env_reset\nDefaults env_delete=""\nDefaults !secure_path\n'


@pytest.mark.parametrize(("box", "kept"), [("userns", ""), ("sudo", KEPT)], indirect=["box"])
def test_the_callers_environment_does_not_reach_root(box: Box, kept: str) -> None:
    """Whatever it holds, nothing of it runs or is written with root's rights, also where sudo hands all of it on."""
    tag = f"{id(box):x}"
    mark, home = f"/tmp/vnet-mark-{tag}", "/home/alice"
    if kept != "by default":
        box.machine.write(
            "/etc/sudoers.d/kept", 'Defaults !env_reset\nDefaults env_delete=""\nDefaults !secure_path\n', mode=0o440
        )
    python = f"import os\nif os.geteuid() == 0: open({mark!r}, 'a').write('python ' + __name__)\n"
    for name in ("sitecustomize", "usercustomize", "json", "vnet", "fcntl", "startup", "struct"):
        box.write(
            f"evil/{name}.py",
            python + ("" if name.endswith("customize") or name == "startup" else "raise SystemExit(9)\n"),
        )
    for name in TOOLS:
        box.machine.write(f"{home}/bin/{name}", PAYLOAD.format(tag=tag), user="alice", mode=0o755)
    box.write("bash_env", f'[ "$(id -u)" = 0 ] && echo bash >>{mark}\n')
    evil, made = f"{box.project}/evil", f"{home}/root-made"
    env = {
        "PATH": f"{home}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "BASH_ENV": f"{box.project}/bash_env", "ENV": f"{box.project}/bash_env",
        "PYTHONSTARTUP": f"{evil}/startup.py", "PYTHONINSPECT": "1", "PYTHONUSERBASE": evil, "PYTHONPYCACHEPREFIX": made,
        "LD_DEBUG": "files", "LD_DEBUG_OUTPUT": made, "LD_PRELOAD": "/nowhere.so", "LD_LIBRARY_PATH": evil,
        "XTABLES_LOCKFILE": made, "XTABLES_LIBDIR": evil, "IPTABLES_LIB_DIR": evil, "TMPDIR": made,
        "SUDO_UID": "3002", "SUDO_GID": "0", "SUDO_USER": "bob", "SUDO_COMMAND": "x", "HOME": home, "MALLOC_TRACE": made,
        "LC_ALL": "../../home/alice", "LANG": "x", "LIBMOUNT_FSTAB": f"{home}/fstab", "SHELL": f"{home}/bin/sh", "IFS": "/",
    }  # fmt: skip
    own = {"PYTHONPATH": evil, "PYTHONHOME": evil}  # these would keep the caller's own Python from starting
    python3 = box.run("python3", "-c", "import sys; print(sys.executable)").stdout.strip()
    start = [python3, "-I", "/opt/vnet/bin/vnet"]  # the caller's part as it is; what it hands on is all of the above
    with same_host(box):
        box.write("vnet.toml", "[guests.web]\n[guests.app]\n")
        for words in (("up",), ("partition", "isolate", "web"), ("partition", "fullmesh"), ("exec", "web", "/bin/ping", "-c1", APP),
                      ("status",), ("down", "--all", "--gateway")):  # fmt: skip
            done = box.run(*start, *words, env=env | own, check=False)
            assert done.returncode == 0, (words, done)
    assert box.run("sh", "-c", f"cat {mark} 2>/dev/null", user="root", check=False).stdout == ""
    assert box.run("find", home, "-uid", "0", user="root").stdout == ""
