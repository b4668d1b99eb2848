"""The files that guests see: /etc/hosts, /etc/resolv.conf, and the list of nodes that vnet-exec reads."""

from __future__ import annotations

from ipaddress import IPv4Address

from vnet.model import Gateway, Lab

#: Where the real servers are named when /etc/resolv.conf names a resolver on loopback (systemd-resolved(8)).
RESOLV = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")


def hosts(lab: Lab, of_host: str) -> str:
    """Write /etc/hosts: the lab's names first, then what the host's own file says."""
    nodes = [(guest.ip, guest.name) for guest in lab.guests]
    return _hosts([*nodes, (lab.bridge_ip, "bridge")], lab.gateway, of_host)


def _hosts(nodes: list[tuple[IPv4Address, str]], gateway: Gateway, of_host: str) -> str:
    """Write such a file for some nodes, gateway and host."""
    lines = [f"{ip}\t{name}" for ip, name in (*nodes, (gateway.ip, "gateway"), (gateway.host_ip, "host"))]
    return "\n".join(("127.0.0.1\tlocalhost", *lines, of_host.strip(), ""))


def nodes(lab: Lab) -> str:
    """Write one line a node: its name, namespace and address, separated by blanks."""
    rows = [(guest.name, lab.guest_netns(guest), guest.ip) for guest in lab.guests]
    rows += [("bridge", lab.netns, lab.bridge_ip)]
    head, gateway = gateway_nodes(lab.gateway, lab.file or "")
    return head + "".join(f"{name} {netns} {ip}\n" for name, netns, ip in rows) + gateway


def gateway_nodes(gateway: Gateway, file: str = "") -> tuple[str, str]:
    """Write the head of such a file, and the gateway's line."""
    head = f"{gateway.way} {gateway.uid} {gateway.gid}\n{file}\n"
    return head, f"gateway {gateway.netns} {gateway.ip}\n"


def resolv_conf(dns: str, texts: list[str]) -> str:
    """Write resolv.conf: `dns` is `auto`, `off` or an address, `texts` the host's files, the best last.

    A resolver on the host's loopback is out of a guest's reach, so `auto` takes the first file that names others.
    """
    if dns == "off":
        return ""
    if dns != "auto":
        return f"nameserver {dns}\n"
    for text in texts:
        lines = [line for line in text.splitlines() if line.split()[:1] in (["nameserver"], ["search"], ["options"])]
        useful = [line for line in lines if not _on_loopback(line)]
        if any(line.startswith("nameserver") for line in useful):
            return "".join(f"{line}\n" for line in useful)
    return ""


def _on_loopback(line: str) -> bool:
    """Tell whether a line names a server out of a guest's reach: on the host's loopback, or by IPv6."""
    words = line.split()
    if words[0] != "nameserver" or len(words) < 2:
        return False
    try:
        return IPv4Address(words[1]).is_loopback
    except ValueError:
        return True


def texts(lab: Lab, dns: str) -> dict[str, str]:
    """Write all that guests and vnet-exec read, by the names of the files."""
    return {
        "hosts": hosts(lab, read("/etc/hosts")),
        "resolv.conf": resolv_conf(dns, [read(path) for path in RESOLV]),
        "nodes": nodes(lab),
    }


def gateway_texts(gateway: Gateway) -> dict[str, str]:
    """Write the same for the gateway, where it is entered for no lab's sake."""
    return {
        "hosts": _hosts([], gateway, read("/etc/hosts")),
        "resolv.conf": resolv_conf("auto", [read(path) for path in RESOLV]),
        "nodes": "".join(gateway_nodes(gateway)),
    }


def read(path: str) -> str:
    """Read a file of the host; one that can't be read is empty."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
