"""vnet-exec is the command itself: user, files, environment, terminal, signals, exit status; in all three ways."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from conftest import Box, wait_for
from inside import Process
from lab_world import SHOP, as_root, end, inside, same_host, standing
from terminal import Terminal

EXEC = "/opt/vnet/bin/vnet-exec"
IDS = {"root": ("0", "0", "0"), "userns": ("3001", "3001", "3001"), "sudo": ("3001", "3001", "3001")}
#: Prints what a command can see of itself.
SELF = """
import grp, json, os, socket
print(json.dumps({
    "ids": [str(os.getuid()), str(os.getgid()), " ".join(map(str, os.getgroups()))], "cwd": os.getcwd(),
    "host": socket.gethostname(), "env": dict(os.environ), "links": sorted(os.listdir("/sys/class/net")),
    "hosts": {name: socket.gethostbyname(name) for name in ("web", "app", "db", "bridge", "gateway", "host")},
    "resolv": open("/etc/resolv.conf").read(), "signals": [line for line in open("/proc/self/status") if "Sig" in line]}))
"""
#: What vnet-exec imports beyond Python's own start without site: nothing of the standard library that is not named here.
IMPORTS = {
    "vnet", "vnet.errors", "vnet.exec", "vnet.kernel", "vnet.kernel.marks", "vnet.kernel.namespace", "vnet.nodes", "vnet.project",
    "__future__", "os", "stat", "_stat", "posixpath", "genericpath", "_collections_abc",
    "ctypes", "ctypes._endian", "_ctypes", "struct", "_struct", "types",
    "warnings",  # by os.execvpe
}  # fmt: skip


def only(*ways: str) -> pytest.MarkDecorator:
    """Let a test run in some of the three ways."""
    return pytest.mark.parametrize("box", ways, indirect=True)


def seen(box: Box, node: str, *options: str, **kwargs: Any) -> dict[str, Any]:
    """Ask a Python in a node what it sees."""
    text = box.vnet("exec", *options, node, "python3", "-I", "-S", "-c", SELF, **kwargs).stdout
    found: dict[str, Any] = json.loads(text)
    return found


def start(box: Box, node: str, script: str, *options: str, first: str = ":") -> Process:
    """Start a shell script in a node, and wait until it says `up`, which it does when `first` is done."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = box.popen(EXEC, *options, node, "sh", "-c", f"{first}; echo up; {script}", **pipes)
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    return process


def test_a_command_sees_the_node_and_is_the_callers(box: Box) -> None:
    """Network, names and host name are the node's; user, groups, folder, environment and files the caller's."""
    with standing(box):
        found = seen(box, "web", env={"COLOUR": "blue", "PATH": "/usr/bin:/bin"})
        assert tuple(found["ids"]) == IDS[box.way]
        assert found["cwd"] == box.project
        assert (found["host"], found["links"]) == ("web", ["eth0", "lo"])
        assert found["hosts"] == {"web": "172.18.0.1", "app": "172.18.0.2", "db": "172.18.0.9", "bridge": "172.18.0.254",
                                  "gateway": "172.18.255.2", "host": "172.18.255.1"}  # fmt: skip
        assert found["resolv"] == "nameserver 198.51.100.53\n"
        env = found["env"]
        assert (env["VNET_LAB"], env["VNET_NODE"], env["VNET_IP"]) == ("project", "web", "172.18.0.1")
        assert (env["COLOUR"], env["PATH"]) == ("blue", "/opt/vnet/bin:/usr/bin:/bin")
        plain = box.run(
            "python3", "-I", "-S", "-c", "print(*(line for line in open('/proc/self/status') if 'Sig' in line))"
        )
        assert [line.split()[1] for line in found["signals"][1:]] == plain.stdout.split()[3::2], "signals are as usual"
        assert seen(box, "web", "--root")["ids"][:2] == ["0", "0"]
        inside(box, "web", "sh", "-c", "umask 027; echo x >made")
        as_root(
            box,
            "web",
            "sh",
            "-c",
            "cd /etc && head -n1 hosts >made && ls -ld made /etc >/dev/null; rm made; ip link set lo down",
        )
        owner = {"root": "root", "userns": "alice", "sudo": "alice"}[box.way]
        assert box.run("stat", "-c", "%U %a", "made").stdout == f"{owner} 640\n"


