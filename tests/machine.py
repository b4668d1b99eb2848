"""Simulated machines: the real kernel and the real tools, on a network, files and users of their own.

`world.sh` makes one; `Machine` starts it, runs commands on it as any of its users, and ends it. Nothing done
on it reaches the real machine, save what is written below /tmp and /dev, which both share.

    with Machine(userns=False) as machine:
        machine.run("sudo", "-n", "ip", "link", user="alice")
        machine.internet("ping", "-c1", "198.51.100.2")
"""

import compileall
import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from inside import Place, Process, as_root, hold, inode, search_path, wait_for
from snapshot import COLLECT, Snapshot

REPO = Path(__file__).resolve().parent.parent
INSIDE = "/opt/vnet"
"""Where the repository is on every simulated machine, read-only."""
MACHINE_IP, INTERNET_IP, NEIGHBOUR_IP = "198.51.100.2", "198.51.100.1", "198.51.100.3"
DNS_IP, SITE_IP, SITE_NAME = "198.51.100.53", "203.0.113.80", "site.example"
KINDS = ("pid", "net", "mnt")
"""The namespaces that make a machine."""
_END_TIMEOUT_S = 20

Completed = subprocess.CompletedProcess[str]


class Machine:
    """A simulated machine, its neighbour on the same LAN, and the internet; all end with close().

    `userns=False` forbids user namespaces to everyone on it, `sudo=False` takes the sudo binary away.
    """

    def __init__(self, *, userns: bool = True, sudo: bool = True) -> None:
        self._processes: list[Process] = []
        compileall.compile_dir(REPO / "vnet", quiet=2)  # it is mounted read-only: nobody could do so later
        self._world = self._start("user" if userns else "nouser", "sudo" if sudo else "nosudo")
        ready = self._world.stdout.readline().split()
        if ready[:1] != ["ready"]:
            said, _ = self._world.communicate(timeout=_END_TIMEOUT_S)
            raise AssertionError(f"the simulated machine did not start: {' '.join(ready)} {said}")
        world, machine = map(int, ready[1:])
        self.pid = machine
        self._machine = Place(machine, (*Place.namespaces, *(() if userns else ("--user",))))
        self._internet = Place(world)
        self._neighbour = Place(world, ("--mount", "--uts", "--ipc", f"--net=/proc/{world}/root/run/netns/neighbour"))
        # Held open until the end, lest another machine gets namespaces of the same numbers.
        self._held = [fd for pid in (world, machine) for kind in KINDS if (fd := hold(pid, kind)) is not None]

    def _start(self, userns: str, sudo: str) -> Process:
        spec = importlib.util.find_spec("pluggy")
        assert spec and spec.origin
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        argv = [*(as_root() or ()), "unshare", *Place.namespaces, "--pid", "--fork", "--kill-child"]
        argv += ["sh", str(REPO / "tests/world.sh"), "world", str(REPO), str(Path(spec.origin).parent.parent), python]
        env = {"PATH": search_path()}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return Process([*argv, search_path(), userns, sudo], text=True, env=env, start_new_session=True, **pipes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the machine and all that runs on it; assert that no process is left. Doing so twice is harmless."""
        assert self._world.stdin
        self._world.stdin.close()  # this ends it
        for process in (*self._processes, self._world):  # the world last: it lasts while its dead are not buried
            process.wait(_END_TIMEOUT_S)
            for pipe in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):  # what was not flushed is lost with its reader
                    if pipe:
                        pipe.close()
        self._processes.clear()
        left = self.holders()
        while self._held:
            os.close(self._held.pop())
        assert not left, f"processes outlived their machine: {left}"

    def holders(self) -> list[int]:
        """Return all processes of the real machine that are in a namespace of this one."""
        numbers = {os.fstat(fd).st_ino for fd in self._held}
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if any(inode(pid, kind) in numbers for kind in KINDS)]

    def popen(self, *argv: str, user: str = "root", cwd: str | None = None, **popen_kwargs: Any) -> Process:
        """Start a command on the machine; close() ends it. `env=` is added to a clean environment.

        Unless told otherwise by the keywords of subprocess.Popen, it reads nothing and is in text mode.
        """
        return self._popen(self._machine, argv, user=user, cwd=cwd, **popen_kwargs)

    def internet_popen(self, *argv: str, **kwargs: Any) -> Process:
        """Start a command on the internet; as popen()."""
        return self._popen(self._internet, argv, **kwargs)

    def neighbour_popen(self, *argv: str, **kwargs: Any) -> Process:
        """Start a command at the neighbour; as popen()."""
        return self._popen(self._neighbour, argv, **kwargs)

    def run(
        self, *argv: str, user: str = "root", check: bool = True, timeout_s: float = 60, **kwargs: Any
    ) -> Completed:
        """Run a command on the machine; fail with all it said unless its exit status is 0 or `check` is false.

        `cwd` is the user's home by default, `env` is added to a clean environment, `input` is its stdin.
        """
        return self._run(self._machine, argv, user=user, check=check, timeout_s=timeout_s, **kwargs)

    def internet(self, *argv: str, **kwargs: Any) -> Completed:
        """Run a command on the internet; as run()."""
        return self._run(self._internet, argv, **kwargs)

    def neighbour(self, *argv: str, **kwargs: Any) -> Completed:
        """Run a command at the neighbour; as run()."""
        return self._run(self._neighbour, argv, **kwargs)

    def vnet(self, verb: str, *args: str, user: str = "root", **kwargs: Any) -> Completed:
        """Run bin/vnet-VERB on the machine; as run()."""
        return self.run(f"{INSIDE}/bin/vnet-{verb}", *args, user=user, **kwargs)

    def write(self, path: str, text: str, *, user: str = "root", mode: int = 0o644) -> None:
        """Write a file on the machine, as `user`, with the folders it needs."""
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, f"{mode:o}", user=user, input=text)

    def start_dns(self) -> None:
        """Start the server that the machine's /etc/resolv.conf names; it knows SITE_NAME."""
        argv = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]
        argv += [f"--listen-address={DNS_IP}", "--bind-interfaces", "--pid-file", "--local-ttl=1"]
        server = self.internet_popen(*argv, f"--host-record={SITE_NAME},{SITE_IP}")

        def listens() -> bool:
            assert server.poll() is None, "dnsmasq ended"
            return DNS_IP in self.internet("ss", "-Hlun", "sport = :53").stdout

        wait_for(listens, "dnsmasq to listen")

    def snapshot(self) -> Snapshot:
        """Look at everything on the machine that vnet could change."""
        return Snapshot.parse(self.run("python3", "-I", "-S", COLLECT).stdout, again=self.snapshot)

    def _run(
        self,
        place: Place,
        argv: tuple[str, ...],
        *,
        check: bool = True,
        timeout_s: float = 60,
        input: str | None = None,
        **kwargs: Any,
    ) -> Completed:
        pipes = {"stdin": subprocess.DEVNULL if input is None else subprocess.PIPE}
        with self._popen(place, argv, **pipes, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs) as process:
            try:
                out, err = process.communicate(input, timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise AssertionError(
                    f"{argv} took more than {timeout_s:g} s; it said {error.output!r}, {error.stderr!r}"
                ) from None
        self._processes.remove(process)
        if check and process.returncode != 0:
            raise AssertionError(f"{argv} ended with status {process.returncode}\nstdout: {out}\nstderr: {err}")
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def _popen(
        self,
        place: Place,
        argv: tuple[str, ...],
        *,
        user: str = "root",
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Process:
        home = "/root" if user == "root" else f"/home/{user}"
        clean = {"PATH": search_path(), "HOME": home, "USER": user, "LOGNAME": user, "SHELL": "/bin/bash"}
        clean |= {"LANG": "C.UTF-8", **(env or {})}
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        become += ["env", "--ignore-environment", f"--chdir={cwd or home}", *(f"{k}={v}" for k, v in clean.items())]
        if not kwargs.get("encoding") and kwargs.setdefault("text", True):
            kwargs |= {"encoding": "utf-8", "errors": "replace"}
        with place.joined():
            process = Process([*place.enter(), *become, *argv], **{"stdin": subprocess.DEVNULL, **kwargs})
        self._processes.append(process)
        return process
