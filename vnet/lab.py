"""Labs made and taken away from Python: `with vnet.up(guests=["a", "b"]) as lab:`.

Each verb is the program that a user would call, run as a process: the engine forks workers and holds signals back, and
neither is safe in a program that has threads of its own. It costs the start of a Python a verb.

A lab is for the process that made it. Where that is killed, the next process that makes one takes it away first
(vnet-down --orphans): it is known by the record of the lab, never by its name.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

from vnet import api
from vnet.config import written
from vnet.config.written import Guests
from vnet.engine.records import Records
from vnet.errors import CommandError, NotUpError, UsageError, VnetError
from vnet.kernel import processes
from vnet.nodes import caller

#: Seconds for one verb: longer than it waits for another vnet on the same lab.
LIMIT_S = 300.0
#: Seconds for a process of a lab that is gone to be seen to be gone, and for one that is killed to be gone.
REAPED_S, GONE_S = 1.0, 10.0


def up(guests: Guests = (), *, file: str | os.PathLike[str] | None = None, settings: Mapping[str, Any] | None = None,
       name: str | None = None) -> Lab:  # fmt: skip
    """Bring a lab up, and give it; as a context manager it is taken away at the end.

    `guests`: names, or names with their settings: `{"web": {"ports": {8000: 80}}, "db": {}}`. `file`: a vnet.toml, of
    which names of guests are a choice. `settings`: as in vnet.toml, and winning over the file's, key by key.
    `name`: the lab's; without one it is the file's own, or for a lab of `guests` a name that is nobody else's.

    Raises UsageError where these are wrong, and VnetError where it fails.
    """
    if file and not settings and not isinstance(guests, Mapping):
        return _up(file, [str(guest) for guest in guests], name, None)
    folder = tempfile.mkdtemp(prefix="vnet-")
    try:
        with open(f"{folder}/owner", "w", encoding="ascii") as owner:
            owner.write(processes.identity(os.getpid()))
        path, chosen = written.write(folder, guests, file, settings)
        return _up(path, chosen, name or f"lab-{os.getpid()}-{os.urandom(3).hex()}", folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _up(file: str | os.PathLike[str], chosen: Sequence[str], name: str | None, folder: str | None) -> Lab:
    """Bring a lab up from a file; see `Lab` for `folder`."""
    take_orphans_away()
    words = ("-f", os.fspath(file), *(("-n", name) if name else ()), *chosen)
    said = call("up", "-q", "--owner", str(os.getpid()), *words, *(() if name else ("--json",)))
    lab = find(name or json.loads(said)["labs"][0]["name"])
    return dataclasses.replace(lab, folder=folder)


def find(name: str) -> Lab:
    """Give a lab that is up already, whoever made it; NotUpError where it is not."""
    records = Records(caller())
    record = records.lab(name) if records.exist() else None
    if record is None or record.bridge != "up":
        raise NotUpError(f"the lab {name} is not up; vnet.up() or vnet-up brings it up")
    return Lab(record.lab.name, record.lab.number, record.lab.file, record.lab)


def take_orphans_away() -> None:
    """Take away what killed processes of this user have left, with the settings that were written for it."""
    records = Records(caller())
    orphans = [each for each in records.labs() if each.orphaned] if records.exist() else []
    if orphans:
        call("down", "-q", "--orphans")
    for each in orphans:
        folder = os.path.dirname(each.lab.file or "")
        with suppress(OSError), open(f"{folder}/owner", encoding="ascii") as file:
            if file.read() == each.owner:
                shutil.rmtree(folder)


@dataclass(frozen=True)
class Lab(api.Lab):
    """A lab that is up; `with lab:` takes it away at the end. `folder`: of settings that were written for it alone."""

    folder: str | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def down(self) -> None:
        """Take it away, with all that runs in it; doing so twice is harmless."""
        try:
            call("down", "-q", "-n", self.name)
        finally:
            _bury(self.name)
        self._forget_settings()

    def keep(self) -> None:
        """Let it stand when this process ends: it is nobody's from now on."""
        self._forget_settings()
        records = Records(caller())
        if not records.exist():
            return
        with records.lock(f"lab-{self.name}"):
            record = records.lab(self.name)
            if record:
                records.write_lab(record._replace(owner=""))

    def _forget_settings(self) -> None:
        """Remove what was written for this lab alone: all that is needed to take it away is in its record."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def partition(self, kind: str, *words: str | Sequence[str], for_s: float | None = None,
                  seed: int | None = None) -> Partition:  # fmt: skip
        """Cut the lab as vnet-partition does; with `with`, it is healed at the end.

        Lists are groups: `lab.partition("disjoint", ["a", "b"], ["c"])`. A lab has one cut, so a second one takes the
        place of the first, and whichever ends first heals the lab.
        """
        options = [*(("--for", str(for_s)) if for_s is not None else ())]
        options += [*(("--seed", str(seed)) if seed is not None else ())]
        said = call("partition", "-q", "-n", self.name, "--json", *options, kind, *_groups(words))
        return Partition(self, json.loads(said)["cut"])

    def heal(self) -> None:
        """End the cut, whatever it is."""
        call("partition", "-q", "-n", self.name, "fullmesh")

    def cut(self) -> dict[str, Any] | None:
        """Tell the cut in force and what it has dropped, as `vnet-partition show --json` does; None with no cut."""
        found: dict[str, Any] | None = json.loads(call("partition", "-n", self.name, "show", "--json"))["cut"]
        return found

    def status(self) -> dict[str, Any]:
        """Tell what is up of it, as `vnet-status --json` does for one lab."""
        found: dict[str, Any] = json.loads(call("status", "-n", self.name, "--json"))["labs"][0]
        return found

    @contextmanager
    def capture(self, file: str | os.PathLike[str], words: str = "") -> Iterator[None]:
        """Record what arrives at the bridge into a pcap file meanwhile; `words` choose, as in pcap-filter(7)."""
        from vnet.kernel import pcap

        argv = (sys.executable, "-I", "-S", pcap.__file__, "bridge", words)
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        with open(file, "wb") as packets:
            process = self.bridge.popen(argv, root=True, stdout=packets, **pipes)
        with process:
            if "listening" not in (said := str(process.stderr and process.stderr.readline())):
                raise CommandError(f"{self.name}: nothing is recorded: {said.strip()}")
            try:
                yield
            finally:
                process.terminate()
                _, said = process.communicate(timeout=GONE_S)
            if process.returncode:
                raise CommandError(f"{self.name}: the recorder ended before its time: {said.strip()}")


@dataclass(frozen=True)
class Partition:
    """A cut that was set; `with` heals the lab at the end. `data`: as `Lab.cut` tells it."""

    lab: Lab = field(repr=False)
    data: dict[str, Any] | None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.heal()


def _groups(words: Sequence[str | Sequence[str]]) -> list[str]:
    """Write guests, or groups of them, as vnet-partition takes them."""
    if all(isinstance(word, str) for word in words):
        return [str(word) for word in words]
    groups = [[word] if isinstance(word, str) else list(word) for word in words]
    return [word for group in groups for word in ("--", *group)][1:]


def program(verb: str) -> list[str]:
    """Write the beginning of a command: the checkout's own program, or the installed package."""
    path = f"{os.path.dirname(api.HERE)}/bin/vnet-{verb}"
    return [sys.executable, path] if os.path.exists(path) else [sys.executable, "-P", "-m", "vnet", verb]


def call(verb: str, *words: str) -> str:
    """Run a verb to its end, and give what it printed; raises the error that it ended with.

    Ctrl-C at the terminal is not for it: it is told to end, and takes back what is half made.
    """
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*program(verb), *words], text=True, process_group=0, **pipes) as process:
        try:
            out, err = map(str, process.communicate(timeout=LIMIT_S))
        except BaseException:
            process.terminate()
            process.communicate(timeout=LIMIT_S)
            raise
    if process.returncode:
        kinds: dict[int, type[VnetError]] = {UsageError.status: UsageError, NotUpError.status: NotUpError}
        text = "\n".join(line.removeprefix(f"vnet-{verb}: ") for line in err.strip().splitlines())
        raise kinds.get(process.returncode, CommandError)(text or f"vnet-{verb} ended with status {process.returncode}")
    return out


def _bury(lab: str) -> None:
    """Wait for the processes that were started in a lab, end those in its gateway, and close what leads to them."""
    for process in api.started.pop(lab, ()):
        try:
            process.wait(REAPED_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(GONE_S)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()
