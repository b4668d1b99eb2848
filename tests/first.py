"""Run a command, then at once send one packet from each guest of a lab to the next ones, and none twice.

first.py WAY_IN REACH COMMAND...    as root on a simulated machine, with one lab, whose number is 1

WAY_IN is the mount namespace that the guests are pinned in, or `-`. Over IPv4 each guest sends to the REACH guests that follow it
in a ring, over IPv6 to the next one. So few, since the kernel's tables of neighbours hold 1,024 entries for all machines
together. Prints in JSON how many guests there are, between which no packet got through (over IPv4, over IPv6), and the
milliseconds from the command's end until all packets were sent.
"""

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/opt/vnet")
from vnet.kernel import namespace

PORT, LIMIT_S = 9999, 5.0
Sockets = dict[int, tuple[socket.socket, socket.socket, int]]


def open_all() -> Sockets:
    """Open sockets in each guest, by its number."""
    found: Sockets = {}
    for pin in Path("/run/netns").glob("vnet-x1x*"):
        with namespace.network(str(pin)):
            udp, udp6 = (socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6))
            index = socket.if_nametoindex("eth0")
        udp.bind(("", PORT))
        udp6.bind(("", PORT + 1))
        found[int(pin.name.rpartition("x")[2])] = udp, udp6, index
    return found


def address6(number: int) -> str:
    """Tell a guest's link-local address, which comes of its hardware address 02:76:ac:12:00:NN (RFC 4291, appendix A)."""
    return f"fe80::76:acff:fe12:{number:x}"


def pairs(guests: Sockets, reach: int) -> list[tuple[int, int]]:
    """Pair each guest with the ones that follow it."""
    ring = sorted(guests)
    return [(a, ring[(at + step) % len(ring)]) for at, a in enumerate(ring) for step in range(1, reach + 1)]


def send_all(guests: Sockets, reach: int) -> None:
    """Send to each once."""
    for a, b in pairs(guests, reach):
        guests[a][0].sendto(struct.pack("!BB", a, b), (f"172.18.0.{b}", PORT))
    for a, b in pairs(guests, 1):
        guests[a][1].sendto(struct.pack("!BB", a, b), (address6(b), PORT + 1, 0, guests[a][2]))


def receive_all(guests: Sockets, reach: int) -> list[list[tuple[int, int]]]:
    """Wait until all has arrived; gives back what has not, over IPv4 and over IPv6."""
    missing = [set(pairs(guests, reach)), set(pairs(guests, 1))]
    kinds = {made: kind for each in guests.values() for kind, made in enumerate(each[:2])}
    deadline = time.monotonic() + LIMIT_S
    while any(missing) and (ready := select.select(kinds, (), (), max(0.0, deadline - time.monotonic()))[0]):
        for each in ready:
            missing[kinds[each]].discard(struct.unpack("!BB", each.recv(2)))
    return [sorted(each) for each in missing]


def main(way_in: str, reach: str, *command: str) -> None:
    """Run, send, tell."""
    subprocess.run(command, check=True)
    ended = time.monotonic()
    if way_in != "-":
        namespace.setns(way_in, namespace.NEWNS)
    guests = open_all()
    send_all(guests, int(reach))
    took_ms = (time.monotonic() - ended) * 1000
    print(
        json.dumps({"guests": len(guests), "missing": receive_all(guests, int(reach)), "after_ms": round(took_ms, 1)})
    )
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
