"""Measure who hears whom in a lab, by real packets of each sort, many rounds in one process.

prober.py LAB     as root on a simulated machine whose labs are root's own

Reads one JSON object a line and answers with one. `{"open": [["a", "b"], ...]}` opens a TCP connection for each pair that
has none. `{"expect": {SORT: [["a", "b"], ...]}, "limit_s": 2}` is a round: every guest sends each sort to every other, and the
answer holds the pairs (from, to) that arrived, by sort. A round waits for what is expected, `limit_s` at most. What is
not expected gets as long as it takes until a packet that each guest sends last has been to the bridge and back, and a moment more.
"""

import ctypes
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, "/opt/vnet")
from vnet.kernel import namespace

PORT, SITE, GROUP, GROUP6 = 9000, ("203.0.113.80", 7777), "239.1.2.3", "ff02::1"
MOMENT_S = 0.004
DIRECTED = ("udp", "broadcast", "multicast", "udp6", "multicast6", "icmp-request", "tcp-open")
BOTH_WAYS = ("icmp", "tcp")
ALWAYS = ("bridge", "gateway", "site", "forward", "loopback", "loopback6")
"""Sorts by what they need: the one way, both, or none that a cut concerns. These go from a guest to a place."""
RESET = struct.pack("ii", 1, 0)
Arrived = set[tuple[str, str, str]]


class Guest:
    """A guest's sockets."""

    def __init__(self, name: str, netns: str, ip: str) -> None:
        self.name, self.ip, self.path = name, ip, f"/run/netns/{netns}"
        with namespace.network(self.path):
            self.index = socket.if_nametoindex("eth0")
            self.ip6 = _link_local()
            self.udp, self.udp6 = _udp(socket.AF_INET), _udp(socket.AF_INET6)
            self.icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
            self.listener = socket.create_server(("", PORT), backlog=64)
        self.listener.setblocking(False)
        mine = socket.inet_aton(ip)
        self.udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + mine)
        self.udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, mine)
        self.udp6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self.index)


def _udp(family: int, ip: str = "") -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind((ip, PORT))
    return made


def _link_local() -> str:
    for line in Path("/proc/thread-self/net/if_inet6").read_text("ascii").splitlines():
        address, *_, device = line.split()
        if device == "eth0" and address.startswith("fe80"):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
    raise SystemExit("eth0 has no link-local address")


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _echo_request(text: bytes) -> bytes:
    text += b" " * (len(text) % 2)
    head = struct.pack("!BBHHH", 8, 0, 0, 7, 7)
    return head[:2] + struct.pack("!H", _checksum(head + text)) + head[4:] + text


