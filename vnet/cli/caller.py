"""Who calls, and the setting up of one call: hooks, rights, and where words go."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager

from vnet.engine.context import Context
from vnet.errors import UsageError
from vnet.hooks import Hooks
from vnet.nodes import caller
from vnet.step import Step

__all__ = ["caller", "counted", "on_host", "session"]


def on_host(options: Namespace) -> None:
    """Refuse to make or take away labs from within one: the host's links and records are not seen from there."""
    node = os.environ.get("VNET_NODE")
    if node:
        raise UsageError(
            f"this is the node {node} of the lab {os.environ.get('VNET_LAB')}; {options.prog} is for the host"
        )


def counted(guests: Sized) -> str:
    """Say how many guests there are."""
    return f"{len(guests)} guest{'' if len(guests) == 1 else 's'}"


@contextmanager
def session(options: Namespace, hooks: Sequence[str] | None, lab: str) -> Iterator[Context]:
    """Give what a verb works with; ends the workers behind it. No `hooks`: a record will name them."""

    def say(text: str) -> None:
        if not options.quiet:
            print(f"{options.prog}: {text}", file=sys.stderr)

    if getattr(options, "dry_run", False):
        from vnet.engine import dry

        context: Context = dry.DryContext(caller(), lab, say, dry.printer(sys.stdout))
    else:
        context = Context.of_caller(caller(), Hooks(lab) if hooks is None else Hooks.load(hooks, lab), say)
    if options.verbose:
        context.rights.show = shower(context)
    try:
        yield context
    finally:
        context.rights.close()


def shower(context: Context) -> Callable[[str, Step], None]:
    """Make what prints each command of a step before it runs (-v)."""
    from vnet.engine import show

    def print_step(way: str, step: Step) -> None:
        for line in show.lines(step, way, context.rights.way):
            print(f"[#] {line}", file=sys.stderr)

    return print_step
