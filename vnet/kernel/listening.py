"""Waits in a guest until something there listens at a TCP port. It is run by its path, and imports nothing of vnet.

It looks at the kernel's table and connects to nothing: a server that serves one connection would take that for its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

#: The state of a listening socket (include/net/tcp_states.h).
LISTEN = "0A"
PAUSE_S = 0.01


def listeners() -> Iterator[tuple[int, bool]]:
    """Yield each port that is listened at, and whether another machine reaches it: not on loopback."""
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/self/net/{table}", encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            _, local, _, state, *_ = line.split()
            address, port = local.split(":")
            if state == LISTEN:
                yield int(port, 16), not _on_loopback(address)


def _on_loopback(address: str) -> bool:
    """Tell whether an address is one of loopback; each 32 bits of it are written with the last byte first."""
    if len(address) == 8 or address.startswith("0000000000000000FFFF0000"):
        return address.endswith("7F")
    return address == "0" * 24 + "01000000"


def main(port: int, limit_s: float) -> int:
    """Wait; in vain, tell what is listened at instead."""
    deadline = time.monotonic() + limit_s
    while True:
        found = set(listeners())
        if (port, True) in found:
            return 0
        if time.monotonic() > deadline:
            break
        time.sleep(PAUSE_S)
    others = ", ".join(f"{each}{'' if open_ else ' (on loopback only)'}" for each, open_ in sorted(found))
    print(f"there is {others}" if others else "there is nothing at all")
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
