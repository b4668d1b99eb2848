"""The folder of records, its locks and its files; what a record is stands in `record.py`.

    /run/vnet/UID/gateway.json            the gateway; beside it its own {hosts,resolv.conf,nodes}
    /run/vnet/UID/labs/NAME/record.json   a lab
    /run/vnet/UID/labs/NAME/{hosts,resolv.conf,nodes}   what vnet-exec reads
    /run/vnet/UID/{numbers,ports}/        what labs hold that no other may, see `claims.py`

A record is replaced by rename, so it is old or new, never half. It carries the boot's id: after a reboot nothing
of it is true, and it counts as none.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from vnet.codec import decode
from vnet.engine.claims import Claims
from vnet.engine.record import SCHEMA, GatewayRecord, LabRecord, boot_id, remains, text_of
from vnet.errors import NotUpError, VnetError
from vnet.kernel.marks import RUN, distrust, link_holders, state_folder

#: The gateway's record, and what vnet-exec reads to go there; the record is the last to go.
GATEWAY_FILES = ("nodes", "hosts", "resolv.conf", "gateway.json")
#: What to do where a record can't be written, for each error of write(2) that says so.
MENDS = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EROFS: "mount it anew to be written to",
}
#: Seconds to wait for another vnet on the same lab.
LOCK_S = 120.0


def seen_as(uid: int) -> int:
    """Tell by which number a user of the host is seen here: inside his labs he may be root (user_namespaces(7))."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        for line in file:
            inside, outside, count = map(int, line.split())
            if outside <= uid < outside + count:
                return inside + uid - outside
    return 65534


class GoneError(NotUpError):
    """The records' folder is gone: another vnet took it away meanwhile (exit status 3)."""


@contextmanager
def _writing(path: str, uid: int) -> Iterator[None]:
    """Write with the rights of the records' owner, and say in words why a file can't be written.

    Root gets here with a user's VNET_UID in his environment (`vnet-exec --root` where there is no way but sudo, or su(1) from a
    guest), and the folder is the user's, who may have put links into it.
    """
    owner = seen_as(uid) if uid and not os.geteuid() else 0
    groups = os.getgroups()
    try:
        if owner:
            os.setgroups([])
            os.setegid(65534)
            os.seteuid(owner)
        yield
    except FileNotFoundError:
        raise GoneError(f"{path}: its folder is gone: another vnet has just taken all of yours away") from None
    except OSError as error:
        mend = MENDS.get(error.errno or 0, "find out with ls -ld who may")
        raise VnetError(f"{path}: can't be written: {error.strerror}; {mend}, then try again") from None
    finally:
        if owner:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)