@only("userns", "sudo")
def test_exit_statuses(box: Box) -> None:
    """The command's own, or the signal that ended it; 2, 3, 125, 126 and 127 as promised, with one line that says why."""
    with standing(box):
        for status in (0, 1, 3, 125, 255):
            assert inside(box, "web", "sh", "-c", f"exit {status}", check=False).returncode == status
        for number in ("TERM", "KILL", "SEGV"):
            done = inside(box, "web", "sh", "-c", f"ulimit -c 0; kill -{number} $$", check=False)
            assert done.returncode == {"TERM": -15, "KILL": -9, "SEGV": -11}[number]
        refused = {
            ("web", "no-such-program"): (127, "no-such-program: command not found"),
            ("web", "/etc/passwd"): (126, "/etc/passwd: Permission denied"),
            ("nobody", "true"): (3, "nobody: not a node of the lab project; its nodes are web app db bridge gateway"),
            ("-n", "none", "web", "true"): (3, "the lab none is not up"),
            ("--rot", "web", "true"): (2, "--rot: not an option of vnet-exec; usage: "),
            ("web",): (2, "COMMAND is missing; usage: "),
            ("web", "--"): (2, "COMMAND is missing; usage: "),
            (): (2, "NODE is missing; usage: "),
            ("-n",): (2, "-n: a value is missing; usage: "),
            ("-n", "../x", "web", "true"): (2, "'../x': not the name of a lab"),
        }
        for words, (status, text) in refused.items():
            done = box.vnet("exec", *words, check=False)
            assert (done.returncode, done.stdout) == (status, ""), words
            assert done.stderr.startswith(f"vnet-exec: {text}"), done.stderr
            assert done.stderr.count("\n") == 1
        box.run("sh", "-c", "echo nonsense >/run/vnet/$(id -u)/labs/project/nodes")
        done = inside(box, "web", "true", check=False)
        assert (done.returncode, done.stderr.count("\n")) == (125, 1), done.stderr
        box.vnet("up")
        inside(box, "web", "true")


@only("userns")
def test_words_behind_the_node_are_the_commands(box: Box) -> None:
    """With and without `--`, options of vnet's before NODE only; -v shows what is run."""
    with standing(box):
        for words in (("--", "web", "--"), ("web", "--"), ("web",), ("-nproject", "-q", "web")):
            done = box.vnet("exec", *words, "echo", "-n", "--", "--root", "two  words", "")
            assert (done.stdout, done.stderr) == ("-- --root two  words ", "")
        done = box.vnet("exec", "-v", "web", "echo", "two  words")
        assert done.stdout == "two  words\n"
        assert re.fullmatch(r"\[#\] .*echo 'two  words'\n", done.stderr)
        for words in (("--version",), ("-n", "x", "--help"), ("-h",)):
            assert box.vnet("exec", *words).stdout.startswith(("vnet 0.", "usage: vnet-exec"))


@pytest.mark.quick_in("sudo")
def test_the_callers_umask(box: Box) -> None:
    """It is the command's."""
    with standing(box):
        box.run("sh", "-c", f"umask 077; {EXEC} web touch secret")
        assert box.run("stat", "-c", "%a", "secret").stdout == "600\n"


def test_signals_and_pipes(box: Box) -> None:
    """A signal for vnet-exec's pid is the command's; binary data passes both ways; what the host mounts later appears."""
    with standing(box):
        process = start(box, "web", "while :; do sleep 0.02; done", first="trap 'echo got; exit 7' TERM")
        box.run("kill", str(process.inner_pid()))
        assert process.wait(10) == 7
        process = start(box, "web", "exec sleep 1000")
        box.run("kill", "-INT", str(process.inner_pid()))
        assert process.wait(10) == -2
        data = bytes(range(256)) * 4096
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": False}
        out, _ = box.popen(EXEC, "web", "cat", **pipes).communicate(data, timeout=20)
        assert out == data
        folder = f"{box.project}/later"
        box.run("mkdir", folder)
        process = start(box, "web", f"read -r _; cat {folder}/file")
        box.machine.run("sh", "-c", f"mount --no-mtab -t tmpfs later {folder} && echo there >{folder}/file")
        assert process.communicate("go\n", timeout=10)[0] == "there\n"
        box.machine.run("umount", "--no-mtab", folder)


def test_a_terminal_is_the_commands(box: Box) -> None:
    """Its size, Ctrl-C, Ctrl-Z and fg, end of file, and jobs in the background."""
    with standing(box):
        terminal = Terminal(box, (41, 99))
        assert (
            terminal.run("vnet-exec web sh -c 'stty size; test -t 0 && test -t 1 && test -t 2 && echo tty'")
            == "41 99\ntty\n"
        )
        terminal.type("vnet-exec web sh -c 'trap \"echo int; exit 5\" INT; echo go; while :; do sleep 0.02; done'\n")
        terminal.until("go\n")
        terminal.type("\x03")
        assert "int\n" in terminal.until("ready> ")
        assert terminal.run("echo $?") == "5\n"
        terminal.type("vnet-exec web sh -c 'echo go; read -r word; echo \"<$word>\"; exit 9'\n")
        terminal.until("go\n")
        terminal.type("\x1a")
        assert "Stopped" in terminal.until("ready> ")
        terminal.type("fg\n")
        terminal.until("vnet-exec web")
        terminal.until("\n")
        terminal.type("hello\n")
        assert "<hello>\n" in terminal.until("ready> ")
        assert terminal.run("echo $?") == "9\n"
        assert terminal.run("vnet-exec web sleep 1000 & kill %1; wait %1; echo $?").endswith("143\n")
        terminal.type("vnet-exec web sh -c 'echo go; exec cat'\n")
        terminal.until("go\n")
        terminal.type("\x04")
        terminal.until("ready> ")
        terminal.close()


