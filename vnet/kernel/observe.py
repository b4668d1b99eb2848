"""What is there now: asked of the kernel, compared with what a lab should be.

A worker calls these, in the namespaces where it has the rights; `closed`, `forwards`, `inodes` and the host's `address` the
caller, too. Everything looks and nothing changes, but for `end`.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from ipaddress import IPv4Address
from typing import Any

from vnet.bridge import BRIDGED, DEVICE, UPLINK, BridgeStep
from vnet.codec import decode, decode_again
from vnet.command import HOST, Command, Stages
from vnet.gateway import Forward, ForwardsStep, GatewayStep
from vnet.host import ECHO
from vnet.kernel import forwarding, namespace, processes
from vnet.kernel.link import IFF_UP, SIOCGIFADDR, SIOCGIFFLAGS, SIOCGIFNETMASK, asked
from vnet.kernel.marks import CLOSED_MARK, pin, pins
from vnet.kernel.runner import capture
from vnet.model import GATEWAY_LINK, Gateway, Lab

#: Seconds between two tries to reach who has not answered, and until the host's rules count as gone.
AGAIN_S, ECHO_S = 0.05, 1.0
#: An address that is nobody's (RFC 5737), so that only a default route leads there.
OUTSIDE = ("192.0.2.1", 9)
#: How rules begin that concern packets on their way through the host.
THROUGH = ("-A FORWARD ", "-A POSTROUTING ")


def inodes(netns: Sequence[str]) -> dict[str, int]:
    """Tell the inode of each pinned namespace; one that is not pinned is left out."""
    paths = {name: pin(name) for name in netns}
    return {name: os.stat(path).st_ino for name, path in paths.items() if namespace.is_pin(path)}


_held: list[int] = []


def hold(netns: Sequence[str]) -> list[int]:
    """Keep namespaces from going until `let_go`, so that their inodes are theirs alone; tells these."""
    _held.extend(os.open(pin(name), os.O_RDONLY | os.O_CLOEXEC) for name in netns if namespace.is_pin(pin(name)))
    return [os.fstat(fd).st_ino for fd in _held]


def let_go() -> None:
    """Let the namespaces go that are held."""
    while _held:
        os.close(_held.pop())


def end(netns: Sequence[str]) -> list[str]:
    """End what runs in namespaces, held meanwhile: the kernel gives the inode of one that is gone to the next one, whoever's."""
    try:
        return processes.end(hold(netns))
    finally:
        let_go()


def closed() -> bool:
    """Tell whether the host does not forward for itself: then what is not a lab's has to be dropped."""
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        return os.path.exists(CLOSED_MARK) or file.read().strip() == "0"


def relied() -> list[str]:
    """List what others have set since vnet turned forwarding on, to let packets through the host or to change them on their way."""
    try:
        with open(CLOSED_MARK, encoding="utf-8", errors="replace") as file:
            before = set(_forwarding(file.read()))
    except FileNotFoundError:
        return []
    _, chains = forwarding.before()
    rules = [line for line in _forwarding(capture(("iptables-save",))) if line not in before]
    return rules + [f"the chain {each} of nftables" for each in forwarding.chains_now() if each not in chains]


def _forwarding(rules: str) -> list[str]:
    """List the rules that concern packets on their way through the host, without vnet's."""
    return [line for line in map(_plain, rules.splitlines()) if line.startswith(THROUGH) and "VNET-" not in line]


def strays(netns: str) -> list[int]:
    """List the numbers of the labs that have pins beside a gateway's."""
    found = (name.removeprefix(f"{netns}-x").partition("x")[0] for name in pins() if name.startswith(f"{netns}-x"))
    return sorted({int(number) for number in found if number.isdecimal()})


