"""The benchmark, `make bench`: starts a simulated machine for each section, collects, compares, draws.

run.py [--quick] [--out FOLDER] [--docs] [SECTION ...]      sections: up first change partition labs memory data

With --docs and no section nothing is measured: docs/performance.md gets its tables and pictures from the last results.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from machine import INSIDE, Machine  # noqa: E402
from report import Results, report  # noqa: E402

FULL = {"guests": [3, 10, 50, 250], "wide": [1000], "labs": [1, 16, 128], "many": [512, 2048], "cut": [3, 50, 250],
        "runs": 5, "seconds": 1.0, "rivals": True}  # fmt: skip
QUICK = {
    "guests": [3, 10],
    "wide": [],
    "labs": [1, 4],
    "many": [],
    "cut": [3],
    "runs": 2,
    "seconds": 0.05,
    "rivals": False,
}
SECTIONS = ("first", "up", "change", "partition", "data", "memory", "labs")
SECTION_S = 3000
"""How long one section may take."""
OPTIONS = {"probe": ["-static"], "floor": ["-pthread"]}


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Measure vnet beside its rivals, on simulated machines.")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, two runs, no rivals: only to see that it works"
    )
    parser.add_argument("--runs", type=int, help="how often each is done")
    parser.add_argument("--out", type=Path, help="folder of results.json, tables and pictures")
    parser.add_argument("--docs", action="store_true", help="put tables and pictures into docs/")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=" ".join(SECTIONS))
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"{', '.join(sorted(unknown))}: no such section; there are {' '.join(SECTIONS)}")
    profile = {**(QUICK if options.quick else FULL), **({"runs": options.runs} if options.runs else {})}
    options.out = options.out or HERE / ("out/quick" if options.quick else "out")
    options.out.mkdir(parents=True, exist_ok=True)
    sections = options.sections or ([] if options.docs else SECTIONS)
    failed = [name for name in sections if not _section(name, profile, options.out)]
    text = report(Results.read(options.out), options.out, HERE.parent / "docs" if options.docs else None)
    print(text)
    return 1 if failed else 0


def _section(name: str, profile: dict[str, Any], out: Path) -> bool:
    """Measure one section on a fresh machine and add what it found to the results."""
    with tempfile.TemporaryDirectory(prefix="vnet-bench-") as programs:
        Path(programs).chmod(0o755)
        for program, words in OPTIONS.items():
            compiler = ["cc", "-O2", "-Wall", "-o", f"{programs}/{program}", str(HERE / f"{program}.c"), *words]
            subprocess.run(compiler, check=True)
        with Machine(userns=False) as machine:  # in a user namespace of its own, as the probe needs; see probe.c
            argv = ("python3", "-I", f"{INSIDE}/bench/measure.py", name, programs, json.dumps(profile))
            process = machine.popen(*argv, stdout=subprocess.PIPE, cwd="/")
            alarm = threading.Timer(SECTION_S, process.kill)
            alarm.start()
            samples = [json.loads(line) for line in process.stdout or ()]
            alarm.cancel()
            status = process.wait()
    if status:
        print(f"bench: {name} ended with status {status}", file=sys.stderr)
    _store(name, samples, profile, out)
    return status == 0


def _store(name: str, samples: list[Any], profile: dict[str, Any], out: Path) -> None:
    """Write a section's samples, with what they were taken on."""
    system = {"kernel": platform.release(), "python": platform.python_version(), "cpus": _cpus()}
    tools = {tool: _version(tool) for tool in ("ip", "iptables") if shutil.which(tool)}
    when = time.strftime("%Y-%m-%d")
    section = {"when": when, "system": system | tools, "profile": profile, "samples": samples}
    (out / f"{name}.json").write_text(json.dumps(section) + "\n")


def _cpus() -> int:
    return len([line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")])


def _version(tool: str) -> str:
    return subprocess.run([tool, "-V"], check=False, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
