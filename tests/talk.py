"""Talk over the network, from a program that is run on a simulated machine or in a node of a lab.

talk.py serve tcp|udp PORT WORD [ADDRESS]  say `ready`; tell each caller WORD and the address he is seen with, then echo
talk.py ask tcp|udp ADDRESS PORT [S]       print what the server tells; fail after S seconds
talk.py hold ADDRESS PORT                  as `ask tcp`, then send each line of stdin and print what comes back
talk.py probe TIMEOUT_S ADDRESS...         send one UDP packet each to port 9999, without a retry, and print who answered
"""

import select
import socket
import sys
import threading
import time

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def serve(proto: str, port: str, word: str, address: str = "0.0.0.0") -> None:
    """Serve until killed."""
    server = socket.socket(socket.AF_INET, KINDS[proto])
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, int(port)))
    if proto == "tcp":
        server.listen()
    else:
        server.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    print("ready", flush=True)
    while True:
        if proto == "udp":
            _, told, _, peer = server.recvmsg(99, 64)
            back = [
                (socket.IPPROTO_IP, 8, bytes(4) + told[0][2][8:12] + bytes(4))
            ]  # IP_PKTINFO: from the address asked
            server.sendmsg([f"{word} {peer[0]}\n".encode()], back, 0, peer)
        else:
            caller, peer = server.accept()
            caller.sendall(f"{word} {peer[0]}\n".encode())
            threading.Thread(target=_echo, args=(caller,), daemon=True).start()


def _echo(caller: socket.socket) -> None:
    with caller:
        while data := caller.recv(99):
            caller.sendall(data)


def _call(proto: str, address: str, port: str, timeout_s: str) -> socket.socket:
    caller = socket.socket(socket.AF_INET, KINDS[proto])
    caller.settimeout(float(timeout_s))
    caller.connect((address, int(port)))
    if proto == "udp":
        caller.send(b"hello")
    return caller


def ask(proto: str, address: str, port: str, timeout_s: str = "5") -> None:
    """Ask once."""
    print(_call(proto, address, port, timeout_s).recv(99).decode().strip())


def hold(address: str, port: str) -> None:
    """Keep a connection."""
    caller = _call("tcp", address, port, "20")
    print(caller.recv(99).decode().strip(), flush=True)
    for line in sys.stdin:
        caller.sendall(line.encode())
        print(caller.recv(99).decode().strip(), flush=True)


def probe(timeout_s: str, *addresses: str) -> None:
    """Probe each address once, all at the same time."""
    caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    waiting = set(addresses)
    for address in addresses:
        caller.sendto(b"hello", (address, 9999))
    deadline = time.monotonic() + float(timeout_s)
    while waiting and select.select([caller], [], [], max(0.0, deadline - time.monotonic()))[0]:
        waiting.discard(caller.recvfrom(99)[1][0])
    print(*(address for address in addresses if address not in waiting))


if __name__ == "__main__":
    try:
        {"serve": serve, "ask": ask, "hold": hold, "probe": probe}[sys.argv[1]](*sys.argv[2:])
    except OSError as error:
        sys.exit(f"talk.py: {' '.join(sys.argv[1:])}: {error}")
