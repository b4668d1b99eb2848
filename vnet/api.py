"""What Python code outside vnet is given of a lab: its nodes, and how to run something in them.

Hooks get these values as arguments, and `vnet.up` gives them (`vnet.lab`). They are thin and frozen: addresses and
names as `vnet.model` has them, and `run`, `exec` and `popen`, which go through vnet-exec, so a command runs with
the rights of whoever asks.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from vnet import model
from vnet.kernel.marks import pin

if TYPE_CHECKING:
    import subprocess
    from contextlib import AbstractContextManager

    from vnet.process import Process

#: The folder of the package.
HERE = __file__.rpartition("/")[0]
#: The processes that `popen` has started, by lab: one that is forgotten while it runs would make Python complain.
started: dict[str, list[Process]] = {}


def exec_argv(lab_name: str, node_name: str, root: bool = False) -> list[str]:
    """Write the beginning of the command that runs what follows it in a node.

    vnet-exec is started by the path of its module: the shortest way, and there is no PATH to trust.
    """
    program = f"{HERE}/exec.py"
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

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = False,
        root: bool = False,
        timeout_s: float | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, wait for it, and give back what it printed, as text.

        `root`: as root inside the lab. `options` are `input` and those of subprocess.Popen; without one for it the command
        reads nothing. Raises subprocess.CalledProcessError (`check`), with the command's stderr as a note, and
        subprocess.TimeoutExpired.
        """
        import subprocess

        from vnet import process

        text = options.pop("input", None)
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        pipes["stdin"] = subprocess.DEVNULL if text is None else subprocess.PIPE
        made = process.Process([*self._exec_argv(root), *argv], self._exec_argv(True), **{**pipes, **options})
        done = process.run(made, text, timeout_s)
        if check and done.returncode:
            error = subprocess.CalledProcessError(done.returncode, tuple(argv), done.stdout, done.stderr)
            error.add_note(f"in {self.name}: {done.stderr}".rstrip())
            raise error
        return done

    def exec(self, *argv: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command that is to succeed; as run(), save that `check` is true and the words stand by themselves."""
        return self.run(argv, check=check, **options)

    def popen(self, *argv: str | Sequence[str], root: bool = False, **options: Any) -> Process:
        """Start a command, given as words or as one list, and give back its process.

        `options` are those of subprocess.Popen. The process ends with the lab at the latest.
        """
        from vnet.process import Process

        words = [word for each in argv for word in ((each,) if isinstance(each, str) else each)]
        made = Process([*self._exec_argv(root), *words], self._exec_argv(True), **options)
        running = started.setdefault(self.lab_name, [])
        running[:] = [*(each for each in running if each.poll() is None), made]
        return made

    def wait_for_port(
        self, port: int, *, timeout_s: float = 10.0, process: subprocess.Popen[Any] | None = None
    ) -> None:
        """Wait until something here listens at a TCP port that others reach; nothing is connected to.

        `process` is what is to listen: when it ends before, waiting ends, too (ChildProcessError). Raises TimeoutError.
        """
        import subprocess
        import time

        program = (sys.executable, "-I", "-S", f"{HERE}/kernel/listening.py", str(port), str(timeout_s))
        with self.popen(program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        text=True) as waits:  # fmt: skip
            while waits.poll() is None:
                if process is not None and process.poll() is not None:
                    waits.kill()
                    raise ChildProcessError(
                        f"{self.name}: the process ended with status {process.returncode} before it listened at {port}"
                    )
                time.sleep(0.005)
            if waits.returncode:
                said = waits.communicate()[0].strip()
                raise TimeoutError(f"{self.name}: nothing listens at TCP port {port} after {timeout_s:g} s; {said}")

    def inside(self) -> AbstractContextManager[None]:
        """Let the sockets that this thread makes meanwhile be this node's.

        For root all of the thread's networking is; for a user, Python's sockets are (see `vnet.inside`).
        """
        from vnet.inside import inside

        return inside(self)

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
        return Node("bridge", self._model.bridge_ip, pin(self._model.netns), self.name)

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
    netns = pin(gateway.netns)
    return Gateway("gateway", gateway.ip, netns, lab_name, gateway.host_ip, gateway.interface)


def lab_view(lab: model.Lab) -> Lab:
    """Show a lab."""
    return Lab(lab.name, lab.number, lab.file, lab)


def guest_view(guest: model.Guest, lab: model.Lab) -> Guest:
    """Show a guest of a lab."""
    return Guest(guest.name, guest.ip, pin(lab.guest_netns(guest)), lab.name, guest.ports)


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