class Prober:
    """All guests of a lab, its bridge, the gateway and the host."""

    def __init__(self, lab: str) -> None:
        lines = Path(f"/run/vnet/0/labs/{lab}/nodes").read_text("utf-8").split("\n")[2:]
        rows = {name: (netns, ip) for name, netns, ip in (line.split() for line in lines if line)}
        self.places = {place: rows.pop(place) for place in ("bridge", "gateway")}
        self.guests = {name: Guest(name, *row) for name, row in rows.items()}
        self.poll = selectors.DefaultSelector()
        self.arrived: Arrived = set()
        self.round, self.last = 0, set[str]()
        self.links: dict[tuple[str, str], tuple[socket.socket, socket.socket]] = {}
        self.calls: dict[tuple[str, str], socket.socket] = {}
        self.host = _udp(socket.AF_INET)
        self._on(self.host, self._datagram, "")
        for netns, ip in self.places.values():
            with namespace.network(f"/run/netns/{netns}"):
                self._on(_udp(socket.AF_INET, ip), self._echo, "")
        for guest in self.guests.values():
            for each in (guest.udp, guest.udp6):
                self._on(each, self._datagram, guest.name)
            self._on(guest.icmp, self._icmp, guest.name)

    def _on(self, sock: socket.socket, handle: Callable[[socket.socket, str], None], name: str) -> None:
        self.poll.register(sock, selectors.EVENT_READ, (handle, name))

    def _handle(self, wait_s: float) -> bool:
        events = self.poll.select(wait_s)
        for key, _ in events:
            handle, name = key.data
            with suppress(BlockingIOError, ConnectionError):
                handle(key.fileobj, name)
        return bool(events)

    def _echo(self, sock: socket.socket, _: str) -> None:
        data, peer = sock.recvfrom(200)
        sock.sendto(data, peer)

    def _datagram(self, sock: socket.socket, name: str) -> None:
        data, peer = sock.recvfrom(200)
        if data.startswith(b"site "):  # talk.py's answer
            self.arrived.add(("site", name, "site"))
            return
        number, sort, source, target = data.decode().split()
        if sort == "last":
            self.last.add(f"{source}{number}")
        elif int(number) == self.round and (target != "*" or source != name):  # broadcasts come back to who sends them
            self.arrived.add((sort, source, target if target != "*" else name))
        if sort == "forward" and name:  # at the guest: let the host hear it too
            sock.sendto(f"{number} forward {name} host".encode(), peer)

    def _icmp(self, sock: socket.socket, name: str) -> None:
        packet = sock.recv(200)
        kind, words = packet[20], packet[28:].split()
        if kind in (0, 8) and len(words) == 3 and int(words[0]) == self.round:
            source, target = words[1].decode(), words[2].decode()
            if name == (target if kind else source):
                self.arrived.add(("icmp-request" if kind else "icmp", source, target))

    def _call(self, one: Guest, other: Guest) -> socket.socket:
        with namespace.network(one.path):
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        made.connect_ex((other.ip, PORT))
        return made

    def open(self, pairs: list[list[str]]) -> None:
        """Open connections that last; each pair once, in either order."""
        for a, b in pairs:
            if (a, b) in self.links or (b, a) in self.links:
                continue
            calls = self._call(self.guests[a], self.guests[b])
            listener = self.guests[b].listener
            listener.settimeout(5)
            answers, _ = listener.accept()
            listener.setblocking(False)
            answers.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            answers.setblocking(False)
            self.links[a, b] = calls, answers
            self._on(calls, self._stream, f"{b} {a}")
            self._on(answers, self._stream, f"{a} {b}")

    def _stream(self, sock: socket.socket, name: str) -> None:
        source, target = name.split()
        if f"{self.round} ".encode() in sock.recv(4096):
            self.arrived.add(("tcp-open", source, target))

    def _send(self) -> None:
        head = str(self.round)
        for guest in self.guests.values():
            name = guest.name
            self._try(guest.udp, f"{head} broadcast {name} *", ("172.18.0.255", PORT))
            self._try(guest.udp, f"{head} multicast {name} *", (GROUP, PORT))
            self._try(guest.udp6, f"{head} multicast6 {name} *", (GROUP6, PORT, 0, guest.index))
            self._try(guest.udp, f"{head} loopback {name} self", ("127.0.0.1", PORT))
            self._try(guest.udp6, f"{head} loopback6 {name} self", ("::1", PORT))
            self._try(guest.udp, "hello", SITE)
            for place, (_, ip) in self.places.items():
                self._try(guest.udp, f"{head} {place} {name} {place}", (ip, PORT))
            for other in self.guests.values():
                if other is not guest:
                    self._send_to(guest, other)
        for at, name in enumerate(self.guests):
            self._try(self.host, f"{head} forward host {name}", ("172.18.255.2", 7000 + at))
        for (a, b), (near, far) in self.links.items():
            for sock in (near, far):
                with suppress(OSError):
                    sock.send(f"{head} {a} {b};".encode())

    def _send_to(self, guest: Guest, other: Guest) -> None:
        a, b, head = guest.name, other.name, str(self.round)
        self._try(guest.udp, f"{head} udp {a} {b}", (other.ip, PORT))
        self._try(guest.udp6, f"{head} udp6 {a} {b}", (other.ip6, PORT, 0, guest.index))
        with suppress(OSError):
            guest.icmp.sendto(_echo_request(f"{head} {a} {b}".encode()), (other.ip, 0))
        self.calls[a, b] = self._call(guest, other)

    def _try(self, sock: socket.socket, text: str, address: tuple[object, ...]) -> None:
        with suppress(OSError):
            sock.sendto(text.encode(), address)

    def _calls_done(self) -> None:
        for (a, b), sock in self.calls.items():
            with suppress(OSError):
                sock.getpeername()
                self.arrived.add(("tcp", a, b))

    def measure(self, expect: dict[str, list[list[str]]], limit_s: float) -> dict[str, list[tuple[str, str]]]:
        """Do a round."""
        while self._handle(0):
            pass
        self.round += 1
        self.arrived, self.last, self.calls = set(), set(), {}
        wanted: Arrived = {(sort, a, b) for sort, pairs in expect.items() for a, b in pairs}
        deadline = time.monotonic() + limit_s
        self._send()
        while not wanted <= self.arrived and time.monotonic() < deadline:
            self._handle(0.002)
            self._calls_done()
        for guest in self.guests.values():
            self._try(guest.udp, f"{self.round} last {guest.name} bridge", (self.places["bridge"][1], PORT))
        while len(self.last) < len(self.guests) and time.monotonic() < deadline:
            self._handle(0.01)
        quiet = time.monotonic() + MOMENT_S
        while time.monotonic() < quiet:
            self._handle(MOMENT_S / 4)
        self._calls_done()
        self._hang_up()
        found: dict[str, list[tuple[str, str]]] = {}
        for sort, a, b in sorted(self.arrived):
            found.setdefault(sort, []).append((a, b))
        return found

    def _hang_up(self) -> None:
        """End what this round opened, and connections that hold unheard data: they would be slow to catch up."""
        for sock in self.calls.values():
            sock.close()
        for guest in self.guests.values():
            with suppress(BlockingIOError):
                while True:
                    guest.listener.accept()[0].close()
        for (a, b), ends in list(self.links.items()):
            if not {("tcp-open", a, b), ("tcp-open", b, a)} <= self.arrived:
                for sock in ends:
                    self.poll.unregister(sock)
                    sock.close()
                del self.links[a, b]


def main(lab: str) -> None:
    """Serve the test on stdin and stdout, and end with it."""
    ctypes.CDLL(None).prctl(namespace.PR_SET_PDEATHSIG, 9)
    os.nice(-5)
    prober = Prober(lab)
    print(json.dumps(sorted(prober.guests)), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "open" in request:
            prober.open(request["open"])
            print("{}", flush=True)
        else:
            print(json.dumps(prober.measure(request["expect"], request["limit_s"])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
