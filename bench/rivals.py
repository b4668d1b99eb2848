"""The rivals: each does what it does for a network of so many hosts, in its own way."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from collections.abc import Sequence

from contenders import Contender
from world import COMMAND_S, HERE, Failed, World, prefix


class Resident(Contender):
    """A tool whose network lasts as long as its process."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.process: subprocess.Popen[str] | None = None
        self.pid = ""

    def command(self, guests: int) -> Sequence[str]:
        """Write the command; it prints `up PID` and ends with its stdin."""
        raise NotImplementedError

    def up(self, lab: int, guests: int) -> None:
        """Start it."""
        self.process = self.world.popen(*self.command(guests), stdin=subprocess.PIPE)
        assert self.process.stdout
        said = self.process.stdout.readline().split()
        if said[:1] != ["up"]:
            raise Failed(f"{self.name}: {self.process.communicate(timeout=COMMAND_S)[1].strip()[-300:]}")
        self.pid = said[1]

    def source(self, lab: int) -> str:
        """Ask from the first guest: its bridge has no address."""
        return f"/proc/{self.pid}/ns/net"

    def down(self, lab: int, guests: int) -> None:
        """Tell it to stop; its own start is not counted."""
        assert self.process
        self.process.communicate("", timeout=COMMAND_S)


class Mininet(Resident):
    """Mininet, with the Linux bridge as its switch."""

    name = "Mininet"

    def missing(self) -> str:
        """Look for the package."""
        need = {"/usr/lib/python3/dist-packages/mininet": "mininet", "/usr/sbin/brctl": "bridge-utils"}
        return ", ".join(f"no Debian package {package}" for path, package in need.items() if not os.path.exists(path))

    def command(self, guests: int) -> Sequence[str]:
        """Run it with Debian's own Python."""
        return ("/usr/bin/python3", f"{HERE}/mininet_lab.py", str(guests), str(prefix(guests)))


class Munet(Resident):
    """munet; 50 nodes take it a third of a minute."""

    name = "munet"
    most = 50

    def _folder(self) -> str:
        found = glob.glob(f"{os.path.dirname(HERE)}/.venv/lib/*/site-packages/munet")
        return os.path.dirname(found[0]) if found else ""

    def missing(self) -> str:
        """Look for the package."""
        return "" if self._folder() else "PyPI's munet is not in .venv"

    def command(self, guests: int) -> Sequence[str]:
        """Run it from the virtual environment's folder."""
        words = (f"{HERE}/munet_lab.py", str(guests), str(prefix(guests)), "/run/munet")
        return ("env", f"PYTHONPATH={self._folder()}", "python3", *words)


class Cni(Contender):
    """The CNI bridge plugin, with host-local."""

    name = "CNI bridge"

    def missing(self) -> str:
        """Look for the package."""
        return "" if os.path.exists("/usr/lib/cni/bridge") else "no Debian package containernetworking-plugins"

    def up(self, lab: int, guests: int) -> None:
        """Add all guests."""
        self.world.run(f"{HERE}/cni.sh", "up", str(guests), str(prefix(guests)))

    def source(self, lab: int) -> str:
        """Ask from the machine, as the bridge is there."""
        return "/proc/self/ns/net"

    def down(self, lab: int, guests: int) -> None:
        """Remove all guests."""
        self.world.run(f"{HERE}/cni.sh", "down", str(guests), str(prefix(guests)))


class Podman(Cni):
    """podman: a network and a container a guest, which is more than a lab has."""

    name = "podman"
    most = 10
    root = "/run/bench-rootfs"

    def missing(self) -> str:
        """Look for the package, and give it what its runtime asks for."""
        if not shutil.which("podman"):
            return "no Debian package podman"
        if not os.path.exists(self.root):
            for folder in ("dev", "proc", "sys", "etc", "run", "tmp"):
                os.makedirs(f"{self.root}/{folder}")
            shutil.copy(f"{self.world.programs}/probe", self.root)
            try:
                self.world.run("unshare", "--cgroup", "mount", "-t", "cgroup2", "none", "/sys/fs/cgroup")
            except Failed as error:
                return str(error)
        return ""

    def up(self, lab: int, guests: int) -> None:
        """Make the network and run the containers."""
        self.world.run(f"{HERE}/podman.sh", "up", str(guests), self.root)

    def down(self, lab: int, guests: int) -> None:
        """Remove both."""
        self.world.run(f"{HERE}/podman.sh", "down", str(guests))


RIVALS = (Mininet, Munet, Cni, Podman)
