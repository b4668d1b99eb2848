"""What the loader of hooks refuses: files that hold mistakes, and files that others can write."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hook_world import installed, note, write

from vnet.errors import SettingsError
from vnet.hooks import Hooks, trust


def refused(*files: Path) -> list[str]:
    """Load files that are refused, and give the mistakes."""
    with pytest.raises(SettingsError) as error:
        Hooks.load([str(file) for file in files], "shop")
    return list(error.value.mistakes)


REFUSED: dict[str, tuple[str, str]] = {
    "no hook": ("x = 1\n", r"a.py: holds no hook: mark functions .* @vnet.hookimpl"),
    "unmarked": ("def vnet_after_guest_up(lab): ...\n", r"a.py:1: vnet_after_guest_up is not marked .* @vnet.hookimpl"),
    "unmarked helper": (
        note("vnet_failed", "step", "a") + "def vnet_help(): ...\n",
        r"a.py:8: vnet_help is not marked",
    ),
    "unknown": (
        note("vnet_after_gest_up", "lab", "a"),
        r"a.py:4: .*no such hook \(did you mean vnet_after_guest_up\?\)",
    ),
    "far off": (note("start_things", "lab", "a"), r"a.py:4: start_things: there is no such hook, see docs/hooks.md"),
    "argument": (
        note("vnet_after_guest_up", "gest", "a"),
        r"no argument 'gest' \(did you mean guest\?\); it has: lab, g",
    ),
    "default": (note("vnet_after_guest_up", "guest=1", "a"), r"'guest' has a default, and is then never filled in"),
    "keywords": (note("vnet_after_guest_up", "**all", "a"), r"\*\*all is never filled in: name the arguments"),
    "keyword only": (note("vnet_after_guest_up", "*, lab", "a"), r"lab is never filled in: name the arguments"),
    "generator": (note("vnet_failed", "step", "a", "yield"), r"vnet_failed: is async or a generator"),
    "async": (note("vnet_failed", "step", "a").replace("def ", "async def "), r"vnet_failed: is async or a generator"),
    "wrapper": (note("vnet_failed", "step", "a", "yield", "(wrapper=True)"), r"vnet_failed: is a wrapper"),
    "syntax": ("import vnet\ndef (:\n", r"a.py:2: can't be loaded: SyntaxError: invalid syntax"),
    "import": (
        "\nimport no_such_thing\n",
        r"a.py:2: can't be loaded: ModuleNotFoundError: No module named 'no_such_th",
    ),
    "exit": ("import sys\nsys.exit('bye')\n", r"a.py:2: can't be loaded: SystemExit: bye"),
    "no text": ("x = '\udc80'\n", r"a.py.*: can't be loaded: \w+Error"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    """One line names the file, the line, what is wrong, and what to do."""
    text, expected = REFUSED[case]
    path = tmp_path / "a.py"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    before = set(sys.modules)
    (mistake,) = refused(path)
    assert re.search(expected, mistake), mistake
    assert mistake.startswith(str(path))
    assert case not in ("syntax", "import", "exit") or not {m for m in set(sys.modules) - before if "hooks_" in m}


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to start vnet-up once for each."""
    text = note("vnet_up", "lab", "a") + note("vnet_failed", "stp, eror", "a").replace("step", "stp")
    mistakes = refused(Path(write(tmp_path / "a.py", text)), tmp_path / "none.py", tmp_path)
    assert [mistake.partition(": ")[2].partition(":")[0] for mistake in mistakes] == [
        "vnet_failed", "vnet_failed", "vnet_up", "can't be read", "is no file",
    ]  # fmt: skip


def test_an_optional_hook_may_be_unknown(tmp_path: Path) -> None:
    """Pluggy's way to write for several versions."""
    text = note("vnet_failed", "step", "a") + note("vnet_in_the_future", "lab", "b", options="(optionalhook=True)")
    Hooks.load([write(tmp_path / "a.py", text)], "shop")


def test_an_entry_point_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package that declares it."""
    installed(tmp_path, "logger", "[vnet]\nlog = vnet_no_such_logger\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert refused() == [
        "entry point log = vnet_no_such_logger of logger: can't be loaded: "
        "ModuleNotFoundError: No module named 'vnet_no_such_logger'"
    ]


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """Give a hook file in folders that are the caller's."""
    path = tmp_path / "project/hooks/a.py"
    write(path, note("vnet_failed", "step", "a"))
    for each in (path, path.parent, path.parent.parent):
        each.chmod(each.stat().st_mode & ~0o022)
    return path


WRITABLE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "file": (lambda hook: hook.chmod(0o666), "everybody can write {hook} (chmod o-w {hook})"),
    "folder": (lambda hook: hook.parent.chmod(0o777), "everybody can write {hook.parent} "),
    "project": (lambda hook: hook.parent.parent.chmod(0o757), "everybody can write {hook.parent.parent} "),
}


@pytest.mark.parametrize("case", WRITABLE)
def test_what_others_can_write_is_refused(case: str, hook: Path) -> None:
    """The file, its folder, or one further up."""
    change, expected = WRITABLE[case]
    Hooks.load([str(hook)], "shop")
    change(hook)
    (mistake,) = refused(hook)
    assert mistake.startswith(f"{hook}: {expected.format(hook=hook)}")
    assert "hooks that others can write are refused" in mistake


def test_a_link_is_followed_step_by_step(hook: Path, tmp_path: Path) -> None:
    """A folder that only an intermediate link lies in counts; one with the sticky bit is no risk."""
    real = tmp_path / "elsewhere/b.py"
    real.parent.mkdir(mode=0o755)
    hook.rename(real)
    (tmp_path / "middle").symlink_to("elsewhere")
    hook.symlink_to("../../middle/b.py")
    assert trust.flaw(hook, os.geteuid()) is None
    real.parent.chmod(0o777)
    assert "everybody can write" in str(trust.flaw(hook, os.geteuid()))
    real.parent.chmod(0o1777)
    assert trust.flaw(hook, os.geteuid()) is None


def test_a_foreign_owner_is_refused(hook: Path) -> None:
    """Who owns a file can always write it."""
    mine = os.geteuid()
    if mine == 0:
        os.chown(hook, 54321, -1)
        assert refused(hook)[0].startswith(f"{hook}: {hook} belongs to user 54321: hooks that others can write")
    else:
        assert "belongs to" in str(trust.flaw(hook, mine + 1))


def test_a_group_of_ones_own_is_no_other(hook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless it has other members, or an access list hides some."""
    me = trust.user(os.geteuid())
    hook.chmod(0o664)
    person = SimpleNamespace(pw_name=me, pw_gid=hook.stat().st_gid)
    monkeypatch.setattr(trust.pwd, "getpwall", lambda: [person])
    for members, flawed in ([], False), ([me], False), ([me, "bob"], True):
        monkeypatch.setattr(trust.grp, "getgrgid", lambda _, m=members: SimpleNamespace(gr_name="team", gr_mem=m))
        assert (trust.flaw(hook, os.geteuid()) is not None) == flawed
    assert trust.flaw(hook, os.geteuid()) == f"group team can write {hook} (chmod g-w {hook})"
    monkeypatch.setattr(trust.grp, "getgrgid", lambda _: SimpleNamespace(gr_name="team", gr_mem=[]))
    monkeypatch.setattr(os, "listxattr", lambda _: ["system.posix_acl_access"])
    assert trust.flaw(hook, os.geteuid()) is not None
