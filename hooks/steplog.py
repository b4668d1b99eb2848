"""Append a line a step to a log: when, which hook, lab, guest, and the seconds since its `before`.

    [hooks]
    load = ["hooks/steplog.py"]

    2026-11-24T04:11:02.120+01:00 vnet_before_guest_up lab=shop guest=nginx
    2026-11-24T04:11:02.154+01:00 vnet_after_guest_up lab=shop guest=nginx seconds=0.034

VNET_STEPLOG: the file; otherwise ~/.local/state/vnet/steps.log, one for all labs. Each line is written
at once and whole, so several labs can share a log.
"""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vnet

if TYPE_CHECKING:
    from vnet.api import Gateway, Guest, Lab

#: When the `before` of a step ran, by step, lab and guest (monotonic seconds).
_begun: dict[tuple[str, str, str], float] = {}


def _log(hook: str, lab: str = "-", guest: str = "-", **more: str) -> None:
    """Write one line; `hook` is vnet_WHEN_STEP."""
    when, _, step = hook.removeprefix("vnet_").partition("_")
    key = (step, lab, guest)
    if when == "before":
        _begun[key] = time.monotonic()
    elif when == "after" and key in _begun:
        more["seconds"] = f"{time.monotonic() - _begun.pop(key):.3f}"
    fields = {"lab": lab, "guest": guest, **more}
    words = " ".join(f"{name}={value}" for name, value in fields.items() if value != "-")
    _append(f"{datetime.now().astimezone().isoformat(timespec='milliseconds')} {hook} {words}".rstrip() + "\n")


def _append(line: str) -> None:
    """Append a line with one write(2), which no other one can fall into."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser())
    path = Path(os.environ.get("VNET_STEPLOG") or state / "vnet/steps.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


@vnet.hookimpl
def vnet_before_gateway_up(gateway: Gateway) -> None:
    """Note that the gateway is made."""
    _log("vnet_before_gateway_up", gateway.lab_name or "-")


@vnet.hookimpl
def vnet_after_gateway_up(gateway: Gateway) -> None:
    """Note that the gateway stands."""
    _log("vnet_after_gateway_up", gateway.lab_name or "-")


@vnet.hookimpl
def vnet_before_bridge_up(lab: Lab) -> None:
    """Note that the bridge is made."""
    _log("vnet_before_bridge_up", lab.name)


@vnet.hookimpl
def vnet_after_bridge_up(lab: Lab) -> None:
    """Note that the bridge stands."""
    _log("vnet_after_bridge_up", lab.name)


@vnet.hookimpl
def vnet_before_guest_up(lab: Lab, guest: Guest) -> None:
    """Note that a guest is made."""
    _log("vnet_before_guest_up", lab.name, guest.name)


@vnet.hookimpl
def vnet_after_guest_up(lab: Lab, guest: Guest) -> None:
    """Note that a guest stands."""
    _log("vnet_after_guest_up", lab.name, guest.name)


@vnet.hookimpl
def vnet_before_partition(lab: Lab, cut: Any) -> None:
    """Note that the cut changes."""
    _log("vnet_before_partition", lab.name, cut=getattr(cut, "kind", _words(cut)))


@vnet.hookimpl
def vnet_after_partition(lab: Lab, cut: Any) -> None:
    """Note that the cut has changed."""
    _log("vnet_after_partition", lab.name, cut=getattr(cut, "kind", _words(cut)))


@vnet.hookimpl
def vnet_before_guest_down(lab: Lab, guest: Guest) -> None:
    """Note that a guest is taken away."""
    _log("vnet_before_guest_down", lab.name, guest.name)


@vnet.hookimpl
def vnet_after_guest_down(lab: Lab, guest: Guest) -> None:
    """Note that a guest is gone."""
    _log("vnet_after_guest_down", lab.name, guest.name)


@vnet.hookimpl
def vnet_before_bridge_down(lab: Lab) -> None:
    """Note that the bridge is taken away."""
    _log("vnet_before_bridge_down", lab.name)


@vnet.hookimpl
def vnet_after_bridge_down(lab: Lab) -> None:
    """Note that the bridge is gone."""
    _log("vnet_after_bridge_down", lab.name)


@vnet.hookimpl
def vnet_before_gateway_down(gateway: Gateway) -> None:
    """Note that the gateway is taken away."""
    _log("vnet_before_gateway_down", gateway.lab_name or "-")


@vnet.hookimpl
def vnet_after_gateway_down(gateway: Gateway) -> None:
    """Note that the gateway is gone."""
    _log("vnet_after_gateway_down", gateway.lab_name or "-")


@vnet.hookimpl
def vnet_failed(step: str, error: BaseException) -> None:
    """Note what failed, in one line."""
    _log("vnet_failed", step=repr(step), error=_words(error))


def _words(value: object) -> str:
    """Write a value without line ends."""
    return repr(str(value))
