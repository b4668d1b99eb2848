"""Command lines of all verbs with words that nobody should type; run on a simulated machine, where no lab is up.

python3 fuzz_verbs.py EVERY    try every so-manieth, and print how many; fail at the first that is not refused in a clear line

Refused: exit status 2, or 3 where the name could be a lab's and is not up. No traceback, no command started.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from fuzz_loader import NASTY, Watch

from vnet import cli

PLACES = (
    "up -n {}", "up -n a {}", "up --host-ip {}", "up -f {}", "up -f{}", "up a {} -n b", "up --{}", "up --json={}", "up -n a -- {}",
    "down -n {} g", "down --{}", "down -f {} g", "status -n {}", "status {}", "status --json={}", "partition -n {} show",
    "status --graph {}", "doctor {}",
    "partition {}", "partition isolate {}", "partition -n none isolate {}", "partition disjoint {} -- {}", "partition oneway a -- {}",
    "partition --for {} isolate a", "partition --seed {} one", "partition run {} id", "exec {} id", "exec -n {} web id",
    "exec -f {} web id", "exec --{} web id", "exec {}", "exec -- {} id", "run --mode {}",
    "run --only {}", "run --kill-after {}", "run -n {} --ready-limit x",
    "{}", "-{}", "--{}",
)  # fmt: skip
VARIABLES = (
    "VNET_LAB",
    "VNET_FILE",
    "VNET_HOST_IP",
    "VNET_NODE",
    "VNET_IP",
    "XDG_CONFIG_HOME",
    "HOME",
    "PATH",
    "NO_COLOR",
)
#: Places where a good name would be taken, and asked for root's help: there only what can't be one is tried.
MAKES = ("{}", "doctor {}", "up --host-ip {}", "up -n {}", "up --{}", "up -n a {}", "up a {} -n b", "up -n a -- {}")
#: What there is nothing of: content to take nothing away, to tell of nothing, or to show help.
CONTENT = ("down ", "status -n", "-{}", "--{}", "{}", "status {}", "exec --{}", "exec --{} web id", "up --{}", "down --{}",
           "up --json={}", "exec {}",
           "exec -- {} id")  # fmt: skip


def lines() -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """Write all command lines, and a few with variables."""
    for place in PLACES:
        for text in (*NASTY, "\udcff", "\udcff/../x"):  # bytes that are no UTF-8
            if "\0" not in text and text != "--help" and not (place in MAKES and (good(text) or text in ("", "--"))):
                yield place, [word.replace("{}", text) for word in place.split()], {}
    for name in VARIABLES:
        for text in NASTY:
            if "\0" not in text:
                for line in ("status", "partition show", "exec web id", "down", "partition isolate a"):
                    yield "down ", line.split(), {name: text}


def good(text: str) -> bool:
    """Tell whether a text can be the name of a lab, or the host's address."""
    from vnet.config import checks

    for check in (checks.name, checks.host_ip):
        with contextlib.suppress(ValueError):
            check(text)
            return True
    return False


def tried(words: list[str], variables: dict[str, str]) -> tuple[int, str]:
    """Do one command line in this process; gives its status and what it said."""
    said = io.StringIO()
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            return cli.main(["vnet", *words]), said.getvalue()
    except SystemExit as end:
        return int(end.code or 0) if not isinstance(end.code, str) else 1, said.getvalue()
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> None:
    """Try all."""
    watch, everything = Watch(), [*lines()][:: int(sys.argv[1])]
    for place, words, variables in everything:
        try:
            watch.on = True
            status, said = tried(words, variables)
            watch.on = False
            allowed = (2, 3, 0) if place in CONTENT or place.startswith(CONTENT[0]) else (2, 3)
            assert status in allowed, f"status {status}"
            assert "Traceback" not in said, said
            assert status == 0 or said.strip(), "it said nothing"
            assert status == 0 or all(line.isprintable() for line in said.splitlines()), (
                "a line that no terminal should show"
            )
        except BaseException as error:
            watch.on = False
            print(f"{words} with {variables}: {type(error).__name__}: {error}", file=sys.stderr)
            raise
    print(f"{len(everything)} command lines, {watch.started} commands started")


if __name__ == "__main__":
    main()
