"""From samples to words: the table of targets, the tables of medians, and the curves."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from svg import Curve, curves

VNET, USER, SCRIPT, SHORT, FLOOR = "vnet", "vnet, no root", "shell script", "short script", "C floor"
MININET, CNI = "Mininet", "CNI bridge"
RESTORE, PYTHON = "restore in each guest", "python3 -c pass"
ORDER = (VNET, USER, FLOOR, SCRIPT, SHORT, MININET, CNI, "munet", "podman")
COLOURS = dict(
    zip(
        ORDER,
        ("#0b62c4", "#5aa9e6", "#111111", "#c2410c", "#f59e0b", "#15803d", "#7e22ce", "#a16207", "#be185d"),
        strict=True,
    )
)
Key = tuple[str, str, int]
UNITS = {"processes": "", "kB a guest": " kB", "kB a lab of one guest": " kB", "stream": " Gbit/s", "echo": "/s",
         "labs that answer": "", "one lab too many": ""}  # fmt: skip


@dataclass(frozen=True)
class Results:
    """All samples: values by operation, contender and size."""

    values: dict[Key, list[float]]
    failed: dict[Key, str]
    sections: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Results:
        """Read what the sections wrote."""
        values, failed, sections = defaultdict(list), {}, {}
        for file in sorted(folder.glob("*.json")):
            if file.stem == "results":
                continue
            section = json.loads(file.read_text())
            for sample in section.pop("samples"):
                key = (sample["op"], sample["who"], sample["size"])
                if "value" in sample:
                    values[key].append(sample["value"])
                else:
                    failed[key] = sample["failed"]
            sections[file.stem] = section
        return cls(dict(values), failed, sections)

    def of(self, op: str, who: str, size: int) -> float:
        """Give a median; KeyError where there is none."""
        return median(self.values[op, who, size])

    def sizes(self, op: str) -> list[int]:
        """Give the sizes that an operation was measured with."""
        return sorted({size for name, _, size in self.values if name == op})


@dataclass(frozen=True)
class Target:
    """A bound for a ratio; 0: none was set."""

    what: str
    bound: float
    ratio: Callable[[Results], float]
    at_least: bool = False

    def line(self, results: Results) -> tuple[str, str, str, str]:
        """Write its row."""
        sign = "at least" if self.at_least else "at most"
        bound = f"1/{1 / self.bound:.0f}" if self.bound in (1 / 2, 1 / 3, 1 / 5, 1 / 6, 1 / 8, 1 / 10, 1 / 12, 1 / 15) \
            else f"{self.bound:g}"  # fmt: skip
        bound = f"{sign} {bound}" if self.bound else "none"
        try:
            ratio = self.ratio(results)
        except KeyError as missing:
            return self.what, bound, "not measured", str(missing.args[0][1])
        if not self.bound:
            return self.what, bound, _ratio(ratio), ""
        met = ratio >= self.bound if self.at_least else ratio <= self.bound
        found = f"{ratio:.2f}" if self.at_least else _ratio(ratio)
        return self.what, bound, found, "met" if met else "not met"


def _ratio(ratio: float) -> str:
    """Write a ratio as people say it: 1/N where it is clearly below one."""
    return f"1/{1 / ratio:.1f}" if ratio < 0.67 else f"{ratio:.2f}"


def _of(op: str, size: int, other: str, who: str = VNET) -> Callable[[Results], float]:
    return lambda results: results.of(op, who, size) / results.of(op, other, size)


def _guest_more(results: Results) -> float:
    """Compare the slopes between 10 guests and 250."""
    slope = {who: results.of("up", who, 250) - results.of("up", who, 10) for who in (VNET, SCRIPT)}
    return slope[VNET] / slope[SCRIPT]


def _exec(results: Results) -> float:
    added = results.of("exec", "vnet-exec true", 1) - results.of("exec", "true", 1)
    return added / results.of("exec", PYTHON, 1)


def _late_lab(results: Results) -> float:
    """Compare the 16 labs from the 2,000th on with the first 16."""
    early, late = ([results.of("lab number", VNET, lab) for lab in range(first, first + 16)] for first in (1, 2000))
    return median(late) / median(early)


def _data(mtu: int) -> Callable[[Results], float]:
    return lambda results: results.of("stream", "guest to guest", mtu) / results.of("stream", "loopback", mtu)


TARGETS = (
    Target("up, 250 guests, to the shell script", 1 / 10, _of("up", 250, SCRIPT)),
    Target("up, 250 guests, to Mininet", 1 / 5, _of("up", 250, MININET)),
    Target("up, 250 guests, to the CNI bridge plugin", 1 / 12, _of("up", 250, CNI)),
    Target("up, 250 guests, to the C floor", 1.75, _of("up", 250, FLOOR)),
    Target("up, 50 guests, to the shell script", 1 / 6, _of("up", 50, SCRIPT)),
    Target("up, 50 guests, to Mininet", 1 / 5, _of("up", 50, MININET)),
    Target("up, 10 guests, to the shell script", 1 / 2, _of("up", 10, SCRIPT)),
    Target("up, 10 guests, to Mininet", 1 / 3, _of("up", 10, MININET)),
    Target("up, 3 guests, to Mininet", 1 / 2, _of("up", 3, MININET)),
    Target("what one more guest adds to an up, to the shell script's", 1 / 12, _guest_more),
    Target("128 labs of one guest, to the shell script, one at a time", 1 / 2, _of("labs, 1 at once", 128, SCRIPT)),
    Target("128 labs of one guest, to the shell script, eight at once", 1 / 3, _of("labs, 8 at once", 128, SCRIPT)),
    Target("down, 250 guests, until the kernel is done, to Mininet", 1 / 8, _of("down", 250, MININET)),
    Target("down, 250 guests, until the kernel is done, to the C floor", 1.3, _of("down", 250, FLOOR)),
    Target("no-op up, 3 guests, to `python3 -c pass`", 8, _of("no-op up", 3, PYTHON)),
    Target("vnet-exec, what it adds to the command, to `python3 -c pass`", 2, _exec),
    Target(
        "partition of 250 guests, from another one, to one iptables-restore in each guest",
        1 / 15,
        _of("cut to another", 250, RESTORE),
    ),
    Target("the first partition of 250 guests, to the same", 1 / 15, _of("cut", 250, RESTORE)),
    Target("heal of 250 guests, to the same", 1 / 15, _of("heal", 250, RESTORE)),
    Target("the 2,000th lab's up, to the first", 1.5, _late_lab),
    Target("guest to guest, one TCP stream at MTU 1500, to loopback", 0.7, _data(1500), at_least=True),
    Target("the same at MTU 65535", 1.1, _data(65535), at_least=True),
    *(Target(f"up, {guests} guests, to the short script", 0, _of("up", guests, SHORT)) for guests in (3, 10, 50, 250)),
    Target("128 labs of one guest, to the short script, one at a time", 0, _of("labs, 1 at once", 128, SHORT)),
    Target("128 labs of one guest, to the short script, eight at once", 0, _of("labs, 8 at once", 128, SHORT)),
)


def report(results: Results, out: Path, docs: Path | None) -> str:
    """Write tables, JSON and pictures; give the tables."""
    text = "\n\n".join((_targets(results), _medians(results), *_missing(results)))
    pictures = {
        "guests.svg": curves(
            "Until every guest answers", "guests in one lab", "seconds",
            [Curve(who, _points(results, "up", who), COLOURS[who]) for who in ORDER],
        ),
        "labs.svg": curves(
            "Until every lab answers: one at a time, and eight at once (dashed)", "labs of one guest", "seconds",
            [Curve(f"{who}, {some}", _points(results, f"labs, {some} at once", who), COLOURS[who], dashed=some == 8)
             for who in (SCRIPT, VNET, FLOOR) for some in (1, 8)],
        ),
    }  # fmt: skip
    summary = [
        {"op": op, "who": who, "size": size, "median": median(values), "values": values}
        for (op, who, size), values in sorted(results.values.items())
    ]
    (out / "results.json").write_text(json.dumps({"sections": results.sections, "results": summary}, indent=1) + "\n")
    (out / "tables.md").write_text(text + "\n")
    for folder in (out, *((docs / "performance",) if docs else ())):
        folder.mkdir(exist_ok=True)
        for name, picture in pictures.items():
            (folder / name).write_text(picture)
    if docs:
        shown = (f"![{name.partition('.')[0]}](performance/{name})" for name in pictures)
        _into(docs / "performance.md", "\n\n".join((*shown, text)))
    return text


def _into(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page."""
    begin, end = "<!-- figures: written by `make bench-docs` -->", "<!-- end of figures -->"
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page.read_text()))


