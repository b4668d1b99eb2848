"""vnet-exec by way of sudo, where user namespaces are forbidden: both ends of it.

The caller's side leaves his environment in a file of his own and becomes sudo. The root side goes into the node,
becomes the caller again, with all his groups and none of root's rights, and then the command.
"""

from __future__ import annotations

import os
import stat
import sys

from vnet import exec as run_in
from vnet.errors import CommandError, UsageError, VnetError
from vnet.kernel import namespace
from vnet.kernel.marks import state_folder
from vnet.kernel.path import tool
from vnet.nodes import Node, node_of


def sudo() -> str:
    """Find sudo, where it can do anything."""
    try:
        found = tool("sudo")
    except CommandError:
        raise VnetError(
            "the gateway is made, mended and taken away by root: run this as root, or install sudo"
        ) from None
    if blocked():
        raise VnetError(
            "sudo can't be used here, as nothing may gain rights (no_new_privs): call it outside of this node or container"
        )
    return found


def blocked() -> bool:
    """Tell whether nothing that is started here can gain rights (prctl(2), PR_SET_NO_NEW_PRIVS)."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        return "NoNewPrivs:\t1" in file.read()


def sudo_argv(*options: str, asks: bool = True) -> list[str]:
    """Start the part that runs under sudo; where it is not to ask, or nobody could type a password, sudo fails at once."""
    here = os.path.dirname(os.path.abspath(__file__))
    quiet = [] if asks and sys.stdin is not None and sys.stdin.isatty() else ["-n"]
    return [sudo(), *quiet, "--", sys.executable, "-I", "-B", *options, f"{here}/root.py"]


def exec_argv(node: Node, command: list[str], env: dict[str, str], here: str, *, root: bool) -> list[str]:
    """Write the argv of the caller's side."""
    path = f"{state_folder(node.uid)}/environment.{os.getpid()}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(b"\0".join(os.fsencode(f"{name}={value}") for name, value in env.items()))
    call = [node.lab, node.name, path, here, f"{run_in.umask_now():03o}", *command]
    return [*sudo_argv("-S"), "exec-root" if root else "exec", *call]


def exec_in(uid: int, argv: list[str], *, root: bool) -> int:
    """Do the root side, for the caller `uid`."""
    if len(argv) < 6 or len(argv[4]) != 3 or not set("01234567").issuperset(argv[4]):
        raise UsageError("this part is for vnet-exec to start")
    lab, name, path, here, umask, *command = argv
    if os.path.dirname(path) != state_folder(uid):
        raise UsageError(f"{path}: not a file of vnet-exec's")
    node = _node(uid, lab, name)
    env = _take(path, uid)
    trusted = root or _may_be_root(uid)
    run_in.enter(node, root=True)
    if not root:
        _become_caller(uid, trusted=trusted)
    run_in.go(here)
    os.umask(int(umask, 8))  # sudo's own else
    return run_in.become(command, env)


def _node(uid: int, lab: str, name: str) -> Node:
    """Find a node of the caller's.

    The file is his, so it is read with no more rights than his, and believed only where a mark of root's says the same.
    """
    from vnet.workers.guard import Guard

    os.setgroups([])
    os.setegid(65534)
    os.seteuid(uid)
    try:
        node = node_of(state_folder(uid), lab, name)
    finally:
        os.seteuid(0)
        os.setegid(0)
    if not Guard(uid, frozenset()).owns(node.netns):
        raise VnetError(f"{node.netns}: not a namespace of the caller's")
    node.way, node.uid = "sudo", uid
    return node


def keep(uid: int) -> int:
    """Be the keeper of a run of vnet-run, for the caller `uid`."""
    from vnet.run import keeper

    trusted = _may_be_root(uid)

    def go(lab: str, name: str) -> Node:
        node = _node(uid, lab, name)
        run_in.enter(node, root=True)
        _become_caller(uid, trusted=trusted)
        return node

    keeper.serve(go)
    return 0


def _take(path: str, uid: int) -> dict[str, str]:
    """Read the caller's environment, and remove the file."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if found.st_uid != uid or not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path}: not a file of uid {uid}")
        os.unlink(path)
        pairs = (item.partition(b"=") for item in file.read().split(b"\0") if item)
        return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def _may_be_root(uid: int) -> bool:
    """Tell whether sudo would make the caller root for a shell, too: asked where host name and addresses are the host's."""
    import pwd

    from vnet.kernel.runner import capture

    try:
        name = pwd.getpwuid(uid).pw_name
        capture(("sudo", "-n", "-l", "-U", name, "--", "/bin/sh"))
    except (KeyError, VnetError):
        return False
    return True


def _become_caller(uid: int, *, trusted: bool) -> None:
    """Give root's rights up for good.

    What has root's rights by its file's mode (sudo itself, su) asks for the machine's name and addresses, and in a node these are
    what the caller wrote into his settings. The kernel wants a user namespace for that reason; here only who is `trusted` keeps
    such programs.
    """
    import pwd

    if not trusted:
        namespace.no_new_privileges()
    entry = pwd.getpwuid(uid)
    os.setgroups(os.getgrouplist(entry.pw_name, entry.pw_gid))
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(uid, uid, uid)
