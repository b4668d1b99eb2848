"""What Python code outside vnet is given of a lab: its nodes, and how to run something in them.

Hooks get these values as arguments. They are thin and frozen: addresses and names as `vnet.model` has them,
and `exec` and `popen`, which go through vnet-exec, so a command runs with the rights of whoever asks.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from vnet import model

if TYPE_CHECKING:
    import subprocess

#: Where namespaces are pinned, as ip-netns(8) has it; with the way `userns`, as seen in the lab's own mounts.
PINS = "/run/netns"


def exec_argv(lab_name: str, node_name: str, root: bool = False) -> list[str]:
    """Write the beginning of the command that runs what follows it in a node.

    vnet-exec is started by the path of its module: the shortest way, and there is no PATH to trust.
    """
    program = f"{__file__.rpartition('/')[0]}/exec.py"
    lab = ["-n", lab_name] if lab_name else []
    return [sys.executable, "-I", "-S", program, *lab, *(["--root"] if root else []), node_name, "--"]


@dataclass(frozen=True)
class Node:
    """A place that commands run in: a guest, a lab's bridge, or the gateway.

    `netns` is the path of the pin; `lab_name` is empty where no lab is concerned.
    """

    name: str
    ip: IPv4Address
    netns: str
    lab_name: str

    def exec(
        self, *argv: str, check: bool = True, root: bool = False, timeout_s: float | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, wait for it, and give back what it printed, as text.

        `root`: as root inside the lab. `options` are those of subprocess.run; without one for it the command
        reads nothing. Raises subprocess.CalledProcessError (`check`), with the command's stderr as a note, and
        subprocess.TimeoutExpired.
        """
        import subprocess

        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        if "input" not in options:
            pipes["stdin"] = subprocess.DEVNULL
        command = [*self._exec_argv(root), *argv]
        done = subprocess.run(command, timeout=timeout_s, check=False, **{**pipes, **options})
        if check and done.returncode:
            error = subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
            error.add_note(f"in {self.name}: {done.stderr}".rstrip())
            raise error
        return done

    def popen(self, *argv: str, root: bool = False, **options: Any) -> subprocess.Popen[Any]:
        """Start a command and give back its process; `options` are those of subprocess.Popen."""
        import subprocess

        return subprocess.Popen([*self._exec_argv(root), *argv], **options)

    def _exec_argv(self, root: bool) -> list[str]:
        """Write the beginning of a command for here."""
        return exec_argv(self.lab_name, self.name, root)


@dataclass(frozen=True)
class Guest(Node):
    """A guest, and the ports at the gateway's address that lead to it."""

    ports: tuple[model.Port, ...] = ()


@dataclass(frozen=True)
class Gateway(Node):
    """The gateway; `host_ip` and `interface` are the host's end of it."""

    host_ip: IPv4Address
    interface: str

    def _exec_argv(self, root: bool) -> list[str]:
        """Go there without a lab: the gateway stands before the first and after the last one."""
        return exec_argv("", self.name, root)


@dataclass(frozen=True)
class Lab:
    """A lab; `file` is the vnet.toml it comes from, where there is one."""

    name: str
    number: int
    file: str | None
    _model: model.Lab = field(repr=False)

    @property
    def gateway(self) -> Gateway:
        """The gateway that the lab hangs on."""
        return gateway_view(self._model.gateway, self.name)

    @property
    def bridge(self) -> Node:
        """The lab's bridge; its address is the one that guests see."""
        return Node("bridge", self._model.bridge_ip, f"{PINS}/{self._model.netns}", self.name)

    @property
    def guests(self) -> tuple[Guest, ...]:
        """All guests, in the order of the settings."""
        return tuple(guest_view(guest, self._model) for guest in self._model.guests)

    def guest(self, name: str) -> Guest:
        """Find a guest by name; LookupError says which there are."""
        found = self._model.guest(name)
        if found is None:
            names = ", ".join(guest.name for guest in self._model.guests)
            raise LookupError(f"lab {self.name} has no guest {name!r}; it has: {names}")
        return guest_view(found, self._model)


def gateway_view(gateway: model.Gateway, lab_name: str) -> Gateway:
    """Show a gateway, as seen from a lab."""
    netns = f"{PINS}/{gateway.netns}"
    return Gateway("gateway", gateway.ip, netns, lab_name, gateway.host_ip, gateway.interface)


def lab_view(lab: model.Lab) -> Lab:
    """Show a lab."""
    return Lab(lab.name, lab.number, lab.file, lab)


def guest_view(guest: model.Guest, lab: model.Lab) -> Guest:
    """Show a guest of a lab."""
    return Guest(guest.name, guest.ip, f"{PINS}/{lab.guest_netns(guest)}", lab.name, guest.ports)


def views(arguments: Mapping[str, Any], lab_name: str) -> dict[str, Any]:
    """Turn what the engine knows into what a hook is given; what is no part of the model stays as it is."""
    shown = dict(arguments)
    lab = arguments.get("lab")
    for name, value in arguments.items():
        if isinstance(value, model.Lab):
            shown[name] = lab_view(value)
        elif isinstance(value, model.Gateway):
            shown[name] = gateway_view(value, lab_name)
        elif isinstance(value, model.Guest) and isinstance(lab, model.Lab):
            shown[name] = guest_view(value, lab)
    return shown
