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

from vnet.errors import NotUpError, UsageError, VnetError, plain
from vnet.errors import words as worded
from vnet.kernel import namespace
from vnet.kernel.marks import GONE, OUTSIDE, pin, pins_folder, state_folder, user_pins
from vnet.nodes import Node, caller, commands, find_lab, labs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Exit statuses of vnet-exec alone.
FAILED, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127
TOO_DEEP = (
    "can't be entered from here, a node within a node: start the outer vnet-exec with --root, or this one on the host"
)
USAGE = "usage: vnet-exec [-f FILE] [-n LAB] [--root] NODE [--] COMMAND [ARG ...]"


class Call:
    """What was asked for on the command line."""

    def __init__(self, argv: list[str]) -> None:
        """Read the words up to NODE; what comes behind is the command's."""
        self.root = self.verbose = self.debug = False
        self.lab, self.file, self.asks = "", "", ""
        words = list(argv)
        while words and words[0].startswith("-") and words[0] != "--":
            self._option(words.pop(0), words)
        if words[:1] == ["--"]:
            words.pop(0)
        if self.asks:
            return
        if len(words) < 2 or words[1:] == ["--"]:
            raise UsageError(f"{'COMMAND' if words else 'NODE'} is missing; {USAGE}")
        self.node = words.pop(0)
        self.command = words[1:] if words[0] == "--" else words

    def _option(self, word: str, words: list[str]) -> None:
        """Read one option; short ones may have their value joined on."""
        if word[:2] in ("-n", "-f"):
            if not word[2:] and not words:
                raise UsageError(f"{word}: a value is missing; {USAGE}")
            setattr(self, {"-n": "lab", "-f": "file"}[word[:2]], word[2:] or words.pop(0))
        elif word in ("-h", "--help", "--version"):
            self.asks = word
        elif word in ("--root", "-v", "--debug"):
            setattr(self, {"--root": "root", "-v": "verbose", "--debug": "debug"}[word], True)
        elif word != "-q":
            raise UsageError(f"{word}: not an option of vnet-exec; {USAGE}")


def _lab(call: Call, folder: str) -> str:
    """Name the lab that is meant; the gateway can be meant with none, whatever VNET_LAB says."""
    alone = call.node == "gateway" and not call.lab
    try:
        name = find_lab(call.lab, call.file, folder)
    except NotUpError:
        if alone:
            return ""
        raise
    return "" if alone and name not in labs(folder) else name


def enter(node: Node, *, root: bool) -> None:
    """Go into a node: its network, host name, hosts file and resolver, as the caller or as the lab's root."""
    again = _enter_users(node, root=root) if node.way == "userns" else False
    if not namespace.is_pin(pin(node.netns)):
        raise NotUpError(f"{node.name}: its namespace is gone; vnet-up makes it anew")
    namespace.setns(pin(node.netns), namespace.NEWNET)
    namespace.unshare(namespace.NEWNS | namespace.NEWUTS)
    namespace.mount("none", "/", flags=namespace.MS_SLAVE | namespace.MS_REC)
    _mount_sys()
    for name in ("hosts", "resolv.conf"):
        _cover(node, f"{node.folder}/{name}", f"/etc/{name}")
    namespace.set_hostname(node.name)
    if again:
        _be_oneself(node)


def _enter_users(node: Node, *, root: bool) -> bool:
    """Enter the caller's user namespaces; tells whether his own id is still to be got back.

    `user` keeps his id, in `admin` he is root. From inside a guest only `admin` can be entered, or is where one is.
    """
    folder, pinned = pins_folder(node.uid), user_pins(node.uid)
    if pinned & OUTSIDE:
        if not pinned >= {"user", "admin", "mnt"}:
            raise NotUpError(GONE.format(folder))
        mnt = os.open(f"{folder}/mnt", os.O_RDONLY | os.O_CLOEXEC)
        namespace.setns(f"{folder}/{'admin' if root else 'user'}", namespace.NEWUSER)
        namespace.setns_fd(mnt, namespace.NEWNS)
        os.close(mnt)
        return False
    if not namespace.is_in(f"{folder}/admin"):
        try:
            namespace.setns(f"{folder}/admin", namespace.NEWUSER)
        except PermissionError:
            raise VnetError(f"{node.name}: {TOO_DEEP}") from None
        except OSError:
            raise NotUpError(GONE.format(folder)) from None
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


