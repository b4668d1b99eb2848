"""Where the rights come from: root, user namespaces, or sudo for all of it.

Nothing else chooses between them. A worker of the right sort does the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from vnet.errors import CommandError, LostError
from vnet.kernel import namespace, runner
from vnet.kernel.marks import GONE, OUTSIDE, pins_folder, user_pins
from vnet.model import Gateway, Way
from vnet.step import Step
from vnet.workers import worker
from vnet.workers.sudo import sudo_argv


def way_of_caller(uid: int) -> Way:
    """Find out how a caller without a gateway can get one, by trying."""
    if uid == 0:
        return "root"
    try:
        runner.capture(("unshare", "--user", "--map-root-user", "--net", "--mount", "true"))
    except CommandError:
        return "sudo"
    return "userns"


def enter_labs(gateway: Gateway) -> None:
    """Go where the labs are and this caller's rights are whole.

    From outside through the pins that the root step made. From inside a guest, whose user namespace owns `admin`,
    through the pin that the gateway step made; whoever is in `admin` already stays there.
    """
    if gateway.way != "userns":
        return
    folder = pins_folder(gateway.uid)
    if namespace.is_in(f"{folder}/admin"):
        return
    kinds = {"admin": namespace.NEWUSER, "gateway": namespace.NEWNET, "mnt": namespace.NEWNS}
    pinned = user_pins(gateway.uid)
    if not pinned & OUTSIDE:
        try:
            namespace.setns(f"{folder}/admin", namespace.NEWUSER)
        except OSError:
            raise LostError(GONE.format(folder)) from None
        return
    if not pinned >= kinds.keys():
        raise LostError(GONE.format(folder))
    opened = {kind: os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC) for name, kind in kinds.items()}
    for kind, fd in opened.items():
        namespace.setns_fd(fd, kind)
        os.close(fd)


class Rights:
    """The workers of one call of vnet: at most one for the host, one for the labs."""

    def __init__(self, way: Way, locks: Sequence[int] = ()) -> None:
        """`locks`: the open files of the locks that are held now; whoever works for the caller holds them, too."""
        self.way, self.locks = way, locks
        self.started: dict[str, worker.Worker] = {}
        self.show: Callable[[str, Step], None] | None = None

    def host(self) -> worker.Worker:
        """Give the worker that is root on the host."""
        return self._start("labs" if os.geteuid() == 0 else "sudo", None)

    def labs(self, gateway: Gateway) -> worker.Worker:
        """Give the worker that has all rights in the labs."""
        if self.way == "sudo" and os.geteuid():
            return self._start("sudo", None)
        return self._start("labs", gateway)

    def _start(self, kind: str, gateway: Gateway | None) -> worker.Worker:
        """Start a worker once."""
        if kind not in self.started:
            forked = kind != "sudo"
            made = (
                worker.fork(lambda: enter_labs(gateway) if gateway else None)
                if forked
                else worker.under_sudo(sudo_argv())
            )
            made.show, made.locks = self.show, self.locks
            self.started[kind] = made
        return self.started[kind]

    def asking(self) -> bool:
        """Tell whether sudo may be asking for a password: it has let nobody in so far."""
        return any(each.gone == worker.REFUSED for each in self.started.values())

    def leave_labs(self) -> None:
        """Let the worker end that is in the labs' namespaces: they are gone, and the next ones will be others."""
        if self.way == "userns" and "labs" in self.started:
            self.started.pop("labs").close()

    def close(self) -> None:
        """Let the workers end."""
        for each in reversed(self.started.values()):  # one forked later holds the earlier ones open
            each.close()
        self.started.clear()
