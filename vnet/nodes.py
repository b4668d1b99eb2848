"""Which lab and which node a command line means: found in the files `nodes` of the caller's labs.

vnet-exec stands on this, so it imports next to nothing.
"""

from __future__ import annotations

import os
import sys

from vnet.errors import NotUpError, UsageError, VnetError, hint
from vnet.kernel.marks import distrust
from vnet.project import absolute, find_project

DAMAGED = "{}/nodes: not as vnet wrote it; vnet-up writes it anew"


class Node:
    """A node of a lab, and what it takes to get there: read from the lab's file `nodes`."""

    def __init__(self, folder: str, lab: str, name: str) -> None:
        """Find a node by name; with no lab, the gateway."""
        _check(folder)
        self.folder = f"{folder}/labs/{lab}" if lab else folder
        if not lab and not os.path.exists(f"{folder}/nodes"):
            raise NotUpError("the gateway is not up; vnet-up brings it up, with a lab")
        self.way, self.uid, self.gid, _, rows = read_nodes(self.folder)
        self.lab, self.name = lab, name
        if name not in rows:
            raise NotUpError(f"{name}: not a node of the lab {lab}{hint(name, rows)}; its nodes are {' '.join(rows)}")
        self.netns, self.ip = rows[name]


def _check(folder: str) -> None:
    """Refuse a folder of records that somebody else could have written, as `Records.exist` does."""
    try:
        found = os.lstat(folder)
    except OSError:
        return
    owner = int(os.path.basename(folder))
    if why := distrust(folder, found, owner, os.geteuid(), 65534):
        raise VnetError(why)


def node_of(folder: str, lab: str, name: str) -> Node:
    """Find a node of a lab whose name came from elsewhere."""
    return Node(folder, _checked(lab), name)


def read_nodes(folder: str) -> tuple[str, int, int, str, dict[str, tuple[str, str]]]:
    """Read a lab's way, owner, file and nodes (see `files.nodes`)."""
    try:
        with open(f"{folder}/nodes", encoding="utf-8") as file:
            head, project, *lines = file.read().split("\n")
        way, uid, gid = head.split()
        rows = {name: (netns, ip) for name, netns, ip in (line.split() for line in lines if line)}
        return way, int(uid), int(gid), project, rows
    except (FileNotFoundError, NotADirectoryError):
        raise NotUpError(f"the lab {os.path.basename(folder)} is not up; vnet-up brings it up") from None
    except ValueError:
        raise VnetError(DAMAGED.format(folder)) from None


def _file_of(folder: str) -> str | None:
    """Read a lab's file alone: all labs are asked for theirs, and may have hundreds of nodes; None for one that has just gone."""
    try:
        with open(f"{folder}/nodes", encoding="utf-8") as file:
            file.readline()
            project = file.readline()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not project.endswith("\n"):
        raise VnetError(DAMAGED.format(folder))
    return project[:-1]


def caller() -> int:
    """Tell the caller's user id on the host, also from inside a guest where he is root (user_namespaces(7))."""
    uid, of_lab = os.getuid(), os.environ.get("VNET_UID", "")
    if (
        uid == 0 and of_lab.isascii() and of_lab.isdecimal() and len(of_lab) < 11
    ):  # root in a lab is still its owner; root of the host may be whom he likes
        return int(of_lab)
    with open("/proc/self/uid_map", encoding="utf-8") as file:
        for line in file:
            inside, outside, count = map(int, line.split())
            if inside <= uid < inside + count:
                found = outside + uid - inside
                return found if found or not uid else uid  # in a node that was entered from within a node
    return uid


def find_lab(call_lab: str, call_file: str, folder: str) -> str:
    """Name the lab that is meant: `-n`, `-f`, VNET_LAB, VNET_FILE, or the project of the working directory.

    Where several labs of a file are up (`vnet-up -n trial`), it is the one that vnet-up and vnet-down mean there.
    """
    if call_lab or (not call_file and os.environ.get("VNET_LAB")):
        return _checked(call_lab or os.environ["VNET_LAB"])
    cwd = os.getcwd()
    path = call_file or os.environ.get("VNET_FILE") or find_project(cwd)
    wanted = absolute(cwd, path) if path else ""
    found = [lab for lab in labs(folder) if _file_of(f"{folder}/labs/{lab}") == wanted]
    if not wanted:
        found = [lab for lab in found if lab == os.path.basename(cwd)]
    if len(found) > 1:
        return _named(found, wanted)
    if not found:
        raise NotUpError(f"no lab of {wanted or cwd} is up; vnet-up brings it up, -n LAB names another")
    return found[0]


def _named(found: list[str], file: str) -> str:
    """Choose among labs of one file as vnet-up does: by what the settings say, which are read for that alone (0.1 s)."""
    import subprocess

    asked = subprocess.run(
        [f"{commands()}/vnet", "_names", "name", "-f", file], stdout=subprocess.PIPE, text=True, check=False
    )
    name = asked.stdout.strip()
    if name not in found:
        raise UsageError(f"several labs of {file} are up: {', '.join(found)}; -n LAB says which")
    return name


def commands() -> str:
    """Find the folder of vnet's commands: the checkout's bin/, or where an installation put the console scripts."""
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    started = os.path.dirname(os.path.abspath(sys.argv[0]))
    for folder in (f"{checkout}/bin", started, os.path.dirname(sys.executable)):
        if os.path.exists(f"{folder}/vnet-partition"):
            return folder
    return started


def _checked(lab: str) -> str:
    """Refuse what can't be the name of a lab, as it is about to be part of a path."""
    if "/" in lab or lab.startswith(".") or not lab.isprintable():
        raise UsageError(f"{lab!r}: not the name of a lab; vnet-status shows those that are up")
    return lab


def labs(folder: str) -> list[str]:
    """Name all labs that have nodes; one that is just being made has none yet."""
    try:
        names = sorted(os.listdir(f"{folder}/labs"))
    except OSError:
        return []
    return [name for name in names if os.path.exists(f"{folder}/labs/{name}/nodes")]