class Records:
    """The records of one user."""

    def __init__(self, uid: int) -> None:
        self.uid = uid
        self.folder = state_folder(uid)
        self.claims = Claims(self.folder)
        self.locks: list[int] = []
        self.lost = ""
        self._known: dict[str, tuple[tuple[int, ...], Any]] = {}  # what was read last, and of which file

    def exist(self) -> bool:
        """Tell whether the folder is there, and is safe: a real folder that only its owner can write.

        One that root has made and not given away yet is none: a vnet was killed there, and the next one goes on.
        """
        for path, owner, mode in ((RUN, 0, 0o022), (self.folder, seen_as(self.uid), 0o077)):
            try:
                found = os.lstat(path)
            except (FileNotFoundError, PermissionError):
                return False
            if stat.S_ISDIR(found.st_mode) and found.st_uid == 0 != owner and not found.st_mode & mode:
                return False
            if why := distrust(path, found, owner, 65534, mask=mode):
                raise VnetError(why)
        return True

    def gateway(self) -> GatewayRecord | None:
        """Read the gateway's record; where it is lost, root's own, and `lost` says why."""
        record: GatewayRecord | None
        try:
            record, self.lost = self._read(f"{self.folder}/gateway.json", GatewayRecord), "it is gone"
        except VnetError as error:
            record, self.lost = None, str(error)
        if record:
            self.lost = ""
        return record or self._of_root()

    def _of_root(self) -> GatewayRecord | None:
        """Read what the mark of the caller's link says; root wrote it, when the gateway was made."""
        for interface, uid in link_holders().items():
            with suppress(VnetError):
                if uid == self.uid and (found := self._read(f"{RUN}/link-{interface}.{uid}", GatewayRecord)):
                    return found  # type: ignore[no-any-return]
        return None

    def write_gateway(self, record: GatewayRecord) -> None:
        """Replace the gateway's record."""
        self._write(f"{self.folder}/gateway.json", record)

    def lab(self, name: str) -> LabRecord | None:
        """Read a lab's record; where it is lost, what else tells of the lab, which is then fit to be taken away."""
        record: LabRecord | None
        try:
            record = self._read(f"{self.folder}/labs/{name}/record.json", LabRecord)
        except VnetError:
            record = None
        return record or self._remains(name)

    def _remains(self, name: str) -> LabRecord | None:
        """Tell of a lab without a record by the number that it holds: so its namespaces are its own, and no one else's."""
        number = next((number for number, lab in self.claims.numbers().items() if lab == name), 0)
        gateway = self.gateway() if number else None
        return remains(name, number, gateway.gateway) if gateway else None

    def labs(self) -> list[LabRecord]:
        """Read all labs' records, by number."""
        return self._by_number(self.names())

    def forwarding(self) -> list[LabRecord]:
        """Read the records of the labs that hold forwarded ports."""
        return self._by_number(set(self.claims.ports().values()))

    def _by_number(self, names: Iterable[str]) -> list[LabRecord]:
        """Read the records of some labs."""
        return sorted((each for name in names if (each := self.lab(name))), key=lambda record: record.lab.number)

    def names(self) -> list[str]:
        """Name all labs that have a folder, or hold anything."""
        with suppress(FileNotFoundError):
            return sorted({*os.listdir(f"{self.folder}/labs"), *self.claims.labs()})
        return sorted(self.claims.labs())

    def write_lab(self, record: LabRecord) -> None:
        """Replace a lab's record."""
        with _writing(f"{self.folder}/labs/{record.lab.name}", self.uid):
            os.makedirs(f"{self.folder}/labs/{record.lab.name}", mode=0o755, exist_ok=True)
        self._write(f"{self.folder}/labs/{record.lab.name}/record.json", record)

    def write_file(self, name: str, text: str) -> None:
        """Write a file in place: guests have it mounted, and see the change."""
        path = f"{self.folder}/{name}"
        with _writing(path, self.uid):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            with os.fdopen(fd, "wb") as file:
                if text:
                    os.posix_fallocate(fd, 0, len(text.encode()))  # where the disk is full, the old text stays
                file.write(text.encode())
                file.truncate()

    def remove_lab(self, name: str) -> None:
        """Forget a lab."""
        import shutil

        shutil.rmtree(f"{self.folder}/labs/{name}", ignore_errors=True)
        self.claims.drop(name)

    def remove_gateway(self) -> None:
        """Forget the gateway."""
        for name in GATEWAY_FILES:
            with suppress(FileNotFoundError):
                os.unlink(f"{self.folder}/{name}")

    def _read(self, path: str, kind: type) -> Any:
        """Read a record; one of another boot is none."""
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
                found = os.fstat(file.fileno())
                version = (found.st_ino, found.st_mtime_ns, found.st_size)
                if path in self._known and self._known[path][0] == version:
                    return self._known[path][1]
                if found.st_uid not in (0, seen_as(self.uid), 65534):
                    raise ValueError(f"it is not uid {self.uid}'s")
                data = json.load(file)
            if not isinstance(data, dict):
                raise ValueError("it is no table")
            if data.pop("boot") != boot_id():
                return None
            if data.pop("schema") != SCHEMA:
                raise ValueError("another version of vnet wrote it")
            record = decode(kind, data)
            self._known[path] = version, record
            return record
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, RecursionError) as error:
            raise VnetError(f"{path}: the record can't be read: {error}") from None

    def _write(self, path: str, record: object) -> None:
        """Write a record beside the old one, then put it in its place."""
        text = text_of(record)
        with _writing(path, self.uid):
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(f"{path}.new", path)

    @contextmanager
    def lock(self, name: str, *, shared: bool = False, limit_s: float = LOCK_S, busy: str = "") -> Iterator[None]:
        """Hold a lock; workers and commands are handed it (`locks`), so it is free only when the last of them has ended.

        `gateway` is held shared by whatever needs a gateway, alone by what takes it away; `world` while numbers, the
        gateway and forwarded ports are changed; `lab-NAME` while a lab is; `run-NAME` by the vnet-run that has it. `busy`
        is what to say when it was not to be had for `limit_s`.
        """
        path = f"{self.folder}/locks/{name}"
        text = busy or f"{path}: another vnet has held this lock for {limit_s:.0f} s; 'fuser -v {path}' names it"
        fd = self._locked(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, limit_s, text)
        self.locks.append(fd)
        try:
            yield
        finally:
            self.locks.remove(fd)
            fcntl.flock(fd, fcntl.LOCK_UN)  # for the workers that were forked meanwhile, too
            os.close(fd)

    def _locked(self, path: str, kind: int, limit_s: float, busy: str) -> int:
        """Open and lock a file; one that was removed while waiting is opened anew."""
        deadline, pause_s = time.monotonic() + limit_s, 0.001
        while True:
            with _writing(path, self.uid):
                with suppress(FileExistsError):
                    os.mkdir(os.path.dirname(path), 0o700)
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            os.set_inheritable(fd, True)
            while True:
                try:
                    fcntl.flock(fd, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise VnetError(busy) from None
                    time.sleep(pause_s)
                    pause_s = min(2 * pause_s, 0.02)
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(fd).st_ino:
                    return fd
            os.close(fd)
