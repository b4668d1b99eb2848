"""Number packets between all pairs of guests while cuts change, and tell which arrived.

tracer.py LAB [GUEST ...]     as root on a simulated machine whose labs are root's own

One thread on one processor sends everything, IPv4 and IPv6 in turn, so packets pass the bridge in the order of their
numbers. It says `ready` once all pairs have been heard, sends until its stdin is closed, and prints one line of 0 (lost) and
1 (arrived): packet I went from and to `PAIRS[I // 2 % len(PAIRS)]`, by IPv4 where I is even.
"""

import os
import select
import socket
import sys
import time
from contextlib import suppress
from itertools import permutations

sys.path.insert(0, "/opt/vnet/tests")
from prober import PORT, Guest

BUFFER = 1 << 22
LIMIT_S = 10


def pairs(names: list[str]) -> list[tuple[str, str]]:
    """List the pairs (from, to) in the order in which they are tried."""
    return list(permutations(names, 2))


class Tracer:
    """The guests' sockets, and the numbers of what arrived."""

    def __init__(self, lab: str, chosen: list[str]) -> None:
        with open(f"/run/vnet/0/labs/{lab}/nodes", encoding="utf-8") as file:
            rows = [line.split() for line in file.read().split("\n")[2:] if line]
        places = {name: (netns, ip) for name, netns, ip in rows}
        names = chosen or [name for name in places if name not in ("bridge", "gateway")]
        self.guests = {name: Guest(name, *places[name]) for name in names}
        self.sockets = [sock for guest in self.guests.values() for sock in (guest.udp, guest.udp6)]
        for sock in self.sockets:
            for option in (32, 33):  # SO_SNDBUFFORCE, SO_RCVBUFFORCE
                sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        self.local = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.local.bind(("127.0.0.1", 0))
        self.arrived, self.sent = set[int](), 0
        self.sends = [
            send
            for a, b in ((self.guests[a], self.guests[b]) for a, b in pairs(list(self.guests)))
            for send in ((a.udp, (b.ip, PORT)), (a.udp6, (b.ip6, PORT, 0, a.index)))
        ]

    def sweep(self) -> None:
        """Send one packet for each pair and family, and take what has arrived."""
        for sock, address in self.sends:
            sock.sendto(b"%d" % self.sent, address)
            self.sent += 1
        self.settle()
        for sock in self.sockets:
            with suppress(BlockingIOError):
                while True:
                    self.arrived.add(int(sock.recv(20)))

    def settle(self) -> None:
        """Wait until the processor's queue of packets has been gone through, a round for each hop: it holds 1,000."""
        for _ in range(3):
            self.local.sendto(b"", self.local.getsockname())
            assert select.select([self.local], [], [], LIMIT_S)[0], "the loopback is silent"
            self.local.recv(1)

    def warm(self) -> None:
        """Let every guest find every other, then begin anew."""
        deadline = time.monotonic() + LIMIT_S
        while len(self.arrived) < len(self.sends):
            assert time.monotonic() < deadline, "not all pairs were heard"
            self.arrived, self.sent = set(), 0
            self.sweep()
            time.sleep(0.05)
            self.sent -= len(self.sends)
            self.sweep()
        self.arrived, self.sent = set(), 0


def main(lab: str, chosen: list[str]) -> None:
    """Trace until stdin is closed."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    tracer = Tracer(lab, chosen)
    tracer.warm()
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        tracer.sweep()
    print("".join("01"[number in tracer.arrived] for number in range(tracer.sent)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
