"""The loader of hooks: order, errors, entry points, and that docs, specs and tests agree. No lab is made here."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hook_lab import all_hooks
from hook_world import GATEWAY, LAB, installed, note, write

from vnet import hooks
from vnet.errors import HookError
from vnet.hooks import Hooks
from vnet.hooks import specs as hookspecs

REPO = Path(__file__).resolve().parent.parent
SPECS = hookspecs.specs()
#: The table of hooks that users were promised.
PROMISED = {
    "vnet_before_gateway_up": "gateway", "vnet_after_gateway_up": "gateway",
    "vnet_before_bridge_up": "lab", "vnet_after_bridge_up": "lab",
    "vnet_before_guest_up": "lab guest", "vnet_after_guest_up": "lab guest",
    "vnet_before_partition": "lab cut", "vnet_after_partition": "lab cut",
    "vnet_before_guest_down": "lab guest", "vnet_after_guest_down": "lab guest",
    "vnet_before_bridge_down": "lab", "vnet_after_bridge_down": "lab",
    "vnet_before_gateway_down": "gateway", "vnet_after_gateway_down": "gateway",
    "vnet_failed": "step error",
}  # fmt: skip
#: What the engine hands over, by the name of the argument.
VALUES = {
    "gateway": GATEWAY, "lab": LAB, "guest": LAB.guests[0], "cut": SimpleNamespace(kind="isolate"),
    "step": "guests up", "error": ValueError("no"),
}  # fmt: skip
GUEST = {"lab": LAB, "guest": LAB.guests[0]}


@pytest.fixture
def said() -> list[str]:
    """Give the list that test hooks write to: they find it as `sys.vnet_said`."""
    sys.vnet_said = []  # type: ignore[attr-defined]
    return sys.vnet_said  # type: ignore[attr-defined, no-any-return]


def test_the_promised_hooks_are_specified() -> None:
    """The contract's table and the specs say the same."""
    assert {name: " ".join(inspect.signature(spec).parameters) for name, spec in SPECS.items()} == PROMISED


def test_every_hook_is_tried_on_a_lab() -> None:
    """The timeline that tests/test_hooks_lab.py compares a real lab with has every hook, with its arguments."""
    assert all_hooks() == PROMISED


def markdown() -> str:
    """Write the specs as docs/hooks.md has them: a heading and the docstring for each."""
    heads = (
        (name, ", ".join(inspect.signature(spec).parameters), inspect.getdoc(spec)) for name, spec in SPECS.items()
    )
    return "\n".join(f"### `{name}({arguments})`\n\n{text}\n" for name, arguments, text in heads)


def test_the_documentation_holds_every_spec() -> None:
    """docs/hooks.md repeats the specs' texts, and has no section of a hook that does not exist."""
    page = (REPO / "docs/hooks.md").read_text(encoding="utf-8")
    assert markdown() in page, f"docs/hooks.md should hold this:\n\n{markdown()}"
    assert page.count("### `vnet_") == len(SPECS)


@pytest.mark.parametrize("hook", SPECS)
def test_every_hook_gets_its_arguments(hook: str, tmp_path: Path, said: list[str]) -> None:
    """Each hook is called once, on its way up or down, with views of what the engine hands over."""
    arguments = PROMISED[hook].split()
    shown = {"gateway": "{gateway.ip}", "lab": "{lab.name}", "guest": "{guest.ip}", "cut": "{cut.kind}"}
    text = " ".join(shown.get(name, f"{{{name}}}") for name in arguments)
    loaded = Hooks.load([write(tmp_path / "a.py", note(hook, ", ".join(arguments), text))], "shop")
    values = {name: VALUES[name] for name in arguments}
    if hook == "vnet_failed":
        assert loaded.failed(**values) == []
    else:
        loaded.up(hook, **values)
        assert loaded.down(hook, **values) == []
    given = {"gateway": "172.18.255.2", "lab": "shop", "guest": "172.18.0.1", "cut": "isolate", "step": "guests up"}
    assert set(said) == {" ".join(given.get(name, "no") for name in arguments)}


def test_a_hook_may_leave_out_arguments(tmp_path: Path, said: list[str]) -> None:
    """Pluggy fills in those that a hook names."""
    loaded = Hooks.load([write(tmp_path / "a.py", note("vnet_after_guest_up", "guest", "{guest.name}"))], "shop")
    loaded.up("vnet_after_guest_up", **GUEST)
    assert said == ["nginx"]


def test_order_is_that_of_the_settings_and_backwards_on_the_way_down(tmp_path: Path, said: list[str]) -> None:
    """What is set up last is taken down first."""
    files = [write(tmp_path / name, note("vnet_after_guest_up", "lab", name)) for name in ("b.py", "a.py", "c.py")]
    loaded = Hooks.load(files, "shop")
    loaded.up("vnet_after_guest_up", **GUEST)
    assert said == ["b.py", "a.py", "c.py"]
    loaded.down("vnet_after_guest_up", **GUEST)
    assert said[3:] == ["c.py", "a.py", "b.py"]


@pytest.mark.parametrize("way", ["up", "down"])
def test_tryfirst_and_trylast_mean_the_same_both_ways(way: str, tmp_path: Path, said: list[str]) -> None:
    """First is first on the way down too."""
    options = {"last.py": "(trylast=True)", "mid.py": "", "first.py": "(tryfirst=True)"}
    files = [write(tmp_path / name, note("vnet_failed", "step", name, options=text)) for name, text in options.items()]
    getattr(Hooks.load(files, "shop"), way)("vnet_failed", step="s", error=ValueError())
    assert said == ["first.py", "mid.py", "last.py"]


