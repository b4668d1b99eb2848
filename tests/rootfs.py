"""Pack a small root file system: this machine's Python, ip and iptables with the libraries that they need, and a shell.

    python3 rootfs.py FILE.tar

It stands for what a program under test brings along, an image of Debian for instance, and takes no network to make.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("sh", "env", "ip", "iptables", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore")
#: Of Python's library, what is large and not needed.
LEFT_OUT = re.compile(
    r"test|unittest|ensurepip|lib2to3|idlelib|pydoc_data|distutils|asyncio|turtle\.py|config-.*|.*-packages"
    r"|_(ssl|hashlib|sqlite3|dbm|curses|test|tkinter|codecs).*\.so"
)
FOLDERS = ("dev", "etc", "proc", "run", "sys", "tmp")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}


def libraries(files: list[str]) -> set[str]:
    """Name the libraries that programs and libraries load, as ldd(1) tells."""
    said = subprocess.run(["ldd", *files], capture_output=True, text=True).stdout
    return set(re.findall(r"(/\S+) \(0x", said))


def matches() -> str:
    """Find the folder of iptables' matches, beside its library."""
    (library,) = {path for path in libraries([found("iptables")]) if "libxtables" in path}
    return f"{os.path.dirname(library)}/xtables"


def found(program: str) -> str:
    """Find a program."""
    path = shutil.which(program)
    assert path, program
    return path


def contents(python: str) -> Iterator[tuple[str, str]]:
    """Say which file or folder of this machine is what in the new root."""
    library = os.path.dirname(os.__file__)
    loaded = [str(path) for path in Path(library, "lib-dynload").glob("*.so") if not LEFT_OUT.fullmatch(path.name)]
    programs = [found(name) for name in PROGRAMS]
    for path in {*libraries([python, *loaded, *programs]), *programs, matches(), library, python}:
        yield path, re.sub(r"^(lib|lib64|bin|sbin)/", r"usr/\1/", path[1:])


def wanted(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is not needed."""
    return None if LEFT_OUT.fullmatch(os.path.basename(info.name)) else info


def pack(target: str) -> None:
    """Write the archive."""
    python = os.path.realpath(sys.executable)
    with tarfile.open(target, "w", dereference=True) as tar:
        for name in FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name, to in {**LINKS, "usr/bin/python3": python}.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, to
            tar.addfile(link)
        for path, name in contents(python):
            tar.inodes = {}  # two names of one file are two files
            tar.add(path, name, filter=wanted)


if __name__ == "__main__":
    pack(sys.argv[1])