@pytest.mark.quick_in("userns", "sudo")
def test_from_within_nodes(box: Box) -> None:
    """A command in a node starts others, in other nodes, as it would outside."""
    with standing(box):
        for node, other in (("bridge", "web"), ("app", "bridge"), ("web", "gateway"), ("gateway", "db")):
            script = f"vnet-exec {other} sh -c 'hostname; id -u; echo $VNET_LAB/$VNET_NODE'"
            found = inside(box, node, "sh", "-c", script).stdout.split()
            assert found == [other, IDS[box.way][0], f"project/{other}"], (node, other)
        deep = "vnet-exec web vnet-exec app vnet-exec gateway hostname"
        assert as_root(box, "bridge", "sh", "-c", deep.replace("vnet-exec", "vnet-exec --root")).stdout == "gateway\n"
        done = inside(box, "bridge", "sh", "-c", deep, check=False)
        if box.way == "userns":  # the way out of a user namespace is open to root in there only
            assert (done.returncode, done.stderr.count("\n")) == (125, 1)
            assert "--root" in done.stderr
        else:
            assert done.stdout == "gateway\n"


@only("root", "userns")
def test_the_gateway_needs_no_lab(box: Box) -> None:
    """It is entered before the first and after the last lab, and its resolver works where the host's is on loopback."""
    box.machine.run("sh", "-c", "mkdir -p /run/systemd/resolve; echo nameserver 127.0.0.53 >/etc/resolv.conf")
    box.machine.write("/run/systemd/resolve/resolv.conf", "nameserver 198.51.100.53\n")
    with same_host(box):
        done = box.vnet("exec", "gateway", "true", check=False)
        assert (done.returncode, done.stderr) == (
            3,
            "vnet-exec: the gateway is not up; vnet-up brings it up, with a lab\n",
        )
        box.write("vnet.toml", SHOP)
        box.vnet("up")
        assert inside(box, "web", "cat", "/etc/resolv.conf").stdout == "nameserver 198.51.100.53\n"
        box.vnet("down")
        script = "hostname; cat /etc/resolv.conf; getent hosts host; echo $VNET_IP"
        found = inside(box, "gateway", "sh", "-c", script, cwd="/").stdout.splitlines()
        assert found[:2] == ["gateway", "nameserver 198.51.100.53"]
        assert (found[2].split(), found[3]) == (["172.18.255.1", "host"], "172.18.255.2")


@only("root", "sudo")
def test_a_removed_folder_and_a_lost_namespace(box: Box) -> None:
    """From a folder that is gone none runs: it would find itself in another one; a node whose namespace is gone is not up."""
    with standing(box):
        script = f"mkdir gone; cd gone; rmdir ../gone; {EXEC} -n project web pwd"
        done = box.run("sh", "-c", script, check=False)
        assert (done.returncode, "was removed" in done.stderr) == (125, True), done.stderr
        enter = ("nsenter", "--mount=/run/vnet/3001.ns/mnt", "--") if box.way == "userns" else ()
        box.machine.run(*enter, "sh", "-c", "umount --no-mtab /run/netns/vnet-x1x1")
        done = inside(box, "web", "true", check=False)
        assert (done.returncode, done.stderr) == (3, "vnet-exec: web: its namespace is gone; vnet-up makes it anew\n")


@only("root")
def test_it_imports_and_starts_next_to_nothing(box: Box) -> None:
    """What stands before every command is one Python without site, and a handful of modules."""
    with standing(box):
        python = ("python3", "-I", "-S", "-X", "importtime")
        base, all_ = (
            {line.rpartition("|")[2].strip() for line in box.run(*python, *words).stderr.splitlines()}
            for words in (("-c", "pass"), (EXEC, "web", "true"))
        )
        assert all_ - base <= IMPORTS, "if it has to be: see what it costs, and name it"
        box.run("strace", "-f", "-qq", "-e", "trace=execve", "-o", "calls", EXEC, "web", "true")
        started = re.findall(r'execve\("([^"]*)".* = 0$', box.run("cat", "calls").stdout, re.MULTILINE)
        assert [path.rpartition("/")[2] for path in started] == ["vnet-exec", "python3", "true"]


@only("userns", "sudo")
def test_ending_a_lab_ends_its_commands(box: Box) -> None:
    """As vnet-down promises, those of --root included."""
    with same_host(box):
        box.write("vnet.toml", SHOP)
        box.vnet("up")
        running = [
            start(box, node, "exec sleep 1000", *options) for node in ("web", "bridge") for options in ((), ("--root",))
        ]
        box.vnet("down")
        assert [each.wait(10) for each in running] == [-15] * 4
        running = [start(box, "gateway", "exec sleep 1000")]
        box.vnet("down", "--gateway")
        wait_for(lambda: running[0].poll() is not None, "the command in the gateway to end")
    end()