def test_two_files_of_one_name_are_two_modules_and_one_file_is_loaded_once(tmp_path: Path, said: list[str]) -> None:
    """Neither the stem nor the path decides: the file does."""
    files = [write(tmp_path / name / "log.py", note("vnet_failed", "step", name)) for name in ("one", "two")]
    (tmp_path / "again.py").symlink_to(files[0])
    Hooks.load([*files, files[0], str(tmp_path / "again.py")], "shop").up("vnet_failed", step="s", error=ValueError())
    assert said == ["one", "two"]


def test_loading_leaves_no_bytecode_and_reads_none(tmp_path: Path) -> None:
    """A `__pycache__` would be one more thing that others could write."""
    Hooks.load([write(tmp_path / "a.py", note("vnet_failed", "step", "a"))], "shop")
    assert [path.name for path in tmp_path.iterdir()] == ["a.py"]


def test_dataclasses_work_in_a_hook_file(tmp_path: Path) -> None:
    """They look their module up by its name."""
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n@dataclass\nclass A:\n    a: int\n\n"
    )
    Hooks.load([write(tmp_path / "a.py", text.rstrip("\n") + "\n\n" + note("vnet_failed", "step", "a"))], "shop")


@pytest.mark.parametrize("raised", ["ValueError('boom')", "SystemExit(3)", "sys.exit('boom')"])
def test_an_exception_on_the_way_up_names_line_hook_and_lab(raised: str, tmp_path: Path, said: list[str]) -> None:
    """It ends the step: later files are not asked."""
    text = raised if raised.startswith("sys") else f"raise {raised}"
    first = write(tmp_path / "a.py", note("vnet_after_guest_up", "lab", "a", text))
    second = write(tmp_path / "b.py", note("vnet_after_guest_up", "lab", "b"))
    with pytest.raises(HookError, match=rf"^{first}:7: vnet_after_guest_up in lab shop: \w+: (boom|3)$") as error:
        Hooks.load([first, second], "shop").up("vnet_after_guest_up", **GUEST)
    assert isinstance(error.value.__cause__, ValueError | SystemExit)
    assert said == ["a"]


def test_exceptions_on_the_way_down_are_collected(tmp_path: Path, said: list[str]) -> None:
    """Every file has its turn."""
    files = [
        write(tmp_path / f"{name}.py", note("vnet_before_guest_down", "lab", name, f"raise OSError('{name}')"))
        for name in "abc"
    ]
    errors = Hooks.load(files, "shop").down("vnet_before_guest_down", **GUEST)
    assert said == ["c", "b", "a"]
    assert [str(error).partition(" in lab ")[0] for error in errors] == [
        f"{file}:7: vnet_before_guest_down" for file in reversed(files)
    ]


def test_the_interrupt_key_is_no_mistake_of_a_hook(tmp_path: Path, said: list[str]) -> None:
    """It passes."""
    loaded = Hooks.load([write(tmp_path / "a.py", note("vnet_failed", "step", "a", "raise KeyboardInterrupt"))], "shop")
    with pytest.raises(KeyboardInterrupt):
        loaded.failed("s", ValueError())


def test_the_line_is_the_hooks_own_and_notes_are_shown(tmp_path: Path, said: list[str]) -> None:
    """Not the line of the library that raised; a command's stderr is a note."""
    more = "import json; error = None\n    json.loads('{')"
    (error,) = Hooks.load([write(tmp_path / "a.py", note("vnet_failed", "step", "a", more))], "").failed("s", OSError())
    assert f"{tmp_path}/a.py:8: vnet_failed: JSONDecodeError: Expecting property" in str(error)
    more = "error = OSError('boom'); error.add_note('in nginx: no route'); raise error"
    (error,) = Hooks.load([write(tmp_path / "b.py", note("vnet_failed", "step", "a", more))], "").failed("s", OSError())
    assert str(error).endswith("OSError: boom\n  in nginx: no route")


def test_without_hooks_nothing_is_imported() -> None:
    """They cost nothing to those who have none."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from vnet.hooks import Hooks\n"
        "hooks = Hooks.load([], 'shop')\n"
        "hooks.up('vnet_failed'); assert hooks.down('vnet_failed') == [] == hooks.failed('', OSError()) and not hooks\n"
        "print([name for name in ('pluggy', 'importlib.metadata', 'inspect', 'vnet.api') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script, str(REPO)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_only_the_section_counts(tmp_path: Path) -> None:
    """Vnet's own scripts and plug-ins mention the name too."""
    installed(
        tmp_path, "vnet", "[console_scripts]\nvnet = vnet.cli:main\n[pytest11]\nvnet = x # [vnet]\n[vnet.more]\na=b\n"
    )
    assert not hooks.has_entry_points([str(tmp_path), str(tmp_path / "none"), "/proc/version"])
    installed(tmp_path, "other", "[vnet]\nlog = other_log\n")
    assert hooks.has_entry_points([str(tmp_path)])


def test_entry_points_run_before_files(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """So on the way down they run after them."""
    site = tmp_path / "site"
    installed(site, "logger", "[vnet]\nlog = vnet_test_logger\n")
    write(site / "vnet_test_logger.py", note("vnet_failed", "step", "installed", "raise OSError('x')"))
    monkeypatch.syspath_prepend(site)
    loaded = Hooks.load([write(tmp_path / "a.py", note("vnet_failed", "step", "file"))], "shop")
    (error,) = loaded.failed("s", ValueError())
    assert said == ["file", "installed"]
    assert str(error) == f"{site}/vnet_test_logger.py:7: vnet_failed in lab shop: OSError: x"
