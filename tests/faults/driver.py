"""Runs on a simulated machine, as root: starts vnet under the injector, and looks at what is left.

Reads one JSON object a line, answers with one; `faults.world.World` is the other end.
"""

from __future__ import annotations

import json
import os
import pwd
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[0:1] = ["/opt/vnet/tests", "/opt/vnet"]
import snapshot  # noqa: E402
from faults import injector  # noqa: E402

from vnet.kernel import namespace  # noqa: E402

CLONE_NEWNS, CLONE_NEWNET = namespace.NEWNS, namespace.NEWNET
GATEWAY, HOST, INTERNET = "172.18.255.2", "172.18.255.1", "198.51.100.1"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WORD = b"it works\n"


class Driver:
    """The user, his project, and what the machine looked like at first."""

    def __init__(self, user: str) -> None:
        self.entry = pwd.getpwnam(user)
        self.project = f"{self.entry.pw_dir}/project"
        self.run = f"/run/vnet/{self.entry.pw_uid}"
        self.under_way: dict[int, tuple[int, int, str]] = {}
        self.before = self._look()

    def _look(self) -> snapshot.Snapshot:
        return snapshot.Snapshot(json.loads(json.dumps(snapshot.collect())), again=self._look)

    def start(self, argv: list[str], fault: dict[str, Any], limit_s: float, cwd: str = "") -> int:
        """Start a verb under the injector; gives back a handle, once the harm is done where there is to be some."""
        said = f"/home/said.{time.monotonic_ns()}"
        read, write = os.pipe()

        def become() -> None:
            for fd in (1, 2):
                os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), fd)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            who = self.entry
            os.initgroups(who.pw_name, who.pw_gid)
            os.setresgid(who.pw_gid, who.pw_gid, who.pw_gid)
            os.setresuid(who.pw_uid, who.pw_uid, who.pw_uid)
            os.chdir(cwd or self.project)
            os.environ.clear()
            os.environ.update({"PATH": PATH, "HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name})

        python = next(f"{folder}/python3" for folder in PATH.split(":") if os.path.exists(f"{folder}/python3"))
        tracer = injector.start(
            [python, f"/opt/vnet/bin/vnet-{argv[0]}", *argv[1:]], become, injector.Fault(**fault), limit_s, write
        )
        os.close(write)
        self.under_way[tracer] = (read, tracer, said)
        return tracer

    def fired(self, handle: int, limit_s: float = 60) -> bool:
        """Wait until the harm is done, or it is over without any."""
        read = self.under_way[handle][0]
        return bool(select.select([read], [], [], limit_s)[0])

    def end(self, handle: int) -> dict[str, Any]:
        """Wait for the end of a verb, and of all its processes."""
        read, tracer, said = self.under_way.pop(handle)
        with os.fdopen(read, "rb") as file:
            lines = file.read().splitlines()
        os.waitpid(tracer, 0)
        told = json.loads(lines[-1])
        told["said"] = Path(said).read_text(errors="replace") if os.path.exists(said) else ""
        if os.path.exists(said):
            os.unlink(said)
        return told

    def verb(
        self, argv: list[str], fault: dict[str, Any] | None = None, limit_s: float = 60, cwd: str = ""
    ) -> dict[str, Any]:
        """Run a verb."""
        return self.end(self.start(argv, fault or {}, limit_s, cwd))

    def same(self, limit_s: float = 3.0) -> list[str]:
        """Tell what differs from what the machine looked like at first."""
        deadline = time.monotonic() + limit_s
        while (diff := self.before.diff(self._look())) and time.monotonic() < deadline:
            time.sleep(0.02)
        return diff

    def works(self, names: list[str], ports: list[int]) -> list[str]:
        """Tell what does not work in the lab: guest to guest, the gateway, the internet, the forwarded port."""
        rows = self._nodes()
        found = [f"{name}: not in {self.run}/labs/project/nodes" for name in names if name not in rows]
        if found:
            return found
        first, second = names[0], names[-1]
        asks = [(rows[second][0], rows[first][1]), ("", GATEWAY), (rows[second][0], GATEWAY)]
        for port in ports:
            with self._serving(rows[first][0], port):
                for netns, address in asks:
                    found += _child(lambda n=netns, a=address, p=port: self._ask(n, a, p))
        for name in names:
            netns = rows[name][0]
            everyone = [rows[each][1] for each in names] + [GATEWAY, HOST, INTERNET]
            found += _child(lambda n=netns, e=everyone: self._pings(n, e))
        return found

    def reach(self, names: list[str]) -> list[list[str]]:
        """List who gets an answer from whom."""
        rows = self._nodes()
        found = []
        for name in names:
            others = {rows[each][1]: each for each in names if each != name}
            lost = _child(lambda n=name, o=list(others): self._pings(rows[n][0], o, 0.3))
            gone = {line.split()[-1] for line in lost}
            found += [[name, each] for ip, each in others.items() if ip not in gone]
        return found

    def _nodes(self) -> dict[str, tuple[str, str]]:
        lines = Path(self.run, "labs/project/nodes").read_text().splitlines()[2:]
        return {name: (netns, ip) for name, netns, ip in (line.split() for line in lines)}

    def _enter(self, netns: str) -> None:
        """Go into a node; the host for none."""
        if not netns:
            return
        mnt = f"{self.run}.ns/mnt"
        if os.path.exists(mnt):
            namespace.setns(mnt, CLONE_NEWNS)
        namespace.setns(f"/run/netns/{netns}", CLONE_NEWNET)

    @contextmanager
    def _serving(self, netns: str, port: int) -> Iterator[None]:
        """Have a server in a node."""
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(read)
                self._enter(netns)
                with socket.create_server(("0.0.0.0", port)) as server:
                    os.write(write, b"1")
                    while True:
                        connection, _ = server.accept()
                        connection.sendall(WORD)
                        connection.close()
            finally:
                os._exit(1)
        os.close(write)
        os.read(read, 1)
        os.close(read)
        try:
            yield
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)

    def _ask(self, netns: str, address: str, port: int) -> list[str]:
        self._enter(netns)
        where = f"{netns or 'host'} does not get {address}:{port}"
        try:
            with socket.create_connection((address, port), 2.5) as connection:
                return [] if connection.recv(64) == WORD else [f"{where}: other words"]
        except OSError as error:
            return [f"{where}: {error}"]

    def _pings(self, netns: str, addresses: list[str], limit_s: float = 2.5) -> list[str]:
        """Send an ICMP echo to each address (RFC 792); gives back those that do not answer."""
        self._enter(netns)
        waiting = set(addresses)
        head = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, 7)
        packet = head[:2] + (-sum(struct.unpack("!4H", head)) % 0xFFFF).to_bytes(2, "big") + head[4:]
        deadline = time.monotonic() + limit_s
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            while waiting and time.monotonic() < deadline:
                for address in waiting:
                    try:
                        raw.sendto(packet, (address, 0))
                    except OSError:
                        continue
                until = time.monotonic() + 0.1
                while waiting and select.select([raw], [], [], max(0.0, until - time.monotonic()))[0]:
                    data, (source, _) = raw.recvfrom(2048)
                    if data[20] == 0:
                        waiting.discard(source)
        return [f"{netns} gets no answer from {each}" for each in sorted(waiting)]

    def beside(self, argv: list[str], fault: dict[str, Any], then: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start a verb, and once harm is done to it another one beside what is left of it."""
        first = self.start(argv, fault, 60)
        self.fired(first)
        second = self.start(then, {}, 60)
        return self.end(first), self.end(second)

    def cut(self) -> dict[str, Any] | None:
        """Tell the cut that the record of the lab holds."""
        text = json.loads(Path(self.run, "labs/project/record.json").read_text())["cut"]
        return json.loads(self.verb(["partition", "show", "--json"])["said"])["cut"] if text else None

    def inside(self, name: str, script: str) -> None:
        """Run a line of shell in a node, as root."""
        netns = self._nodes()[name][0]
        _child(lambda: self._shell(netns, script))

    def _shell(self, netns: str, script: str) -> list[str]:
        self._enter(netns)
        subprocess.run(["sh", "-c", script], check=True)
        return []

    def busy(self, name: str) -> None:
        """Leave a process running in a node, as a user's program would be."""
        netns = self._nodes()[name][0]
        read, write = os.pipe()
        if not os.fork():
            if not os.fork():
                os.close(read)
                self._enter(netns)
                os.dup2(os.open("/dev/null", os.O_RDWR), 1)
                os.setresgid(*[self.entry.pw_gid] * 3)
                os.setresuid(*[self.entry.pw_uid] * 3)
                os.execv("/usr/bin/sleep", ["sleep", "999"])  # noqa: S606
            os._exit(0)
        os.close(write)
        os.wait()
        os.read(read, 1)  # it is a program now
        os.close(read)

    def anew(self) -> None:
        """Look again at what the machine is like before vnet."""
        self.before = self._look()


def _child(look: Callable[[], list[str]]) -> list[str]:
    """Look in a child, which may go where it likes."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            try:
                found = look()
            except OSError as error:
                found = [str(error)]
            os.write(write, json.dumps(found).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        found = json.loads(file.read() or b'["a look ended"]')
    os.waitpid(pid, 0)
    return list(found)


def main() -> None:
    """Serve."""
    driver = Driver(sys.argv[1])
    print(json.dumps({"answer": "ready"}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": getattr(driver, request.pop("do"))(**request)}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