def _cover(node: Node, source: str, target: str) -> None:
    """Show the lab's file in place of the host's, where the host has one.

    With `sudo` this is done by root in a folder of the caller's, who may have put a link to somebody else's file there.
    """
    if not (os.path.exists(target) and os.path.exists(source)):
        return
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if node.way == "sudo" and found.st_uid != node.uid:
            raise UsageError(f"{source}: not a file of uid {node.uid}; remove it, then vnet-up writes it anew")
        if found.st_size:
            namespace.mount(f"/proc/self/fd/{fd}", target, flags=namespace.MS_BIND)
    finally:
        os.close(fd)


def environment(node: Node) -> dict[str, str]:
    """Tell the command where it is, and put vnet's commands on its PATH."""
    path = os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    programs = commands()
    if programs not in path.split(":"):
        path = f"{programs}:{path}"
    return {**os.environ, "PATH": path, "VNET_LAB": node.lab, "VNET_NODE": node.name, "VNET_IP": node.ip,
            "VNET_UID": str(node.uid)}  # fmt: skip


def become(command: list[str], env: dict[str, str], who: str = "vnet-exec") -> int:
    """Become the command; returns only where that fails, with the exit status that says why."""
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores them, and the command would inherit that
        _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, env)  # noqa: S606
    except FileNotFoundError:
        print(f"{who}: {plain(command[0])}: command not found", file=sys.stderr)
        return NOT_FOUND
    except OSError as error:
        print(f"{who}: {plain(command[0])}: {error.strerror}", file=sys.stderr)
        return NOT_EXECUTABLE


def run(call: Call) -> int:
    """Do what the command line says."""
    folder = state_folder(caller())
    node = Node(folder, _lab(call, folder), call.node)
    env, here, command = environment(node), _here(), call.command
    if node.way == "sudo" and os.geteuid():  # `root.py` goes into the node, gives its rights up and becomes the command
        from vnet.workers.sudo import exec_argv

        command, env = exec_argv(node, command, env, here, root=call.root), dict(os.environ)
    else:
        enter(node, root=call.root)
        go(here)
    if call.verbose:
        from shlex import join

        print("[#]", join(command), file=sys.stderr, flush=True)
    return become(command, env)


def umask_now() -> int:
    """Tell this process's umask, which can only be set (umask(2)); what is made meanwhile is its owner's alone."""
    found = os.umask(0o077)
    os.umask(found)
    return found


def _here() -> str:
    """Name the working directory; where it was removed, a command would find itself in another one."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise VnetError("the working directory was removed; cd to one that is there") from None


def go(here: str) -> None:
    """Go back to the working directory, in the node's view of the files; `/` where it is not seen from there."""
    try:
        os.chdir(here)
    except OSError:
        os.chdir("/")


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says, or say why not."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # Ctrl-C ends it without a traceback
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    try:
        call = Call(sys.argv[1:] if argv is None else argv)
    except VnetError as error:
        return _tell(error)
    if call.asks:
        from vnet.cli import describe

        return describe("exec", call.asks)
    return run(call) if call.debug else told(lambda: run(call))


def told(act: Callable[[], int]) -> int:
    """Do something, and turn its errors into words and exit statuses."""
    try:
        return act()
    except (VnetError, OSError, ModuleNotFoundError) as error:
        return _tell(error)


def _tell(error: Exception) -> int:
    """Say why it failed; gives the exit status for that."""
    print(f"vnet-exec: {plain(worded(error))}", file=sys.stderr)
    status = getattr(error, "status", VnetError.status)
    return FAILED if status == VnetError.status else status


if __name__ == "__main__":
    sys.exit(main())
