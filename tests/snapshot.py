"""What a simulated machine looks like, as data: taken before and after, it shows whatever a command left behind.

Run as a program, on the machine, this file prints the data; `Machine.snapshot()` does that. Left out, because it
changes by itself: counters, timers and queue lengths of links, neighbour entries that are not permanent, sysctls in
VOLATILE or of links (their links are listed), iptables' counters and comments, and its tables that hold nothing and
came to be because someone looked.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

COLLECT = "/opt/vnet/tests/snapshot.py"
"""This file on a simulated machine."""

VOLATILE = re.compile(
    "nf_conntrack_(count|buckets)"  # connections of the last minutes; a size that belongs to the whole kernel
    "|tcp_fastopen_key|stable_secret|netdev_rss_key"  # random
    "|(tcp|udp)_mem|.*/flush|inet_peer_.*"
)
IPTABLES_SAVE = [f"{family}-{backend}-save" for backend in ("nft", "legacy") for family in ("iptables", "ip6tables")]
IP = {
    "addresses": ["-j", "address"],
    "routes": ["-j", "-d", "route", "show", "table", "all"],
    "routes6": ["-j", "-d", "-6", "route", "show", "table", "all"],
    "rules": ["-j", "rule"],
    "rules6": ["-j", "-6", "rule"],
    "neighbours": ["-j", "neighbour", "show", "nud", "permanent"],
    "proxies": ["-j", "neighbour", "show", "proxy"],
}

Section = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """Sections (links, routes, ...) of named things. `again` takes another snapshot of the same machine."""

    sections: dict[str, Section]
    again: Callable[[], "Snapshot"] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, again: Callable[[], "Snapshot"]) -> Self:
        """Read what this file prints when it is run."""
        return cls(json.loads(text), again)

    def diff(self, after: "Snapshot") -> list[str]:
        """Return one line for each thing that came, went or changed between this snapshot and a later one."""
        lines = []
        for name, old in self.sections.items():
            new = after.sections[name]
            lines += [f"{name}: - {key} {_short(old[key])}" for key in old if key not in new]
            lines += [f"{name}: + {key} {_short(new[key])}" for key in new if key not in old]
            for key in old.keys() & new.keys():
                lines += [f"{name}: ~ {key} {change}" for change in _changes(old[key], new[key])]
        return sorted(lines)


class Looks(Protocol):
    """What a snapshot can be taken of."""

    def snapshot(self) -> Snapshot:
        """Look."""
        ...


def assert_same(before: Snapshot, after: Snapshot | Looks, timeout_s: float = 5) -> None:
    """Fail with the difference unless the machine is, or within the time becomes, what it was before.

    The kernel takes links and namespaces away some time after it was told to.
    """
    now = after if isinstance(after, Snapshot) else after.snapshot()
    deadline = time.monotonic() + timeout_s
    while (diff := before.diff(now)) and time.monotonic() < deadline:
        now = now.again()
    assert not diff, f"the machine is not what it was, {timeout_s:g} s later:\n  " + "\n  ".join(diff)


def _short(value: Any, limit: int = 200) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def _changes(old: Any, new: Any) -> list[str]:
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [
            f"{key}: {_short(old.get(key))} -> {_short(new.get(key))}" for key in keys if old.get(key) != new.get(key)
        ]
    if isinstance(old, list) and isinstance(new, list):
        was, now = (Counter(map(_short, values)) for values in (old, new))
        moved = [f"- {line}" for line in (was - now).elements()] + [f"+ {line}" for line in (now - was).elements()]
        return moved or ["has another order"]
    return [f"{_short(old)} -> {_short(new)}"]


# From here on: what runs on the machine.


def collect() -> dict[str, Section]:
    """Look at everything that vnet could change."""
    sections: dict[str, Section] = {"processes": _processes(), "namespaces": _namespaces(), "links": _links()}
    sections |= {name: {"all": _steady(_ip(words))} for name, words in IP.items()}
    sections["firewall"] = _firewall()
    sections["sysctls"] = _sysctls(Path("/proc/sys/net"))
    sections["mounts"] = _mounts()
    sections["files"] = {
        str(path): _file(path) for top in ("/run", "/etc/netns", "/etc/vnet") for path in _tree(Path(top))
    }
    sections["files"] |= {path: Path(path).read_text() for path in ("/etc/hosts", "/etc/resolv.conf")}
    return sections


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


def _ip(words: list[str]) -> Any:
    return json.loads(_output("ip", *words) or "[]")


def _steady(value: Any) -> Any:
    """Drop what changes by itself, at any depth, and what belongs to the order of creation only."""
    drop = re.compile("stats.*|.*_timer|expires|cache.*|used|(valid|preferred)_life_time|gso_.*|gro_.*|tso_.*|age|qlen")
    if isinstance(value, dict):
        return {key: _steady(item) for key, item in value.items() if not drop.fullmatch(key)}
    return [_steady(item) for item in value] if isinstance(value, list) else value


def _links() -> Section:
    return {link["ifname"]: _steady(link) for link in _ip(["-j", "-d", "link"])}


def _firewall() -> Section:
    """Return the rules of each table in their order; a built-in chain that accepts and is empty is nothing."""
    tables: Section = {}
    for program in filter(shutil.which, IPTABLES_SAVE):
        table = ""
        for line in _output(program).splitlines():
            if line.startswith("*"):
                table = f"{program.removesuffix('-save')} {line[1:]}"
            elif line.startswith("# Table"):  # nft's own, which iptables can't show
                tables[line] = []
            elif line.startswith(":") and (chain := line.split())[1] != "ACCEPT":
                tables.setdefault(table, []).append(" ".join(chain[:2]))
            elif line.startswith("-"):
                tables.setdefault(table, []).append(line)
    if shutil.which("nft"):
        tables |= _nft(_output("nft", "-s", "list", "ruleset"))
    return tables


def _nft(text: str) -> Section:
    """Return the tables of nft(8) that are not iptables' own: those were listed already."""
    tables = (table.strip() for table in re.split(r"^(?=table )", text, flags=re.MULTILINE) if table.strip())
    own = re.compile(r"table ip6? (filter|nat|mangle|raw|security) {")
    return {f"nft {table.splitlines()[0]}": table.splitlines() for table in tables if not own.match(table)}


