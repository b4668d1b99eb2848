"""Records every packet at an interface into a pcap file. It is run by its path, in a bridge, and imports nothing of vnet.

It needs libpcap, which tcpdump is made of, and not tcpdump itself: that one insists on giving up the rights of root,
which a user namespace of one user forbids (github.com/the-tcpdump-group/tcpdump/issues/1062).
"""

from __future__ import annotations

import ctypes as c
import os
import select
import signal
import sys
import time

#: Milliseconds until the kernel hands over what has come.
BLOCK_MS = 10


def record(interface: bytes, words: bytes) -> None:
    """Record what passes an interface to stdout until SIGTERM; `words` choose, as in pcap-filter(7)."""
    for name in ("libpcap.so.0.8", "libpcap.so.1"):
        try:
            pcap = c.CDLL(name)
            break
        except OSError:
            continue
    else:
        sys.exit("libpcap is missing (apt install libpcap0.8)")
    problem, program = c.create_string_buffer(256), (c.c_void_p * 2)()
    pcap.pcap_create.restype = pcap.pcap_dump_open.restype = c.c_void_p
    pcap.pcap_geterr.restype = c.c_char_p
    handle = c.c_void_p(pcap.pcap_create(interface, problem))

    def check(status: int) -> None:
        """Leave with libpcap's words."""
        if status < 0:
            sys.exit(f"{interface.decode()}: {pcap.pcap_geterr(handle).decode() or f'status {status}'}")

    pcap.pcap_set_promisc(handle, 1)
    pcap.pcap_set_timeout(handle, BLOCK_MS)
    pcap.pcap_set_buffer_size(handle, 8 << 20)
    check(pcap.pcap_activate(handle))
    check(pcap.pcap_compile(handle, program, words, 1, c.c_uint32(0xFFFFFFFF)))
    check(pcap.pcap_setfilter(handle, program))
    check(pcap.pcap_setnonblock(handle, 1, problem))
    file = c.c_void_p(pcap.pcap_dump_open(handle, b"-"))
    stop, wake = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pcap.pcap_dump_flush(file)
    print(f"listening on {interface.decode()}", file=sys.stderr, flush=True)
    ready: list[int] = []
    while stop not in ready:
        ready = select.select([pcap.pcap_get_selectable_fd(handle), stop], [], [])[0]
        if stop in ready:
            time.sleep(3 * BLOCK_MS / 1000)
        check(pcap.pcap_dispatch(handle, -1, pcap.pcap_dump, file))
        pcap.pcap_dump_flush(file)


if __name__ == "__main__":
    record(*(each.encode() for each in sys.argv[1:3]))
