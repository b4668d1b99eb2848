"""Frames that nobody should believe, and an ear for them; a program for simulated machines and nodes, run as root there.

forger.py hear SECONDS MARK    print the kinds of frames with MARK that pass any link here, until SECONDS are over or stdin ends
forger.py udp DEV MAC SOURCE TARGET PORT MARK   send UDP in a frame of one's own making
forger.py noise DEV MARK       send a router advertisement, forged ARP answers, a DHCP offer and a broadcast
"""

import select
import socket
import struct
import sys
import time

IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
NAMES = {IPV4: "ipv4", ARP: "arp", IPV6: "ipv6"}
BAD = "2001:db8:bad::"
VICTIMS = ("172.18.0.254", "172.18.0.2", "172.18.192.1", "172.18.192.2", "172.18.192.5", "172.18.255.1", "172.18.255.2",
           "198.51.100.1", "198.51.100.2")  # fmt: skip


def checksum(data: bytes) -> int:
    """Sum as the internet does (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(source: str, target: str, ports: tuple[int, int], data: bytes) -> bytes:
    """Make an IPv4 packet with UDP in it."""
    body = struct.pack("!HHHH", *ports, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, socket.inet_aton(source),
                       socket.inet_aton(target))  # fmt: skip
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def advertisement(mac: bytes, mark: bytes) -> bytes:
    """Make a router advertisement (RFC 4861): a default route, and a prefix to make addresses of."""
    source, target = socket.inet_pton(socket.AF_INET6, "fe80::bad"), socket.inet_pton(socket.AF_INET6, "ff02::1")
    prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 9999, 9999, 0, socket.inet_pton(socket.AF_INET6, BAD))
    words = mark.ljust(6 + -len(mark) % 8, b"\0")
    option = struct.pack("!BB", 253, (len(words) + 2 + 7) // 8) + words.ljust((len(words) + 2 + 7) // 8 * 8 - 2, b"\0")
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 9999, 0, 0) + struct.pack("!BB6s", 1, 1, mac) + prefix + option
    pseudo = source + target + struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return struct.pack("!IHBB16s16s", 6 << 28, len(body), 58, 255, source, target) + body


def noise(dev: str, text: str) -> None:
    """Send all of it, from this link."""
    mark = text.encode()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((dev, 0))
        mac, all_ = link.getsockname()[4], b"\xff" * 6
        link.send(bytes.fromhex("333300000001") + mac + struct.pack("!H", IPV6) + advertisement(mac, mark))
        for victim in map(socket.inet_aton, VICTIMS):
            said = struct.pack("!HHBBH6s4s6s4s", 1, IPV4, 6, 4, 2, mac, victim, all_, victim)
            link.send(all_ + mac + struct.pack("!H", ARP) + said + mark)
        offer = struct.pack("!BBBBIHH4s4s", 2, 1, 6, 0, 7, 0, 0x8000, b"\0" * 4, socket.inet_aton("10.66.6.6")) + mark
        for packet in (
            udp("10.66.6.1", "255.255.255.255", (67, 68), offer),
            udp("10.66.6.1", "172.18.0.255", (9, 9), mark),
        ):
            link.send(all_ + mac + struct.pack("!H", IPV4) + packet)


def forge(dev: str, mac: str, *words: str) -> None:
    """Send one UDP packet in a frame to a hardware address."""
    source, target, port, mark = words
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((dev, 0))
        head = bytes.fromhex(mac.replace(":", "")) + link.getsockname()[4] + struct.pack("!H", IPV4)
        link.send(head + udp(source, target, (40000, int(port)), mark.encode()))


def hear(limit_s: str, mark: str) -> None:
    """Listen on all links of this namespace."""
    found = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as ear:
        print("ready", flush=True)
        deadline = time.monotonic() + float(limit_s)
        while (left := deadline - time.monotonic()) > 0:
            ready = select.select([ear, sys.stdin], [], [], left)[0]
            if ear in ready:
                frame, (dev, kind, *_) = ear.recvfrom(4096)
                if mark.encode() in frame:
                    found.add(f"{dev}:{NAMES.get(kind, kind)}")
            elif ready:
                break
    print(*sorted(found), flush=True)


if __name__ == "__main__":
    {"hear": hear, "udp": forge, "noise": noise}[sys.argv[1]](*sys.argv[2:])
