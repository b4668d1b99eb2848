"""Send frames that a guest's root could make by hand, and tell which sorts arrive.

frames.py send ADDRESS MAC      one frame of each sort to that neighbour, by eth0, again and again until killed
frames.py hear SECONDS          print the sorts that arrived at eth0 from somebody else
"""

import socket
import struct
import sys
import time

TAGS = {
    "plain": b"\x08\x00",
    "vlan": b"\x81\x00\x00\x05\x08\x00",
    "pppoe": b"\x88\x64\x11\x00\x00\x01%s\x00\x21",
    "stacked": b"\x81\x00\x00\x05\x81\x00\x00\x06\x08\x00",
    "other": b"\x88\xb5",
}
"""What stands between the addresses and the IPv4 packet: nothing, a VLAN's tag, PPPoE, two tags, a type for experiments."""
MARK = b"vnet frame "


def checksum(data: bytes) -> int:
    """Add up as RFC 1071 has it."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def packet(sort: str, source: str, target: str) -> bytes:
    """Write an IPv4 packet with a UDP datagram in it that names the sort."""
    text = MARK + sort.encode()
    datagram = struct.pack("!4H", 9, 9, 8 + len(text), 0) + text
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 7, 0, 64, 17, 0)
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    return head[:10] + struct.pack("!H", checksum(head + addresses)) + addresses + datagram


def frames(link: socket.socket, source: str, target: str, mac: str) -> list[bytes]:
    """Write one frame of each sort."""
    made = []
    for sort, tag in TAGS.items():
        inside = packet(sort, source, target)
        between = tag.replace(b"%s", struct.pack("!H", len(inside) + 2))
        made.append(bytes.fromhex(mac.replace(":", "")) + link.getsockname()[4] + between + inside)
    return made


def send(target: str, mac: str) -> None:
    """Send for ever."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind(("eth0", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        asks.connect((target, 9))
        made = frames(link, asks.getsockname()[0], target, mac)
    while True:
        for frame in made:
            link.send(frame)
        time.sleep(0.02)


def hear(seconds: str) -> None:
    """Listen for some time."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.bind(("eth0", 3))
    heard, deadline = set(), time.monotonic() + float(seconds)
    while (left := deadline - time.monotonic()) > 0 and len(heard) < len(TAGS):
        link.settimeout(left)
        try:
            frame, (*_, kind, _, _) = link.recvfrom(2000)
        except TimeoutError:
            break
        if MARK in frame and kind != socket.PACKET_OUTGOING:
            heard.add(frame.partition(MARK)[2].decode())
    print(*sorted(heard))


if __name__ == "__main__":
    {"send": send, "hear": hear}[sys.argv[1]](*sys.argv[2:])
