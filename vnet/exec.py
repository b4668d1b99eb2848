"""vnet-exec: run a command in a guest, the bridge or the gateway, and become it.

This file is a program too, run by its path, and imports as little as it can: it stands before each command
that a user runs in a guest. The namespaces are entered in this process, and then the command takes its place, so
terminal, signals and exit status are the command's own.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":  # run by its path: the folder of the package is not the one to import from
    sys.path[0:1] = [os.path.dirname(os.path.dirname(os.path.realpath(__file__)))]

import _signal  # type: ignore[import-not-found]  # `signal` wraps it in enums, which take 3 ms

from vnet.errors import NotUpError, UsageError, VnetError
from vnet.kernel import namespace

#: Exit statuses of vnet-exec alone.
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
RUN, PINS = "/run/vnet", "/run/netns"
USAGE = "usage: vnet-exec [-f FILE] [-n LAB] [--root] NODE [--] COMMAND [ARG ...]"


class Call:
    """What was asked for on the command line."""

    def __init__(self, argv: list[str]) -> None:
        """Read the words up to NODE; what comes behind is the command's."""
        self.root, self.lab, self.file = False, "", ""
        words = list(argv)
        while words and words[0].startswith("-") and words[0] != "--":
            self._option(words.pop(0), words)
        if words[:1] == ["--"]:
            words.pop(0)
        if len(words) < 2 or words[1:] == ["--"]:
            raise UsageError(USAGE)
        self.node = words.pop(0)
        self.command = words[1:] if words[0] == "--" else words

    def _option(self, word: str, words: list[str]) -> None:
        """Read one option."""
        if word == "--root":
            self.root = True
        elif word in ("-n", "-f"):
            if not words:
                raise UsageError(f"{word}: a value is missing; {USAGE}")
            setattr(self, {"-n": "lab", "-f": "file"}[word], words.pop(0))
        elif word not in ("-q", "-v", "--debug"):
            raise UsageError(f"{word}: not an option of vnet-exec; {USAGE}")


class Node:
    """A node of a lab, and what it takes to get there: read from the lab's file `nodes`."""

    def __init__(self, folder: str, lab: str, name: str) -> None:
        """Find a node by name; with no lab, the gateway."""
        self.folder = f"{folder}/labs/{lab}" if lab else folder
        self.way, self.uid, self.gid, _, rows = read_nodes(self.folder)
        self.lab, self.name = lab, name
        if name not in rows:
            raise NotUpError(f"{name}: not a node of the lab {lab}; its nodes are {' '.join(rows)}")
        self.netns, self.ip = rows[name]


def read_nodes(folder: str) -> tuple[str, int, int, str, dict[str, tuple[str, str]]]:
    """Read a lab's way, owner, file and nodes (see `files.nodes`)."""
    try:
        with open(f"{folder}/nodes", encoding="utf-8") as file:
            head, project, *lines = file.read().split("\n")
    except (FileNotFoundError, NotADirectoryError):
        raise NotUpError(f"the lab {os.path.basename(folder)} is not up; vnet-up brings it up") from None
    way, uid, gid = head.split()
    rows = {name: (netns, ip) for name, netns, ip in (line.split() for line in lines if line)}
    return way, int(uid), int(gid), project, rows


def caller() -> int:
    """Tell the caller's user id on the host, also from inside a guest where he is root (user_namespaces(7))."""
    uid, of_lab = os.getuid(), os.environ.get("VNET_UID", "")
    if uid == 0 and of_lab.isdigit():  # root in a lab is still its owner; root of the host may be whom he likes
        return int(of_lab)
    with open("/proc/self/uid_map", encoding="ascii") as file:
        for line in file:
            inside, outside, count = map(int, line.split())
            if inside <= uid < inside + count:
                return outside + uid - inside
    return uid


def find_lab(call_lab: str, call_file: str, folder: str) -> str:
    """Name the lab that is meant: `-n`, `-f`, VNET_LAB, VNET_FILE, or the project of the working directory."""
    if call_lab or (not call_file and os.environ.get("VNET_LAB")):
        return _checked(call_lab or os.environ["VNET_LAB"])
    path = call_file or os.environ.get("VNET_FILE") or _project()
    wanted = os.path.abspath(path) if path else ""
    for lab in _labs(folder):
        if read_nodes(f"{folder}/labs/{lab}")[3] == wanted and (wanted or lab == os.path.basename(os.getcwd())):
            return lab
    raise NotUpError(f"no lab of {wanted or os.getcwd()} is up; vnet-up brings it up, -n LAB names another")


def _lab(call: Call, folder: str) -> str:
    """Name the lab that is meant; the gateway can be meant with none, whatever VNET_LAB says."""
    alone = call.node == "gateway" and not call.lab
    try:
        name = find_lab(call.lab, call.file, folder)
    except NotUpError:
        if alone:
            return ""
        raise
    return "" if alone and name not in _labs(folder) else name


def _checked(lab: str) -> str:
    """Refuse what can't be the name of a lab, as it is about to be part of a path."""
    if "/" in lab or lab.startswith(".") or not lab.isprintable():
        raise UsageError(f"{lab!r}: not the name of a lab")
    return lab


