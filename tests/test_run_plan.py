"""vnet-run's pure half: what is run, in which order, until when, and how its output is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from settings_world import World

from vnet.errors import UsageError
from vnet.run.output import LONGEST, PALETTE, Lines, Screen, head
from vnet.run.plan import Program, programs
from vnet.run.state import Mode, State, exit_status

ROOT = Path(__file__).parent.parent
SHOP = """
[guests.db]
command = "postgres -D 'the data'"
ready = "tcp:5432"
tags = ["back"]
[guests.cache]
command = "redis-server"
ready = "redis-cli ping"
after = ["db"]
tags = ["back", "quick"]
[guests.idle]
after = ["cache"]
[guests.web]
command = "./web"
after = ["idle"]
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give three places for settings files."""
    return World(tmp_path)


def test_what_is_run(world: World) -> None:
    """All that has a command; a guest without one is waited for by nobody, but what it waits for is."""
    db, cache, web = programs(world.read(SHOP), [], [])
    assert db == Program("db", 0, ("postgres", "-D", "the data"), 5432, frozenset())
    assert cache == Program("cache", 1, ("redis-server",), ("redis-cli", "ping"), frozenset({"db"}))
    assert web == Program("web", 3, ("./web",), None, frozenset({"cache"}))


CHOICES = [
    (["back"], [], "db cache"),
    (["web", "quick"], [], "cache web"),
    ([], ["back"], "web"),
    (["back"], ["db"], "cache"),
]


@pytest.mark.parametrize(("only", "exclude", "names"), CHOICES, ids=[names for _, _, names in CHOICES])
def test_a_choice_by_name_and_tag(world: World, only: list[str], exclude: list[str], names: str) -> None:
    """--exclude wins over --only."""
    assert [each.guest for each in programs(world.read(SHOP), only, exclude)] == names.split()


def test_what_is_left_out_is_stepped_over(world: World) -> None:
    """Without cache, web waits for what cache waits for."""
    chosen = programs(world.read(SHOP), [], ["cache"])
    assert {each.guest: each.after for each in chosen} == {"db": frozenset(), "web": frozenset({"db"})}


@pytest.mark.parametrize(
    ("only", "exclude", "text"),
    [
        (["bakc"], [], "bakc: no guest or tag here has this name (did you mean back?); there are: db back cache quick"),
        ([], ["x"], "x: no guest or tag here has this name; there are: db"),
        (["idle"], [], "no guest has a command to run: what --only and --exclude leave has none; set guests.NAME"),
    ],
)
def test_a_wrong_choice(world: World, only: list[str], exclude: list[str], text: str) -> None:
    """It is refused, with what there is."""
    with pytest.raises(UsageError) as caught:
        programs(world.read(SHOP), only, exclude)
    assert str(caught.value).startswith(text)


A, B, C = (
    Program(name, at, ("x",), ready, frozenset(after))
    for at, (name, ready, after) in enumerate((("a", 80, ""), ("b", None, "a"), ("c", None, "ab")))
)
STOP, WAIT = Mode.__args__  # type: ignore[attr-defined]
#: A history: what happens (`a!` is ready, `a=3` ends with status 3), what is due behind each, and the exit status.
HISTORIES = [
    (WAIT, "b=0 c=0 a=0", "a -", 0, "a never gets ready"),
    (WAIT, "a! a=0 b=0 c=0", "a bc - - -", 0, "all succeed"),
    (WAIT, "a! a=3 b=143 c=4", "a bc - - -", 3, "the first failure counts"),
    (WAIT, "a! b=0 c=7 a=0", "a bc - - -", 7, "one succeeds, one fails"),
    (STOP, "a! b=0 c=143 a=1", "a bc - - -", 0, "the first to end succeeds"),
    (STOP, "a=2", "a -", 2, "the first to end fails before others are started"),
]


@pytest.mark.parametrize(("mode", "history", "due", "status", "_name"), HISTORIES, ids=[each[4] for each in HISTORIES])
def test_a_history(mode: Mode, history: str, due: str, status: int, _name: str) -> None:
    """What is started when, and how it ends."""
    state = State((A, B, C), mode)
    seen = []
    for event in ("", *history.split()):
        if event.endswith("!"):
            state = state.is_ready(event[0])
        elif event and event[0] in state.started:
            state = state.ends(event[0], int(event[2:]))
        before = state.started
        while state.due:
            state = state.starts(state.due[0])
        seen.append("".join(sorted(state.started - before)) or "-")
    assert seen[: len(due.split())] == due.split()
    assert state.stopping or "never" in _name
    assert state.status == status


def test_a_signal_settles_the_status() -> None:
    """What fails while all is being stopped was told to end."""
    state = State((B,), STOP).starts(B).stops(130)
    assert state.ends("b", 143).status == 130
    assert (exit_status(-15), exit_status(3)) == (143, 3)


def test_lines() -> None:
    """Whole lines, each with the name in front; a part of one waits; colours end with the line."""
    lines = Lines(b"a | ")
    assert lines.feed(b"one\ntw") == b"a | one\n"
    assert lines.feed(b"o\r\n\n\033[1mbold") == b"a | two\na | \n"
    assert lines.flush() == b"a | \033[1mbold\033[0m\n"
    assert lines.flush() == b""
    assert lines.feed(b"x" * (LONGEST + 1)) == b"a | " + b"x" * (LONGEST + 1) + b"\n"


def test_names_have_their_colours() -> None:
    """By the guest's place in the settings, so a choice of guests changes none; no colours, no escapes."""
    heads = [head("web", place, 5, colour=True) for place in range(len(PALETTE))]
    assert len(set(heads)) == len(PALETTE)
    assert heads[0] == b"\033[36mweb   |\033[0m "
    assert head("web", 3, 5, colour=False) == b"web   | "


def test_a_reader_that_does_not_read_is_not_waited_for() -> None:
    """What it does not take is kept, and shown once it does."""
    read, write = os.pipe()
    screen = Screen(write)
    screen.waiting += b"x" * 300000
    screen.write()
    left = len(screen.waiting)
    assert 0 < left < 300000
    assert len(os.read(read, 1 << 20)) == 300000 - left
    screen.write()
    assert len(screen.waiting) < left
    os.close(read)
    with pytest.raises(BrokenPipeError):
        screen.write()
    os.close(write)


def test_the_keeper_is_light() -> None:
    """It stands beside a run as long as that lasts, and forks for each command."""
    heavy = {"sh", "toml", "pluggy", "argparse", "subprocess", "typing_extensions", "vnet.engine.records"}
    code = f"import sys, vnet.run.keeper; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