def gateway(gateway: dict[str, Any]) -> bool:
    """Tell whether the gateway's inside is as it should be."""
    wanted: Gateway = decode(Gateway, gateway)
    if not namespace.is_pin(pin(wanted.netns)):
        return False
    return (
        address(GATEWAY_LINK, wanted.netns) == f"{wanted.ip}/30"
        and forwards(wanted.netns)
        and _leads_out(wanted.netns, wanted.ip)
        and _rules_stand(GatewayStep(wanted, new=False).up(), wanted.netns)
    )


def lab(lab: dict[str, Any], known: list[list[Any]]) -> dict[str, Any]:
    """Tell which parts of a lab stand; `known` pairs its namespaces with the inodes that they had when made."""
    wanted: Lab = decode_again(Lab, lab)
    made: dict[str, int] = dict(known)
    names = [wanted.netns, *map(wanted.guest_netns, wanted.guests)]
    found = {name: inode for name, inode in inodes(names).items() if made.get(name) == inode}
    if wanted.netns not in found:
        return {"namespace": False, "link": False, "device": False, "right": False, "cuts": False, "guests": found,
                "ports": {}, "astray": [], "forwarded": False}  # fmt: skip
    links = capture(("ip", "-j", "address", "show"), wanted.netns)
    has = _addresses(links)
    far = address(wanted.link, wanted.gateway.netns)
    right = (
        has.get(UPLINK) == f"{wanted.uplink}/30"
        and has.get(DEVICE) == f"{wanted.bridge_ip}/{wanted.network.prefixlen}"
        and far == f"{wanted.gateway_ip}/30"
        and forwards(wanted.netns)
        and _leads_out(wanted.netns, wanted.uplink)
        and _rules_stand(BridgeStep(wanted, namespace=False).up(), wanted.netns)
    )
    ports = {name: master for name, master in _masters(links).items() if name.startswith(f"{wanted.link}x")}
    return {"namespace": True, "link": UPLINK in has and far is not None, "device": DEVICE in has,
            "right": right, "cuts": _cuts(wanted.netns), "guests": found, "ports": ports,
            "astray": _astray(wanted, found), "forwarded": _forwarded(wanted)}  # fmt: skip


def _astray(lab: Lab, found: dict[str, int]) -> list[str]:
    """Name the guests that have lost their address, their route, or the link that both need."""
    there = [guest for guest in lab.guests if lab.guest_netns(guest) in found]
    return [guest.name for guest in there if not _leads_out(lab.guest_netns(guest), guest.ip)]


def _forwarded(lab: Lab) -> bool:
    """Tell whether the gateway leads all forwarded ports of a lab to its bridge."""
    step = ForwardsStep(lab.gateway, tuple(Forward(port, lab.uplink) for guest in lab.guests for port in guest.ports))
    return not step.forwards or _rules_stand(step.up(), lab.gateway.netns)


def address(name: str, netns: str = HOST) -> str | None:
    """Tell the first IPv4 address of a link, `""` where it has none or is down; None where there is no link (netdevice(7)).

    What `ip address show` tells, for a thirtieth of its time.
    """
    with (
        namespace.network(pin(netns)) if netns else nullcontext(),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_,
    ):
        try:
            (flags,) = struct.unpack_from("H", asked(any_, SIOCGIFFLAGS, name), 16)
        except OSError:
            return None
        try:
            ip, mask = (IPv4Address(asked(any_, what, name)[20:24]) for what in (SIOCGIFADDR, SIOCGIFNETMASK))
        except OSError:
            return ""
        return f"{ip}/{int(mask).bit_count()}" if flags & IFF_UP else ""


def _addresses(text: str) -> dict[str, str]:
    """Read `ip -j address`: each link, with its first IPv4 address, or nothing where it has none or is down, as `address`."""
    found = {}
    for link in filter(None, json.loads(text)):
        ipv4 = [f"{info['local']}/{info['prefixlen']}" for info in link["addr_info"] if info["family"] == "inet"]
        found[link["ifname"]] = ipv4[0] if ipv4 and "UP" in link["flags"] else ""
    return found