def _labs(folder: str) -> list[str]:
    """Name all labs that have nodes; one that is just being made has none yet."""
    try:
        names = sorted(os.listdir(f"{folder}/labs"))
    except OSError:
        return []
    return [name for name in names if os.path.exists(f"{folder}/labs/{name}/nodes")]


def _project() -> str:
    """Find vnet.toml in the working directory or above."""
    here = os.getcwd()
    while True:
        path = os.path.join(here, "vnet.toml")
        if os.path.exists(path):
            return path
        if here == "/":
            return ""
        here = os.path.dirname(here)


def enter(node: Node, *, root: bool) -> None:
    """Go into a node: its network, host name, hosts file and resolver, as the caller or as the lab's root."""
    again = _enter_users(node, root=root) if node.way == "userns" else False
    namespace.setns(f"{PINS}/{node.netns}", namespace.NEWNET)
    namespace.unshare(namespace.NEWNS | namespace.NEWUTS)
    namespace.mount("none", "/", flags=namespace.MS_SLAVE | namespace.MS_REC)
    _mount_sys()
    for name in ("hosts", "resolv.conf"):
        _cover(f"{node.folder}/{name}", f"/etc/{name}")
    namespace.set_hostname(node.name)
    if again:
        _be_oneself(node)


def _enter_users(node: Node, *, root: bool) -> bool:
    """Enter the caller's user namespaces; tells whether his own id is still to be got back.

    `user` keeps his id, in `admin` he is root. From inside a guest only `admin` can be entered, or is where one is.
    """
    folder = f"{RUN}/{node.uid}.ns"
    if namespace.is_pin(f"{folder}/mnt"):
        mnt = os.open(f"{folder}/mnt", os.O_RDONLY | os.O_CLOEXEC)
        namespace.setns(f"{folder}/{'admin' if root else 'user'}", namespace.NEWUSER)
        namespace.setns_fd(mnt, namespace.NEWNS)
        os.close(mnt)
        return False
    if os.stat("/proc/self/ns/user").st_ino != os.stat(f"{folder}/admin").st_ino:
        namespace.setns(f"{folder}/admin", namespace.NEWUSER)
    return not root


def _be_oneself(node: Node) -> None:
    """Get the caller's own id back, in one more user namespace."""
    namespace.unshare(namespace.NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{node.uid} 0 1"), ("gid_map", f"{node.gid} 0 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _mount_sys() -> None:
    """Show the node's links in /sys/class/net; a container may forbid it, and little is lost."""
    try:
        flags = namespace.MS_NOSUID | namespace.MS_NODEV | namespace.MS_NOEXEC
        namespace.mount("sysfs", "/sys", "sysfs", flags)
    except OSError:
        return


def _cover(source: str, target: str) -> None:
    """Show the lab's file in place of the host's, where the host has one."""
    if os.path.exists(target) and os.path.exists(source) and os.path.getsize(source):
        namespace.mount(source, target, flags=namespace.MS_BIND)


def environment(node: Node) -> dict[str, str]:
    """Tell the command where it is, and put vnet's commands on its PATH."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    programs = (
        f"{here}/bin" if os.path.exists(f"{here}/bin/vnet-exec") else os.path.dirname(os.path.abspath(sys.argv[0]))
    )
    path = os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    if programs not in path.split(":"):
        path = f"{programs}:{path}"
    return {**os.environ, "PATH": path, "VNET_LAB": node.lab, "VNET_NODE": node.name, "VNET_IP": node.ip,
            "VNET_UID": str(node.uid)}  # fmt: skip


def become(command: list[str], env: dict[str, str]) -> int:
    """Become the command; returns only where that fails, with the exit status that says why."""
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores them, and the command would
        _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, env)  # noqa: S606
    except FileNotFoundError:
        print(f"vnet-exec: {command[0]}: command not found", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"vnet-exec: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE


def run(argv: list[str]) -> int:
    """Do what the command line says."""
    call = Call(argv)
    folder = f"{RUN}/{caller()}"
    node = Node(folder, _lab(call, folder), call.node)
    env, here = environment(node), os.getcwd()
    if node.way == "sudo" and os.geteuid():
        return _through_sudo(node, call, env, here)
    enter(node, root=call.root)
    try:
        os.chdir(here)
    except OSError:
        os.chdir("/")
    return become(call.command, env)


def _through_sudo(node: Node, call: Call, env: dict[str, str], here: str) -> int:
    """Become sudo, which becomes `root.py`, which goes into the node, gives its rights up and becomes the command."""
    from vnet.workers.sudo import exec_argv

    return become(exec_argv(node, call.command, env, here, root=call.root), dict(os.environ))


def main(argv: list[str] | None = None) -> int:
    """Run, and turn errors into words and exit statuses."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] in (["--help"], ["-h"], ["--version"]):
        from vnet.cli import describe

        return describe("exec", words[0])
    try:
        return run(words)
    except VnetError as error:
        print(f"vnet-exec: {error}", file=sys.stderr)
        return error.status if error.status != 1 else FAILED
    except OSError as error:
        print(f"vnet-exec: {error.filename or 'the kernel'}: {error.strerror}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
