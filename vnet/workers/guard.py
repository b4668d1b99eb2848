"""What a caller under sudo may ask for: what is his own by a mark that root made, and nothing else.

The caller may be hostile: he may have been given sudo for this program and no other. Each value was checked by its type
already (`codec.py`); here it is whether the thing belongs to him. /run/vnet is root's, so what lies in there
was made by root: `link-INTERFACE.UID` says whose an interface is, with the namespaces and rules that are named after it.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from vnet.codec import decode, decode_again
from vnet.cuts.step import CutStep
from vnet.errors import CommandError
from vnet.host import BRIDGE_FILTER, HostStep, StateStep
from vnet.kernel import clash, forwarding, observe, tables
from vnet.kernel.link import hardware_address
from vnet.kernel.marks import (
    CLOSED_MARK,
    PINS,
    PINS_MARK,
    RUN,
    distrust,
    is_named_after,
    link_holders,
    link_mark,
    pin,
    pins,
    pins_folder,
    state_folder,
)
from vnet.model import Gateway, Lab

#: Characters that a link's mark may have; nobody but the caller himself reads what it says.
MARK = 1 << 16


class Guard:
    """The limits of one caller; `gids` are all groups that he is in."""

    def __init__(self, uid: int, gids: frozenset[int]) -> None:
        self.uid, self.gids = uid, gids

    def limited(self, way: str, step: Any) -> Any:
        """Give the step as it may be done, None where there is nothing to do; raises CommandError if it is not his."""
        if isinstance(step, StateStep):
            self._check_state(step)
            return step
        gateway = step.gateway if hasattr(step, "gateway") else step.lab.gateway
        if not isinstance(step, HostStep):
            self.check_labs(gateway)
            return step
        self._check_caller(gateway.uid, gateway.gid)
        _refuse(len(step.mark) > MARK, "a mark that long is no record of a gateway")
        mine = os.path.exists(link_mark(gateway))
        self._check_link(gateway, mine=mine)
        if way == "up":
            self._check_up(gateway, mine=mine)
            folder = step.folder and not os.path.exists(PINS)
            bridged, closes = os.path.exists(BRIDGE_FILTER), observe.closed()
            links, chains = forwarding.before() if closes else ((), ())
            return step._replace(closes=closes, folder=folder, tables=tables.before(), bridged=bridged, forwarding=links,
                                 chains=chains)  # fmt: skip
        closes = step.closes and os.path.exists(CLOSED_MARK) and not self._others()
        old, relied = () if self._others() else tables.to_put_back(), bool(observe.relied())
        links = forwarding.before()[0] if closes else ()
        limited = step._replace(closes=closes, folder=step.folder and _is_empty(gateway), tables=old, relied=relied,
                                forwarding=links, chains=())  # fmt: skip
        return limited if mine else None

    def asked(self, question: str, fields: dict[str, Any]) -> bool:
        """Tell whether to answer a question: of what others have set on the host he learns only with a gateway.

        Raises CommandError for a look at, or an end of, what is not his.
        """
        self._check_fields(fields)
        return question != "relied" or bool(self._interfaces())

    def _check_fields(self, fields: dict[str, Any]) -> None:
        """Refuse what is not his."""
        kinds: dict[str, Any] = {"gateway": Gateway, "lab": Lab, "step": CutStep}
        for name, value in fields.items():
            if name in kinds:
                made = decode_again(kinds[name], value)
                lab = made.lab if isinstance(made, CutStep) else made
                self.check_labs(lab.gateway if isinstance(lab, Lab) else lab)
            elif name == "netns":
                wanted = decode(tuple[str, ...], [value] if isinstance(value, str) else value)
                _refuse(not all(map(self.owns, wanted)), f"{value}: not the caller's namespaces")

    def owns(self, netns: str) -> bool:
        """Tell whether a namespace in /run/netns is of a gateway of his, or of its labs."""
        if os.path.exists(pins_folder(self.uid)):
            return False  # his labs are in namespaces of his own, and of what is here nothing is his
        return any(is_named_after(str(netns), each) for each in self._interfaces())

    def check_labs(self, gateway: Gateway) -> None:
        """Refuse labs that are not in this caller's part of /run/netns."""
        self._check_caller(gateway.uid, gateway.gid)
        _refuse(
            gateway.way != "sudo" or not self.owns(gateway.netns), f"{gateway.netns}: not a gateway of the caller's"
        )

    def _interfaces(self) -> list[str]:
        """Name the interfaces that are his."""
        return [each for each, owner in link_holders().items() if owner == self.uid]

    def _check_caller(self, uid: int, gid: int) -> None:
        """Refuse the ids of others: with a group that he is not in he would gain what it may do."""
        _refuse(uid != self.uid, f"uid {uid}: not the caller's")
        _refuse(gid not in self.gids, f"gid {gid}: not a group of the caller's")

    def _check_state(self, step: StateStep) -> None:
        """Refuse to give away a folder that is not his already, or is no folder."""
        self._check_caller(step.uid, step.gid)
        _check_folder(RUN, 0)
        _check_folder(state_folder(step.uid), step.uid, 0)  # root's until it is given away

    def _check_link(self, gateway: Gateway, *, mine: bool) -> None:
        """Refuse an interface that somebody else made: a link that has his mark has vnet's hardware address, too."""
        name = gateway.interface
        _refuse(gateway.way == "root", "root's way is not for sudo")
        holder = link_holders().get(name, self.uid)
        _refuse(holder != self.uid, f"{name} is the vnet of uid {holder}")
        found = _hardware_address(name)
        _refuse(bool(found) and not (mine and found == gateway.host_mac), f"{name}: a link that vnet has not made")
        folder = pins_folder(gateway.uid)
        _refuse(gateway.way == "sudo" and os.path.exists(folder), f"{folder}: his labs are held in user namespaces")
        _check_folder(RUN, 0)
        _check_folder(folder, 0)

    def _check_up(self, gateway: Gateway, *, mine: bool) -> None:
        """Refuse what would take from others, or be a second gateway for one caller."""
        more = [each for each in self._interfaces() if each != gateway.interface]
        _refuse(bool(more), f"the caller has the gateway {more[:1]} already; vnet-down --all --gateway takes it away")
        if gateway.way == "sudo" and not mine:  # else it is pinned in his own mounts
            foreign = [each for each in pins() if is_named_after(each, gateway.netns)]
            _refuse(bool(foreign), f"{', '.join(map(pin, foreign[:3]))}: a namespace that vnet has not made")
        if not _hardware_address(gateway.interface):
            _refuse(
                not gateway.host_ip.is_private, f"{gateway.host_ip}: not a private address, so only root may take it"
            )
            clash.check(gateway, self.uid)

    def _others(self) -> bool:
        """Tell whether others have a gateway."""
        return any(owner != self.uid for owner in link_holders().values())


def _refuse(wrong: bool, why: str) -> None:
    """Raise CommandError if `wrong`."""
    if wrong:
        raise CommandError(f"refused: {why}")


def _check_folder(path: str, owner: int, *others: int) -> None:
    """Refuse what is there and is not a real folder of its owner's (or of `others`) that nobody else can write."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    why = distrust(path, found, owner, *others)
    _refuse(bool(why), why)


def _hardware_address(interface: str) -> str:
    """Tell a link's hardware address; empty where there is no such link."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            return hardware_address(asking, interface).hex(":")
        except OSError:
            return ""


def _is_empty(gateway: Gateway) -> bool:
    """Tell whether /run/netns is vnet's own, and holds nothing but this gateway."""
    left = set(pins()) - {gateway.netns}
    return os.path.exists(PINS_MARK) and not left
