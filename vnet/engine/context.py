"""What one call of vnet works with: records, rights, hooks, and a mouth.

The engine is `gateway_up.py`, `bring_up.py` and `take_down.py`: functions on a `Context`. For each step: hooks before, write down, do,
write down, hooks after.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vnet.engine.record import GatewayRecord
from vnet.engine.records import Records
from vnet.errors import CommandError, VnetError
from vnet.kernel import marks, processes
from vnet.model import Gateway, Guest, Lab
from vnet.workers.rights import Rights, way_of_caller

if TYPE_CHECKING:
    from vnet.hooks import Hooks
    from vnet.workers.worker import Worker


class Context:
    """One call of vnet. `say` takes words for the user, a line each."""

    def __init__(self, records: Records, rights: Rights, hooks: Hooks, say: Callable[[str], None]) -> None:
        self.records, self.rights, self.hooks, self.say = records, rights, hooks, say
        self.doing = ""  # what takes its time just now, for people who wait

    @classmethod
    def of_caller(cls, uid: int, hooks: Hooks, say: Callable[[str], None]) -> Context:
        """Set up for a user: as his gateway was made, or as one could be."""
        records = Records(uid)
        found = records.gateway() if records.exist() else None
        return cls(records, Rights(found.gateway.way if found else way_of_caller(uid), records.locks), hooks, say)

    def load_hooks(self, files: tuple[str, ...], lab: str) -> None:
        """Load hooks late: those that a record names."""
        from vnet.hooks import Hooks

        self.hooks = Hooks.load(files, lab)

    def load_hooks_left(self, files: tuple[str, ...], lab: str) -> list[str]:
        """Load the hooks that a record names for the way down; gives back why some can't be, and goes without them."""
        from vnet.hooks import Hooks

        errors: list[str] = []
        self.hooks = Hooks.load(files, lab, errors)
        return errors

    def host(self) -> Worker:
        """Give the worker that is root on the host."""
        return self.rights.host()

    def labs(self, gateway: Gateway) -> Worker:
        """Give the worker that has all rights in the labs."""
        return self.rights.labs(gateway)

    def end(self, gateway: Gateway, netns: tuple[str, ...]) -> list[str]:
        """End what runs in namespaces; gives back what would not end.

        A worker inside a `userns` caller's namespaces may not look at processes that live in the outer one of them, but
        the caller himself may.
        """
        labs = self.labs(gateway)
        self.doing = "waiting for what runs in it to end"
        try:
            if self.rights.way != "userns":
                return list(labs.ask("end", netns=netns))
            try:
                return processes.end(labs.ask("hold", netns=netns), self.own())
            finally:
                labs.ask("let_go")
        finally:
            self.doing = ""

    def own(self) -> frozenset[int]:
        """Give the numbers of this process and its workers: they may be in a lab's namespaces, and are not of it."""
        return frozenset({os.getpid(), *(worker.pid for worker in self.rights.started.values())})

    def pins(self) -> set[str]:
        """Name all network namespaces that are pinned, whoever's they are."""
        return set(marks.pins())

    def changed(self, text: str) -> None:
        """Tell the user what has changed."""
        self.say(text)

    def relied(self) -> list[str]:
        """List what others have set on the host since vnet let it forward packets."""
        return list(self.host().ask("relied"))

    def gateway(self) -> GatewayRecord | None:
        """Read the gateway's record, where there is one that is made whole."""
        record = self.records.gateway() if self.records.exist() else None
        return record if record and record.state == "up" else None

    def before(self, part: str, lab: Lab, guests: Iterable[Guest | None]) -> None:
        """Run the hooks before a part is made."""
        for guest in guests:
            self.hooks.up(f"vnet_before_{part}_up", **views(lab, guest))

    def after(self, part: str, lab: Lab, guests: Iterable[Guest | None]) -> None:
        """Run the hooks after a part is made."""
        for guest in guests:
            self.hooks.up(f"vnet_after_{part}_up", **views(lab, guest))

    def collect_hooks(self, hook: str, lab: Lab, guests: Iterable[Guest | None] = (None,)) -> list[str]:
        """Run a hook on the way down; gives back what went wrong."""
        return [str(error) for guest in guests for error in self.hooks.down(hook, **views(lab, guest))]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Tell the hooks when a step fails, before it is undone."""
        try:
            yield
        except VnetError as error:
            for each in self.hooks.failed(name, error):
                self.say(str(each))
            raise


def views(lab: Lab, guest: Guest | None) -> dict[str, Any]:
    """Name what a hook is given."""
    return {"lab": lab} if guest is None else {"lab": lab, "guest": guest}


def collect(act: Callable[[], list[str]]) -> list[str]:
    """Do one part of the way down; gives back what went wrong, so that the rest goes on."""
    from vnet.workers.signals import Interrupted

    try:
        return act()
    except Interrupted:
        raise
    except VnetError as error:
        return [str(error)]


def must(errors: list[str]) -> None:
    """Raise what went wrong on the way down, where the way up can't go on over it."""
    if errors:
        raise CommandError("\n".join(errors))


def say_all(context: Context, errors: list[str]) -> None:
    """Tell what could not be taken back."""
    for error in errors:
        context.say(f"while taking it back: {error}")
