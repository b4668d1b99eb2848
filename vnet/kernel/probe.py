"""Who reaches whom, tried with real packets: `vnet-status --probe`.

A worker calls `reached`, where it has the rights to open sockets inside of every guest. Between guests it is numbered UDP
packets, since a cut may go one way and an echo needs both; from a guest to the bridge and the gateway it is an
ICMP echo (RFC 792). Nothing is left behind, and no process is started.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from vnet.codec import decode_again
from vnet.kernel import namespace
from vnet.kernel.link import hardware_address
from vnet.kernel.marks import pin
from vnet.model import GUEST_LINK, Guest, Lab

#: How often a packet is sent that has not arrived, and the seconds between two times.
TRIES, AGAIN_S = 5, 0.1
#: Pairs of guests up to which packets take the way of any program's, ARP included. The kernel has one table of
#: neighbours for the whole machine, of 1024 entries (gc_thresh3, arp(7)), so more than that go out by packet(7).
ORDINARY = 256
ETH_P_IP = 0x0800

Pair = tuple[int, int]


class End(NamedTuple):
    """One guest's sockets: where it hears, what frames are sent by, and its hardware address of now."""

    ip: bytes
    mac: bytes
    port: int
    ear: socket.socket
    link: socket.socket | None


def reached(lab: dict[str, Any]) -> dict[str, list[str]]:
    """Name for each guest whom it reaches: other guests, `bridge`, `gateway`."""
    wanted: Lab = decode_again(Lab, lab)
    found: dict[str, list[str]] = {guest.name: [] for guest in wanted.guests}
    for source, name in (*_between_guests(wanted), *_to_the_bridge(wanted)):
        found[source].append(name)
    return found


def _between_guests(lab: Lab) -> Iterator[tuple[str, str]]:
    """Send from each guest to each other; gives who reaches whom, in guest order."""
    guests, token = lab.guests, os.urandom(8)
    frames = len(guests) * (len(guests) - 1) > ORDINARY
    with ExitStack() as stack:
        ends = {at: end for at, guest in enumerate(guests) if (end := _open(stack, lab, guest, frames=frames))}
        pairs = {(a, b) for a in ends for b in ends if a != b}
        ears = {end.ear.fileno(): (at, end.ear) for at, end in ends.items()}

        def send(pair: Pair) -> None:
            _send(ends[pair[0]], ends[pair[1]], token + struct.pack("!HH", *pair))

        left = _until_all(pairs, send, ears, lambda packet, _: _read_datagram(packet, token))
    for a, b in sorted(pairs - left):
        yield guests[a].name, guests[b].name


def _to_the_bridge(lab: Lab) -> Iterator[tuple[str, str]]:
    """Send an echo from each guest to the bridge and the gateway; gives who gets it back."""
    targets = {"bridge": str(lab.bridge_ip), "gateway": str(lab.gateway.ip)}
    names, token = list(targets), os.urandom(8)
    with ExitStack() as stack:
        raws = {at: raw for at, guest in enumerate(lab.guests) if (raw := _open_raw(stack, lab, guest))}
        pairs = {(at, to) for at in raws for to in range(len(names))}
        ears = {raw.fileno(): (at, raw) for at, raw in raws.items()}

        def send(pair: Pair) -> None:
            raws[pair[0]].sendto(_echo(pair[1], token), (targets[names[pair[1]]], 0))

        left = _until_all(pairs, send, ears, lambda packet, at: _read_echo(packet, at, token))
    for at, to in sorted(pairs - left):
        yield lab.guests[at].name, names[to]


def _until_all(
    pairs: Iterable[Pair],
    send: Callable[[Pair], Any],
    ears: dict[int, tuple[int, socket.socket]],
    read: Callable[[bytes, int], Pair | None],
) -> set[Pair]:
    """Send until every pair's packet has arrived, or all tries are made; gives the pairs that are left."""
    left = set(pairs)
    with select.epoll() as poll:
        for fd in ears:
            poll.register(fd, select.EPOLLIN)
        for _ in range(TRIES):
            source = -1
            for pair in sorted(left):
                if pair[0] != source:  # emptied after each guest's packets: an ear holds some 250
                    source = pair[0]
                    _hear(poll, ears, read, left, 0.0)
                with suppress(OSError):  # no route, a rule of the guest's own, no answer to ARP: not reached
                    send(pair)
            _hear(poll, ears, read, left, AGAIN_S)
            if not left:
                break
    return left


def _hear(
    poll: select.epoll,
    ears: dict[int, tuple[int, socket.socket]],
    read: Callable[[bytes, int], Pair | None],
    left: set[Pair],
    limit_s: float,
) -> None:
    """Take what has arrived, and strike it out, for a time or until nothing is left."""
    until = time.monotonic() + limit_s
    while left:
        ready = poll.poll(max(0.0, until - time.monotonic()))
        for fd, _ in ready:
            at, ear = ears[fd]
            with suppress(OSError):  # empty
                while True:
                    left.discard(read(ear.recv(2048), at) or (-1, -1))
        if not ready and time.monotonic() >= until:
            return


def _open(stack: ExitStack, lab: Lab, guest: Guest, *, frames: bool) -> End | None:
    """Open a guest's sockets; one with no namespace, link or address reaches nobody."""
    try:
        with namespace.network(pin(lab.guest_netns(guest))):
            ear = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) if frames else None
        if link:
            stack.enter_context(link)
            link.setblocking(False)
        ear.setblocking(False)
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ear.bind((str(guest.ip), 0))
        mac = hardware_address(ear, GUEST_LINK)
    except OSError:
        return None
    return End(guest.ip.packed, mac, ear.getsockname()[1], ear, link)


def _open_raw(stack: ExitStack, lab: Lab, guest: Guest) -> socket.socket | None:
    """Open a socket for a guest's echoes; one with no namespace has none."""
    try:
        with namespace.network(pin(lab.guest_netns(guest))):
            raw = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
    except OSError:
        return None
    raw.setblocking(False)
    return raw


def _send(source: End, to: End, data: bytes) -> None:
    """Send one UDP packet, by the guest's own ways, or as a frame to the other's hardware address."""
    if source.link is None:
        source.ear.sendto(data, (socket.inet_ntoa(to.ip), to.port))
        return
    udp = struct.pack("!HHHH", source.port, to.port, 8 + len(data), 0) + data  # 0: no checksum (RFC 768)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0, source.ip, to.ip)
    head = head[:10] + _checksum(head) + head[12:]
    source.link.sendto(head + udp, (GUEST_LINK, ETH_P_IP, 0, 0, to.mac))


def _read_datagram(packet: bytes, token: bytes) -> Pair | None:
    """Tell who sent a packet to whom, if it is one of ours."""
    if len(packet) != 12 or packet[:8] != token:
        return None
    a, b = struct.unpack("!HH", packet[8:])
    return a, b


def _echo(number: int, token: bytes) -> bytes:
    """Write an ICMP echo request; the token tells it from those of other programs."""
    packet = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, number) + token
    return packet[:2] + _checksum(packet) + packet[4:]


def _read_echo(packet: bytes, at: int, token: bytes) -> Pair | None:
    """Tell whose echo came back from where, if it is one of ours."""
    body = packet[(packet[0] & 15) * 4 :]
    return (at, int.from_bytes(body[6:8], "big")) if body[:1] == b"\0" and body[8:] == token else None


def _checksum(packet: bytes) -> bytes:
    """Sum up as RFC 1071 has it."""
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")
