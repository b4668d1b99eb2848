"""The pytest plugin and vnet's Python API, on simulated machines: plugin_cases.py holds the cases."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import Box, need_root
from hook_world import installed
from lab_world import same_host
from machine import INSIDE, Completed, Machine

REPO = Path(__file__).resolve().parent.parent
PACKAGES = f"{INSIDE}/.venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
#: What a test of a user may hold.
LAB = 'import pytest\n\n@pytest.mark.vnet(guests=["a"])\ndef test_it(lab): ...\n'


def environment(folder: str) -> dict[str, str]:
    """Let a machine's Python find vnet as pip would have installed it, its entry points in `folder`."""
    return {"PYTHONPATH": f"{folder}:{INSIDE}:{PACKAGES}", "PYTHONPYCACHEPREFIX": f"{folder}/cache",
            "PYTEST_ADDOPTS": "-p no:hypothesispytest -p no:cacheprovider"}  # fmt: skip


def install(box: Box) -> dict[str, str]:
    """Put vnet's own entry points where pip would; gives the environment."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = "".join(f"{name} = {where}\n" for name, where in project["entry-points"]["pytest11"].items())
    folder = f"{box.project}/packages"
    box.write("packages/vnet-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: vnet\nVersion: 1.0\n")
    box.write("packages/vnet-1.0.dist-info/entry_points.txt", f"[pytest11]\n{points}")
    return environment(folder)


def run(box: Box, env: dict[str, str], *options: str, check: bool = True) -> Completed:
    """Run pytest on the machine."""
    return box.run("python3", "-m", "pytest", "-q", *options, env=env, check=check, timeout_s=240)


@pytest.mark.quick_in("root")
def test_the_cases(box: Box) -> None:
    """With the way `userns` all of them, two at a time; no lab is left, and then the machine is as it was."""
    with same_host(box):
        env = install(box)
        box.run("cp", f"{INSIDE}/tests/plugin_cases.py", "test_cases.py")
        chosen = () if box.way == "userns" else ("-m", "every_way")
        options = ("-p", "pytester", "-n2", "--durations=20", "-o", "markers=every_way", *chosen)
        done = run(box, env, *options, "test_cases.py", check=False)
        print(done.stdout)
        assert done.returncode == 0, done.stderr
        assert json.loads(box.vnet("status", "--json").stdout)["labs"] == []


def test_the_readmes_test_is_that_of_the_page() -> None:
    """Each of its lines stands in the block that is run."""
    readme, page = ((REPO / name).read_text(encoding="utf-8") for name in ("README.md", "docs/pytest.md"))
    (block,) = re.findall(r"^    @pytest.mark.vnet.*\n(?:    .*\n)*", readme, re.MULTILINE)
    (first, *_) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert [line for line in block.splitlines() if line.strip() not in first] == []


@pytest.mark.parametrize("required", [False, True])
def test_no_lab_can_be_made(required: bool) -> None:
    """The test is skipped, with the reason; `--vnet-required` makes it fail."""
    need_root()
    with Machine(sudo=False) as machine:
        machine.run("mkdir", "project", user="alice")
        box = Box(machine, "alice", "none")
        box.write("test_it.py", LAB)
        done = run(box, install(box), "-rsf", *(["--vnet-required"] if required else []), check=False)
        assert done.returncode == (1 if required else 0)
        assert "1 error" in done.stdout if required else "1 skipped" in done.stdout
        assert re.search("vnet can't make a lab here: .* as root, or install sudo", done.stdout)


def test_pytest_without_labs_imports_next_to_nothing(tmp_path: Path) -> None:
    """Of vnet the plugin alone, of others nothing that pytest itself has not imported."""
    installed(tmp_path, "vnet", "[pytest11]\nvnet = vnet.pytest_plugin\n")
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n    assert {n for n in sys.modules if n.split('.')[0] in ('vnet', 'toml', 'sh')}"
        " == {'vnet', 'vnet.pytest_plugin'}\n",
        encoding="utf-8",
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", "test_it.py"]
    env = {"PYTHONPATH": f"{tmp_path}:{REPO}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert re.search(r"^1 passed", done.stdout, re.MULTILINE), done.stdout
