"""The hooks: what they are called, when they run, what they get, what an exception in one does.

`docs/hooks.md` repeats these texts; a test holds both together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from vnet.api import Gateway, Guest, Lab

hookspec = pluggy.HookspecMarker("vnet")
hookimpl = pluggy.HookimplMarker("vnet")


@hookspec
def vnet_before_gateway_up(gateway: Gateway) -> None:
    """Run before the gateway is made, which is once for all labs of a user.

    Nothing of it is there yet. May prepare the machine, or refuse. An exception fails the step, and nothing is made.
    """


@hookspec
def vnet_after_gateway_up(gateway: Gateway) -> None:
    """Run when the gateway has its address, its routes and its rules.

    May run commands in the gateway and add to what is there. An exception fails the step: the gateway is taken away.
    """


@hookspec
def vnet_before_bridge_up(lab: Lab) -> None:
    """Run before a lab's bridge is made.

    The gateway stands, the lab has its number, nothing of it is there yet. May prepare what the lab needs, or refuse.
    An exception fails the step, and the lab is not made.
    """


@hookspec
def vnet_after_bridge_up(lab: Lab) -> None:
    """Run when the bridge has its addresses, its routes and its rules, before the first guest.

    May run commands in the bridge and change what is there: shape its links, watch its traffic.
    An exception fails the step: the bridge is taken away.
    """


@hookspec
def vnet_before_guest_up(lab: Lab, guest: Guest) -> None:
    """Run before a guest is made.

    Guests are made together, so another one may be there or not. May prepare what the guest needs, or refuse.
    An exception fails the step: the lab is taken away, or where it stood before, the guests that were to be added.
    """


@hookspec
def vnet_after_guest_up(lab: Lab, guest: Guest) -> None:
    """Run when a guest has its address and its route, once for each guest.

    May run commands in the guest and change what is there: rules, routes, a service of its own.
    An exception fails the step: what this vnet-up made is taken away.
    """


@hookspec
def vnet_before_partition(lab: Lab, cut: Any) -> None:
    """Run before the lab's cut is changed, healing included.

    `cut` is what will be in force, the old one still is. May look, or refuse. An exception leaves the old cut as it is.
    """


@hookspec
def vnet_after_partition(lab: Lab, cut: Any) -> None:
    """Run when the new cut is in force.

    May look at the guests, or note the time. An exception makes the command fail, after the cut that was there
    before has been put back. A cut that heals by itself after a time runs no hook when it does.
    """


@hookspec
def vnet_before_guest_down(lab: Lab, guest: Guest) -> None:
    """Run before a guest's processes are ended and the guest is taken away.

    All of it may still be there, or parts of it be missing. May collect what the guest leaves behind.
    An exception is reported; the guest is taken away all the same, and the exit status is 1.
    """


@hookspec
def vnet_after_guest_down(lab: Lab, guest: Guest) -> None:
    """Run when a guest is gone.

    Nothing can be run in it any more. May take back what `vnet_before_guest_up` prepared.
    An exception is reported; everything else still happens, and the exit status is 1.
    """


@hookspec
def vnet_before_bridge_down(lab: Lab) -> None:
    """Run before the lab's bridge is taken away, after its guests.

    All of it may still be there, or parts of it be missing. May collect what the bridge knows.
    An exception is reported; the bridge is taken away all the same, and the exit status is 1.
    """


@hookspec
def vnet_after_bridge_down(lab: Lab) -> None:
    """Run when nothing of the lab is left.

    May take back what `vnet_before_bridge_up` prepared. An exception is reported, and the exit status is 1.
    """


@hookspec
def vnet_before_gateway_down(gateway: Gateway) -> None:
    """Run before the gateway is taken away, after all labs.

    An exception is reported; the gateway is taken away all the same, and the exit status is 1.
    """


@hookspec
def vnet_after_gateway_down(gateway: Gateway) -> None:
    """Run when the host is as it was before the first vnet-up.

    May take back what `vnet_before_gateway_up` prepared. An exception is reported, and the exit status is 1.
    """


@hookspec
def vnet_failed(step: str, error: BaseException) -> None:
    """Run when a step failed, before what was half made is taken back.

    `step` names it: `gateway up`, `bridge up`, `guests up` or `partition`; `error` is what went wrong. Everything is as the
    failure left it: the place to look around.
    An exception is reported beside the error; the undoing goes on.
    """


def specs() -> dict[str, Callable[..., None]]:
    """Give all specs by name, in the order in which a lab meets them."""
    return {name: value for name, value in globals().items() if name.startswith("vnet_")}
