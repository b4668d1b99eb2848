"""--dry-run: the real run's own functions, on records kept in memory and with workers that print.

Nothing is planned twice, so what is printed is what would run. Questions go to the kernel as it is; what is asked
after a step, to see whether it worked, is answered as if it had.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from shlex import join
from typing import Any, TextIO

from vnet.cuts.step import CutStep
from vnet.engine import files, show
from vnet.engine.claims import Claims
from vnet.engine.context import Context
from vnet.engine.record import GatewayRecord, LabRecord
from vnet.engine.records import GATEWAY_FILES, Records
from vnet.hooks import Hooks
from vnet.kernel import processes
from vnet.model import Gateway, Lab, Way
from vnet.step import Step
from vnet.workers.rights import Rights
from vnet.workers.worker import Worker

#: What is asked after a step, and the answer where it worked.
WORKED: dict[str, Any] = {"ready": [], "echo": True, "inodes": {}}

Out = Callable[[str], None]


class DryClaims(Claims):
    """Claims that are read from the disk and made in memory."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._made: dict[str, Lab | None] = {}

    def exist(self) -> bool:
        """Tell that none have to be made first: those of old records are read as they stand."""
        return True

    def numbers(self) -> dict[int, str]:
        """Map each number that would be taken to its lab."""
        kept = {number: name for number, name in super().numbers().items() if name not in self._made}
        return kept | {lab.number: lab.name for lab in self._made.values() if lab}

    def ports(self) -> dict[str, str]:
        """Map each forwarded port that would be taken to its lab."""
        kept = {port: name for port, name in super().ports().items() if name not in self._made}
        labs = (lab for lab in self._made.values() if lab)
        return kept | {str(port): lab.name for lab in labs for guest in lab.guests for port in guest.ports}

    def claim(self, lab: Lab) -> None:
        """Keep it in memory."""
        self._made[lab.name] = lab

    def drop(self, name: str) -> None:
        """Keep that in memory."""
        self._made[name] = None


class DryRecords(Records):
    """Records that are read from the disk and changed in memory; the files that guests see are printed."""

    def __init__(self, uid: int, out: Out) -> None:
        super().__init__(uid)
        self._out, self.claims = out, DryClaims(self.folder)
        self._gateway: list[GatewayRecord | None] = []
        self._labs: dict[str, LabRecord | None] = {}
        self._folders = {self.folder}

    def gateway(self) -> GatewayRecord | None:
        """Read the gateway's record, or the one that took its place."""
        return self._gateway[-1] if self._gateway else super().gateway()

    def write_gateway(self, record: GatewayRecord) -> None:
        """Keep it in memory."""
        self._gateway.append(record)

    def remove_gateway(self) -> None:
        """Print how its files go."""
        self._gateway.append(None)
        self._out(join(("rm", "-f", *(f"{self.folder}/{name}" for name in GATEWAY_FILES))))

    def lab(self, name: str) -> LabRecord | None:
        """Read a lab's record, or the one that took its place."""
        return self._labs[name] if name in self._labs else super().lab(name)

    def names(self) -> list[str]:
        """Name all labs."""
        return sorted({*super().names(), *self._labs} - {name for name, record in self._labs.items() if not record})

    def write_lab(self, record: LabRecord) -> None:
        """Keep it in memory."""
        self._labs[record.lab.name] = record

    def remove_lab(self, name: str) -> None:
        """Print how a lab's files go, where there are any."""
        self._labs[name] = None
        paths = [path for path in (f"{self.folder}/labs/{name}", *self.claims.files(name)) if os.path.exists(path)]
        self.claims.drop(name)
        if paths:
            self._out(join(("rm", "-rf", *paths)))

    def write_file(self, name: str, text: str) -> None:
        """Print how a file is written, where that changes it."""
        path = f"{self.folder}/{name}"
        folder = os.path.dirname(path)
        if os.path.exists(path) and files.read(path) == text:
            return
        if not os.path.isdir(folder) and folder not in self._folders:
            self._folders.add(folder)
            self._out(join(("install", "-d", folder)))
        self._out(show.file(path, text))

    @contextmanager
    def lock(self, name: str, *, shared: bool = False, limit_s: float = 0, busy: str = "") -> Iterator[None]:  # noqa: ARG002
        """Lock nothing: nothing is changed."""
        yield