def _points(results: Results, op: str, who: str) -> list[tuple[float, float]]:
    return [(size, results.of(op, who, size)) for size in results.sizes(op) if (op, who, size) in results.values]


def _table(*rows: tuple[str, ...]) -> str:
    """Write a table of Markdown that also reads well as it is."""
    wide = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(wide[at]) for at, cell in enumerate(row)) + " |" for row in rows]
    return "\n".join((lines[0], "| " + " | ".join("-" * width for width in wide) + " |", *lines[1:]))


def _targets(results: Results) -> str:
    return _table(("ratio of medians", "target", "found", ""), *(target.line(results) for target in TARGETS))


def _medians(results: Results) -> str:
    rows = []
    for op in dict.fromkeys(op for op, _, _ in results.values):
        if op == "lab number":
            continue
        for size in results.sizes(op):
            present = [who for name, who, at in results.values if (name, at) == (op, size)]
            for who in sorted(present, key=lambda who: (ORDER.index(who) if who in ORDER else 99, who)):
                values = results.values[op, who, size]
                spread = f"{_show(op, min(values))} to {_show(op, max(values))}" if len(values) > 1 else ""
                rows.append((op, f"{size:,}", who, _show(op, median(values)), spread, str(len(values))))
    return _table(("what", "size", "who", "median", "from, to", "runs"), *rows)


def _show(op: str, value: float) -> str:
    """Write a value with its unit: seconds as milliseconds, where an operation has no other."""
    if op not in UNITS:
        return (
            f"{value:.1f} s" if value >= 10 else f"{1000 * value:.0f} ms" if value >= 0.1 else f"{1000 * value:.1f} ms"
        )
    return f"{value:,.0f}{UNITS[op]}" if value >= 100 or value == int(value) else f"{value:.1f}{UNITS[op]}"


def _missing(results: Results) -> list[str]:
    """Say who could not take part, and in what."""
    lines = [f"- {who}{'' if op == 'missing' else f', {op}, {size:,}'}: {why}" for (op, who, size), why in
             sorted(results.failed.items())]  # fmt: skip
    return ["Not measured:\n\n" + "\n".join(dict.fromkeys(lines))] if lines else []
