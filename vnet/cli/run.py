"""Bring the lab up, run each guest's `command` in its guest, and take the lab away again.

What the commands print comes out a line at a time, with the guest's name in front. A signal goes to all of them, and a
second Ctrl-C kills at once. The exit status is the first failed command's, or 128 + the signal. docs/run.md tells more.

  vnet-run                                 all commands; the first that ends, ends the run
  vnet-run --mode wait-all-successful      until all have succeeded, or one has failed
  vnet-run --exclude flask                 flask's guest is there, for `vnet-exec flask ...` by hand
  vnet-run --only web --logs log           those tagged web, what they print in log/GUEST.log too
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from vnet import exec as run_in
from vnet.cli.caller import counted, on_host, session
from vnet.cli.values import seconds
from vnet.config import settings
from vnet.engine import bring_up, gateway_up, take_down
from vnet.engine.context import Context
from vnet.engine.record import LabRecord
from vnet.errors import CommandError, UsageError
from vnet.kernel import namespace
from vnet.nodes import Node
from vnet.picture import look
from vnet.run import front, keeper, plan
from vnet.run.state import MODES, State
from vnet.workers import signals
from vnet.workers.sudo import sudo_argv


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what vnet-run takes."""
    words: dict[str, Any] = {"nargs": "+", "action": "extend", "metavar": "NAME_OR_TAG", "default": []}
    parser.add_argument("--only", **words, help="run these guests' commands; the others are up all the same")
    parser.add_argument("--exclude", **words, help="run all but these guests' commands")
    parser.add_argument("--mode", choices=MODES, default=MODES[0], help="when to stop; default: the first")
    parser.add_argument(
        "--kill-after", metavar="SECONDS", type=seconds, default=10, help="from TERM to KILL; default: 10"
    )
    parser.add_argument("--ready-limit", metavar="SECONDS", type=seconds, default=60, help="to get ready; default: 60")
    parser.add_argument("--logs", metavar="FOLDER", help="write what each guest prints to FOLDER/GUEST.log, too")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    on_host(options)
    wanted = settings.load(file=options.file, lab=options.lab, environ=os.environ, cwd=os.getcwd())
    state = State(plan.programs(wanted, options.only, options.exclude), options.mode)
    wishes = front.Wishes(options.kill_after, options.ready_limit, _folder(options.logs), look.of(sys.stdout).colour)
    with session(options, wanted.hooks, wanted.name) as context:
        gateway_up.announce(context, wanted)
        with _alone(context, wanted.name):
            record = _up(context, wanted)
            try:
                return _run(context, record, state, wishes)
            finally:
                with signals.held():
                    errors = take_down.lab_down(context, wanted.name)
                if errors:
                    raise CommandError("\n".join(errors))


@contextmanager
def _alone(context: Context, name: str) -> Iterator[None]:
    """Be the only vnet-run in a lab."""
    busy = f"{name}: another vnet-run is at work in this lab; end it first, or name another lab with -n"
    with ExitStack() as stack:
        with bring_up.folder(context):
            stack.enter_context(context.records.lock(f"run-{name}", limit_s=1, busy=busy))
        yield


def _up(context: Context, wanted: settings.Settings) -> LabRecord:
    """Bring the lab up, and say so."""
    started_s = time.monotonic()
    record = bring_up.lab_up(context, wanted)
    took_s = time.monotonic() - started_s
    context.say(f"{record.lab.name} is up: {counted(record.lab.guests)}, {took_s:.2f} s")
    return record


def _run(context: Context, record: LabRecord, state: State, wishes: front.Wishes) -> int:
    """Run the commands, with a keeper of their processes."""
    lab, folder = record.lab, context.records.folder
    cwd, umask = os.path.dirname(lab.file) if lab.file else os.getcwd(), run_in.umask_now()

    def request(guest: str) -> dict[str, Any]:
        env = run_in.environment(Node(folder, lab.name, guest))
        return {"lab": lab.name, "node": guest, "env": env, "cwd": cwd, "umask": umask}

    namespace.adopt_orphans()  # should the keeper be killed, what it kept comes here
    spared = frozenset(each.pid for each in context.rights.started.values())
    made = _keeper(context)
    try:
        return front.Front(state, made, request, wishes, context.say).run()
    finally:
        with signals.held():
            made.close()
            keeper.kill_all(spared)


def _keeper(context: Context) -> keeper.Keeper:
    """Start the keeper, with the rights that commands are started with."""
    under_sudo = context.rights.way == "sudo" and os.geteuid() != 0
    return keeper.start([*sudo_argv(), "run"] if under_sudo else keeper.program())


def _folder(path: str | None) -> str | None:
    """Make the folder of the logs."""
    if path is None:
        return None
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--logs {path}: {error.strerror}; name a folder that you can write") from None
    return os.path.abspath(path)
