"""docs/tutorial.md as a newcomer follows it: each file is written, each command run, and what they print held against the page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Box
from lab_world import same_host
from snapshot import assert_same
from test_pytest_plugin import PACKAGES, install

REPO = Path(__file__).resolve().parent.parent
PAGE = (REPO / "docs/tutorial.md").read_text(encoding="utf-8")
#: The first of these in the paragraph before a file's block is its name.
FILE = re.compile(r"`([\w./-]+\.(?:toml|py|yml))`")
#: What pip is told on a machine without a network: all that vnet needs is there already.
PIP = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONPATH": PACKAGES,
       "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cacheprovider -p no:xdist"}  # fmt: skip


class Block(NamedTuple):
    """A block of the page: its language, its text, and what stands before it."""

    language: str
    text: str
    before: str

    @property
    def file(self) -> str:
        """The file that it is."""
        return FILE.findall(self.before.strip().rpartition("\n\n")[2])[0]


class Typed(NamedTuple):
    """A command, and what the page says that it prints."""

    command: str
    shown: list[str]


def blocks() -> Iterator[Block]:
    """Read the page."""
    at = 0
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        yield Block(found[1], found[2], PAGE[at : found.start()])
        at = found.end()


def typed(block: Block) -> Iterator[Typed]:
    """Read the commands of a block."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield Typed(command, shown)


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Tell whether output is what the page shows, where `...` stands for anything; blanks at ends don't count."""
    pattern = "\n".join(re.escape(line.rstrip()) for line in shown).replace(re.escape("..."), "[^\0]*")
    return bool(re.fullmatch(pattern, "\n".join(line.rstrip() for line in printed)))


def script() -> tuple[str, list[Typed]]:
    """Write what a shell does with the page: its files and its commands, in order, a NUL behind each command's output."""
    lines, commands = ["exec 2>&1"], list[Typed]()
    for block in blocks():
        if block.language == "console":
            for each in typed(block):
                commands.append(each)
                lines += [f"{each.command}", "status=$?", r"printf '\0%d\0' $status"]
        elif block.language != "yaml":
            lines.append(f"printf %s {shlex.quote(block.text)} > {block.file}")
    return "\n".join(lines) + "\n", commands


@pytest.mark.long
@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_the_tutorial(box: Box) -> None:
    """From the first command to the last; and its test fails where the cluster is wrong, as the page says."""
    text, commands = script()
    box.run("sh", "-c", "mkdir vnet; cd /opt/vnet; cp -r vnet share pyproject.toml README.md ~/project/vnet")
    before = box.machine.snapshot()
    dependencies = f"echo {PACKAGES} > $(echo env/lib/python3*/site-packages)/dependencies.pth\n"
    text = text.replace("\nenv/bin/pip ", f"\n{dependencies}env/bin/pip ", 1)
    wrong = "sed -i 's/> len(NODES) . 2/> 0/' node.py; grep -q 'alive) > 0' node.py && python -m pytest -q\n"
    text = text.replace("vnet-down --all", f"{wrong}printf '\\0%d\\0' $?\nvnet-down --all", 1)
    commands.insert(-1, Typed("the test of a wrong node", ["...1 failed in ..."]))
    done = box.run("bash", "-c", text, env=PIP, timeout_s=120)
    printed = done.stdout.split("\0")
    assert len(printed) == 2 * len(commands) + 1, done.stdout[-2000:]
    for each, out, status in zip(commands, printed[::2], printed[1::2], strict=False):
        assert agrees(each.shown, out.splitlines()), f"$ {each.command}\n{out}"
        assert status == ("1" if "wrong" in each.command else "0"), f"$ {each.command}\n{out}"
    assert_same(before, box.machine)


@pytest.mark.parametrize("box", ["root", "sudo"], indirect=True)
@pytest.mark.quick_in("root")
def test_its_ci_jobs(box: Box) -> None:
    """GitLab's as root, GitHub's as a user with sudo. Their set-up is the page's; packages are those that vnet needs."""
    name = {"root": ".gitlab-ci.yml", "sudo": ".github/workflows/partition.yml"}[box.way]
    (job,) = (block for block in blocks() if block.language == "yaml" and block.file == name)
    steps = re.findall(r"^ +- (?:run: )?((?:sudo |apt-get|python3|env/).*)$", job.text, re.MULTILINE)
    apt, *set_up, test = steps
    page = [each.command for block in blocks() if block.language == "console" for each in typed(block)]
    assert set_up == page[:2]
    packages = apt.rpartition(" -y ")[2].split()
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    tools = re.findall(r":([\w-]+)", re.findall(r"^TOOLS := (.*)$", makefile, re.MULTILINE)[0])
    assert set(packages) <= {*tools, "curl", "python3-venv"}
    assert {*tools} - {"mount", "util-linux"} <= set(packages), "the two are part of every Debian"
    for block in blocks():
        if block.language in ("toml", "python"):
            box.write(block.file, block.text)
    with same_host(box):
        env = install(box)
        program = test.replace("env/bin/python ", "python3 ")
        done = box.run("bash", "-ec", program, env=env, timeout_s=120)
        assert "1 passed" in done.stdout
