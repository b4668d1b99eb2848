"""One property of a link, asked of the kernel itself (netdevice(7)): what `ip` tells, for a thirtieth of its time."""

from __future__ import annotations

import fcntl
import socket
import struct

#: What can be asked, and the flag of a link that is up.
SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFNETMASK, SIOCGIFHWADDR, IFF_UP = 0x8913, 0x8915, 0x891B, 0x8927, 1


def asked(any_: socket.socket, what: int, name: str) -> bytes:
    """Ask through any socket of a link's namespace; gives a `struct ifreq`, the name first. OSError where there is none."""
    return fcntl.ioctl(any_, what, struct.pack("16s24x", name.encode()))


def hardware_address(any_: socket.socket, name: str) -> bytes:
    """Tell a link's hardware address, 6 bytes."""
    return asked(any_, SIOCGIFHWADDR, name)[18:24]