class DryWorker(Worker):
    """A worker that prints steps; questions go to a real one, which is started for the first."""

    def __init__(self, way: Way, out: Out, real: Callable[[], Worker]) -> None:
        self._way, self._out, self._real, self._printed = way, out, real, False
        self._cuts: dict[str, CutStep] = {}

    def do(self, way: str, step: Step) -> list[str]:
        """Print a step."""
        self._printed = True
        if isinstance(step, CutStep):
            self._cuts[step.lab.netns] = step
        for line in show.lines(step, way, self._way, sudo=True):
            self._out(line)
        return []

    def ask(self, question: str, **fields: Any) -> Any:
        """Ask what is there now; what would be there then is what the step was for."""
        if self._printed and question in WORKED:
            return WORKED[question]
        cut = self._cuts.get(fields.get("netns", ""))
        if cut and question == "cut_now":
            return {"live": cut.generation if cut.blocks else 0, "left": cut.leaves, "lacks": ""}
        if question == "cut_stands" and (cut := self._cuts.get(fields["step"].lab.netns)):
            return (cut.blocks, cut.until) == (fields["step"].blocks, fields["step"].until)
        return self._real().ask(question, **fields)


class DryRights(Rights):
    """Rights that start no worker but to look."""

    def __init__(self, way: Way, out: Out) -> None:
        super().__init__(way)
        self.out = out
        self._dry: dict[str, DryWorker] = {}

    def host(self) -> Worker:
        """Give what prints steps of the host."""
        return self._dry.setdefault("host", DryWorker(self.way, self.out, super().host))

    def labs(self, gateway: Gateway) -> Worker:
        """Give what prints steps of the labs."""
        return self._dry.setdefault("labs", DryWorker(self.way, self.out, lambda: self.look(gateway)))

    def look(self, gateway: Gateway) -> Worker:
        """Give a worker for what is there now."""
        return super().labs(gateway)


class DryContext(Context):
    """One call of vnet that changes nothing, and runs no hook."""

    def __init__(self, uid: int, lab: str, say: Out, out: Out) -> None:
        self._looks, self._gone = DryRights(Context.of_caller(uid, Hooks(lab), say).rights.way, out), set[str]()
        super().__init__(DryRecords(uid, out), self._looks, Hooks(lab), say)

    def load_hooks(self, files: tuple[str, ...], lab: str) -> None:
        """Load none."""

    def load_hooks_left(self, _files: tuple[str, ...], _lab: str) -> list[str]:
        """Load none."""
        return []

    def changed(self, text: str) -> None:
        """Say nothing of it: nothing has."""

    def pins(self) -> set[str]:
        """Name all that would still be pinned."""
        return super().pins() - self._gone

    def relied(self) -> list[str]:
        """Look where that takes no sudo."""
        return super().relied() if os.geteuid() == 0 else []

    def end(self, gateway: Gateway, netns: tuple[str, ...]) -> list[str]:
        """Print what ends the processes in there; KILL, for one that does not heed TERM, is the real run's alone."""
        self._gone |= {*netns}
        inodes = self._looks.look(gateway).ask("inodes", netns=netns)
        pids = {pid for found in processes.by_namespace(frozenset(inodes.values())).values() for pid in found}
        if pids := pids - self.own():
            sudo = ("sudo",) if self.rights.way == "sudo" else ()
            self._looks.out(join((*sudo, "kill", *map(str, sorted(pids)))))
        return []


def printer(stream: TextIO) -> Out:
    """Make what prints commands; a user's PATH may lack the folders of iptables and others, so the first line adds them."""
    lacks = [folder for folder in ("/usr/sbin", "/sbin") if folder not in os.environ.get("PATH", "").split(":")]
    before = [f"PATH={':'.join(('$PATH', *lacks))}"] if lacks else []

    def out(line: str) -> None:
        while before:
            print(before.pop(), file=stream)
        print(line, file=stream)

    return out
