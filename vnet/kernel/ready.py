"""Whether guests answer: asked from their own side, so that the bridge carries no question to those whom it does not concern."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from vnet.bridge import DEVICE
from vnet.codec import decode_again
from vnet.kernel import namespace
from vnet.kernel.marks import pin
from vnet.model import Guest, Lab, mac_of

#: Seconds between two tries, and guests that are asked at a time: each takes a file descriptor.
AGAIN_S, AT_A_TIME = 0.05, 200
#: An ICMP echo request; the kernel fills in identifier and checksum (icmp(7), ping sockets).
ECHO_REQUEST = struct.pack("!BBHHH", 8, 0, 0, 0, 1)
ETH_P_ARP, REQUEST, REPLY = 0x0806, 1, 2


def not_ready(lab: dict[str, Any], named: Sequence[str], limit_s: float) -> list[str]:
    """Wait until each named guest and its bridge answer each other; gives back those that did not in time.

    A guest answers when its ICMP echo comes back, or, where a rule of its own forbids that, when it answers ARP.
    """
    wanted: Lab = decode_again(Lab, lab)
    asked = frozenset(named)
    waiting = [guest for guest in wanted.guests if guest.name in asked]
    deadline = time.monotonic() + limit_s
    while True:
        silent = [guest for some in _portions(waiting) for guest in _without_echo(wanted, some)]
        waiting = _without_arp(wanted, silent) if silent else []
        if not waiting or time.monotonic() > deadline:
            return sorted(guest.name for guest in waiting)


def _portions(guests: list[Guest]) -> list[list[Guest]]:
    """Cut a list, lest the process runs out of file descriptors."""
    return [guests[at : at + AT_A_TIME] for at in range(0, len(guests), AT_A_TIME)]


def _without_echo(lab: Lab, guests: list[Guest]) -> list[Guest]:
    """Send an echo request from each guest to the bridge; gives back those to which none returned."""
    waiting: dict[int, Guest] = {}
    with ExitStack() as stack:
        poll = select.poll()
        for guest in guests:
            try:
                with namespace.network(pin(lab.guest_netns(guest))):
                    ping = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
                waiting[ping.fileno()] = guest
                ping.sendto(ECHO_REQUEST, (str(lab.bridge_ip), 0))
                poll.register(ping, select.POLLIN)
            except OSError:  # no address or no route yet
                waiting.setdefault(-1 - len(waiting), guest)
        until = time.monotonic() + AGAIN_S
        while waiting and (found := poll.poll(max(0.0, until - time.monotonic()) * 1000)):
            for fd, _ in found:
                poll.unregister(fd)
                waiting.pop(fd, None)
    return list(waiting.values())


def _without_arp(lab: Lab, guests: list[Guest]) -> list[Guest]:
    """Ask each guest for its hardware address, at the one that it should have; gives back those that do not tell."""
    waiting = {guest.ip.packed: guest for guest in guests}
    try:
        with namespace.network(pin(lab.netns)):
            ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
            ear.bind((DEVICE, ETH_P_ARP))
    except OSError:  # no bridge: nobody can answer
        time.sleep(AGAIN_S)
        return guests
    with ear:
        for guest in guests:
            ear.send(_who_has(lab, guest))
        until = time.monotonic() + AGAIN_S
        while waiting and select.select([ear], [], [], max(0.0, until - time.monotonic()))[0]:
            frame = ear.recv(64)
            if int.from_bytes(frame[20:22], "big") == REPLY:
                waiting.pop(frame[28:32], None)
    return list(waiting.values())


def _who_has(lab: Lab, guest: Guest) -> bytes:
    """Write an ARP request (RFC 826) from the bridge to a guest."""
    ours, theirs = (bytes.fromhex(mac.replace(":", "")) for mac in (lab.bridge_mac, mac_of(guest.ip)))
    head = theirs + ours + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, REQUEST)
    return head + ours + lab.bridge_ip.packed + theirs + guest.ip.packed