def _masters(text: str) -> dict[str, bool]:
    """Read `ip -j address`: each link, and whether it is a port of the bridge and up."""
    links = [link for link in json.loads(text) if link]
    return {link["ifname"]: link.get("master") == DEVICE and "UP" in link["flags"] for link in links}


def forwards(netns: str = HOST) -> bool:
    """Tell whether a namespace forwards packets."""
    inside = namespace.network(pin(netns)) if netns else nullcontext()
    with inside, open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        return file.read().strip() == "1"


def _leads_out(netns: str, source: IPv4Address) -> bool:
    """Tell whether a namespace has a way out, with this address: to connect a UDP socket asks for one, and sends nothing."""
    with namespace.network(pin(netns)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(OUTSIDE)
        except OSError:
            return False
        return bool(asking.getsockname()[0] == str(source))


def _cuts(netns: str) -> bool:
    """Tell whether bridged packets are led through iptables: that is on only while there is a cut."""
    found = set()
    with namespace.network(pin(netns)):
        for key in BRIDGED:
            with suppress(FileNotFoundError), open(f"/proc/sys/{key}", encoding="ascii") as file:
                found.add(file.read().strip())
    return "1" in found


def _rules_stand(stages: Stages, netns: str) -> bool:
    """Tell whether each rule and policy that a step loads is there still; rules of others beside them are no matter."""
    restores = [each for stage in stages for script in stage for each in script
                if isinstance(each, Command) and each.argv[0] == "iptables-restore"]  # fmt: skip
    wanted = {_plain(line) for each in restores for line in each.stdin.splitlines() if line[:1] in (":", "-")}
    standing = {_plain(line) for line in capture(("iptables-save",), netns).splitlines()}
    return wanted <= standing


def _plain(line: str) -> str:
    """Write a line of iptables-save without its counters."""
    return line.partition(" [")[0] if line.startswith(":") else line.strip()


def echo(gateway: dict[str, Any]) -> bool:
    """Tell whether the host's rules stand, by what they do: a user without root can't list them.

    The host's nat table turns round what the gateway sends to the host from port 7. A UDP packet has to come back,
    by way of the forward chain; a TCP connection, to a port at which the gateway does listen, has to be reset by the
    rule in that chain. So either table flushed is noticed. The packet goes to another port each time: one that has come
    back before is turned round by the kernel's memory of it (conntrack, for 30 s) and not by the table.
    """
    wanted: Gateway = decode(Gateway, gateway)
    with namespace.network(pin(wanted.netns)):
        udp, ear, tcp, listening = (
            socket.socket(socket.AF_INET, kind) for kind in (*[socket.SOCK_DGRAM] * 2, *[socket.SOCK_STREAM] * 2)
        )
    with udp, ear, tcp, listening:
        return _turned_round(udp, ear, wanted) and _reset(tcp, listening, wanted)


def _turned_round(udp: socket.socket, ear: socket.socket, gateway: Gateway) -> bool:
    """Tell whether a UDP packet comes back."""
    udp.bind((str(gateway.ip), ECHO))
    ear.bind((str(gateway.ip), 0))
    deadline = time.monotonic() + ECHO_S
    while time.monotonic() < deadline:
        try:
            udp.sendto(b"vnet", (str(gateway.host_ip), ear.getsockname()[1]))
            if select.select([ear], [], [], AGAIN_S)[0]:
                return ear.recv(16) == b"vnet"
        except OSError:
            return False
    return False


def _reset(tcp: socket.socket, listening: socket.socket, gateway: Gateway) -> bool:
    """Tell whether a TCP connection to where somebody listens is reset on its way."""
    for each, port in ((tcp, ECHO), (listening, ECHO + 1)):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind((str(gateway.ip), port))
    listening.listen()
    tcp.settimeout(ECHO_S)
    try:
        tcp.connect((str(gateway.host_ip), ECHO))
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