def _sysctls(top: Path) -> Section:
    found: dict[str, dict[str, str]] = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = Path(folder, name)
            if not VOLATILE.fullmatch(name) and os.access(path, os.R_OK):
                found.setdefault(folder, {})[name] = _read(path)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError as error:
        return f"({error.strerror})"


def _mounts(pid: str = "self") -> Section:
    """Return the mounts at each point, in the order in which they cover each other."""
    mounts: Section = {}
    for line in _read(Path("/proc", pid, "mountinfo")).splitlines():
        left, parts, right = line.partition(" - ")
        if not parts:  # an error: the process has ended
            continue
        _, _, _, root, point, options, *tags = left.split()
        kind, source, *_ = right.split()
        shared = ",".join(tag.partition(":")[0] for tag in tags if not tag.startswith("propagate_from"))
        mounts.setdefault(point, []).append(f"{kind} {source} {root} {options} {shared}")
    return mounts


def _tree(top: Path) -> Iterator[Path]:
    if top.exists():
        yield top
        for folder, folders, names in os.walk(top):
            yield from (Path(folder, name) for name in (*folders, *names))


def _file(path: Path) -> Section:
    found = path.lstat()
    looks: Section = {"mode": stat.filemode(found.st_mode), "owner": f"{found.st_uid}:{found.st_gid}"}
    return looks | ({"target": str(path.readlink())} if path.is_symlink() else {})


def _pids() -> list[str]:
    """Return the processes of the machine, without the first, which holds it up, and this one."""
    pids = {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return sorted(pids - {"1", str(os.getpid())})


def _name(pid: str) -> str:
    words = _read(Path("/proc", pid, "cmdline")).replace("\0", " ").strip()
    return words or _read(Path("/proc", pid, "comm"))


def _processes() -> Section:
    """Return how many processes there are of each owner and command line."""
    owned = [f"{Path('/proc', pid).stat().st_uid} {_name(pid)}" for pid in _pids() if Path("/proc", pid).exists()]
    return dict(Counter(owned))


def _namespaces() -> Section:
    """Return what keeps namespaces alive that are not the machine's own: processes, open files and pins."""
    own = set(_links_in(Path("/proc/1/ns")))
    holders: dict[str, set[str]] = {}
    for pid in _pids():
        for folder in ("ns", "fd"):
            for link in _links_in(Path("/proc", pid, folder)):
                if re.fullmatch(r"\w+:\[\d+\]", link) and link not in own:
                    holders.setdefault(link, set()).add(f"{folder} {_name(pid)}")
    for pid in ("self", *_pids()):
        for point, mounts in _mounts(pid).items():
            for pin in (mount.split()[2] for mount in mounts if mount.startswith("nsfs ")):
                holders.setdefault(pin, set()).add(f"pin {point}")
    return {name: sorted(held) for name, held in holders.items()}


def _links_in(folder: Path) -> list[str]:
    try:
        return [str(entry.readlink()) for entry in folder.iterdir()]
    except OSError:  # the process ended
        return []


if __name__ == "__main__":
    print(json.dumps(collect()))
