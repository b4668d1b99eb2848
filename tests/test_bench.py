"""The benchmark itself: a small run of every section on simulated machines, lest it rot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import need_root
from machine import REPO

MEASURED = {
    "first": {("first up", "vnet"), ("first up", "shell script"), ("last down", "vnet")},
    "up": {(op, who) for op in ("up", "down") for who in ("vnet", "vnet, no root", "shell script", "C floor")},
    "change": {("no-op up", "vnet"), ("one more", "vnet"), ("one more", "short script"), ("exec", "vnet-exec true"),
               ("status", "vnet")},
    "partition": {("cut", "vnet"), ("heal", "vnet"), ("cut", "restore in each guest"), ("cut in halves", "vnet")},
    "data": {(op, path) for op in ("stream", "echo")
             for path in ("loopback", "guest to guest", "guest to host", "host to forwarded port")},
    "memory": {("kB a guest", "vnet"), ("kB a lab of one guest", "vnet")},
    "labs": {(f"labs, {some} at once", who) for some in (1, 8) for who in ("vnet", "shell script", "C floor")},
}  # fmt: skip
"""What each section must have measured at least."""


LONG = ("first", "up", "memory", "labs", "partition", "data")
SECTIONS = [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in MEASURED]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_measures(section: str, tmp_path: Path) -> None:
    """A quick run of each section ends well, measures all it should, leaves no process, and writes table and pictures."""
    need_root()
    argv = [sys.executable, str(REPO / "bench/run.py"), "--quick", "--runs", "1", "--out", str(tmp_path), section]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "ratio of medians" in done.stdout
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert {(each["op"], each["who"]) for each in results} >= MEASURED[section], done.stderr
    assert all(each["median"] > 0 for each in results if not each["op"].startswith(("processes", "kB"))), results
    assert not any(each["median"] for each in results if each["op"] == "processes"), results
    for picture in ("guests.svg", "labs.svg"):
        assert "<path d='M" in (tmp_path / picture).read_text()
