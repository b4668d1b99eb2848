"""The figure: host, gateway, bridge and guests, who reaches whom, and through which door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import Box
from lab_world import (
    APP,
    BRIDGE,
    DB,
    GATEWAY,
    HOST,
    SITE,
    WEB,
    addresses,
    as_root,
    ask,
    default_route,
    end,
    inside,
    pings,
    same_host,
    serve,
    silent,
    site_serves,
    standing,
)
from machine import MACHINE_IP, NEIGHBOUR_IP, SITE_NAME

OTHER = "[guests.web]\n[guests.app]\n"
FIGURE = {
    "gateway": ({"vnet_guest": ["172.18.255.2/30"], "x1": ["172.18.192.1/30"]}, HOST),
    "bridge": ({"uplink": ["172.18.192.2/30"], "bridge": ["172.18.0.254/24"], "x1x1": [], "x1x2": [], "x1x9": []},
               "172.18.192.1"),
    "web": ({"eth0": ["172.18.0.1/24"]}, BRIDGE),
    "app": ({"eth0": ["172.18.0.2/24"]}, BRIDGE),
    "db": ({"eth0": ["172.18.0.9/24"]}, BRIDGE),
}  # fmt: skip


@contextmanager
def beside(box: Box, toml: str = OTHER) -> Iterator[None]:
    """Bring a second project's lab up."""
    folder = f"{box.project.rpartition('/')[0]}/other"
    box.write("../other/vnet.toml", toml)
    box.vnet("up", cwd=folder)
    yield
    box.vnet("down", cwd=folder)


def test_up_makes_the_figure(box: Box) -> None:
    """Each part has the links, addresses and route of the figure, and the host has one address more."""
    with standing(box):
        for node, (links, via) in FIGURE.items():
            found = addresses(inside(box, node, "ip", "-j", "address").stdout)
            assert found == {"lo": ["127.0.0.1/8"], **links}, node
            assert default_route(inside(box, node, "ip", "-j", "route").stdout) == via, node
        host = addresses(box.run("ip", "-j", "address").stdout)
        assert host == {"lo": ["127.0.0.1/8"], "eth0": [f"{MACHINE_IP}/24"], "vnet": ["172.18.255.1/30"]}


def test_guests_reach_all_that_they_should(box: Box) -> None:
    """By address and by name: peers, bridge, gateway, host, and the internet, which sees the machine's own address."""
    box.machine.start_dns()
    with standing(box):
        for node in ("web", "app", "db"):
            names = ("web", "app", "db", "bridge", "gateway", "host", SITE_NAME)
            assert pings(box, node, WEB, APP, DB, BRIDGE, GATEWAY, HOST, SITE, *names) == []
        assert inside(box, "app", "getent", "hosts", SITE_NAME).stdout.split() == [SITE, SITE_NAME]
        assert inside(box, "app", "getent", "hosts", "db").stdout.split() == [DB, "db"]
        for proto in ("tcp", "udp"):
            site_serves(box, proto, 80)
            assert ask(box, "db", proto, SITE, 80) == f"site {MACHINE_IP}"


@pytest.mark.quick_in("userns")
def test_host_is_called_from_the_gateway_only(box: Box) -> None:
    """A server on the host sees the gateway's address; nobody else on the machine's network gets in."""
    with standing(box):
        box.machine.neighbour("ip", "route", "add", "172.18.0.0/16", "via", MACHINE_IP)
        for address in (WEB, "172.18.192.2", GATEWAY):
            assert box.machine.neighbour("ping", "-c1", "-W0.4", address, check=False).returncode == 1
        assert pings(box, "web", NEIGHBOUR_IP) == []
        for address in (WEB, "172.18.192.2"):
            assert box.run("ping", "-c1", "-W0.4", address, check=False).returncode == 1


@pytest.mark.quick_in("root")
def test_a_peer_sees_a_guests_own_address(box: Box) -> None:
    """Also where br_netfilter passes bridged packets through the bridge's rules."""
    with standing(box):
        server, udp = serve(box, "web", "tcp", 8000), serve(box, "web", "udp", 53)
        for switch in "01":
            as_root(box, "bridge", "sh", "-c", f"echo {switch} >/proc/sys/net/bridge/bridge-nf-call-iptables")
            assert ask(box, "app", "tcp", WEB, 8000) == f"web {APP}"
            assert ask(box, "db", "udp", "web", 53) == f"web {DB}"
        end(server, udp)


@pytest.mark.quick_in("userns")
def test_two_labs_never_meet(box: Box) -> None:
    """The same addresses in both; each lab's are its own, and none of the other's can be reached."""
    with standing(box), beside(box):
        servers = [
            serve(box, f"{lab}:web", proto, 7000, lab) for lab in ("project", "other") for proto in ("tcp", "udp")
        ]
        for proto in ("tcp", "udp"):
            assert ask(box, "project:app", proto, WEB, 7000) == f"project {APP}"
            assert ask(box, "other:app", proto, WEB, 7000) == f"other {APP}"
            assert silent(box, "other:app", proto, "172.18.192.2", 7000)
            assert silent(box, "other:bridge", proto, "172.18.192.2", 7000)
            assert silent(box, "project:app", proto, "172.18.192.6", 7000)
        for address in ("172.18.192.2", DB):
            tried = inside(box, "other:app", "ping", "-c1", "-W0.4", address, check=False)
            assert tried.returncode == 1, address
        # Not even by a route of the lab's own root.
        script = f"ip route add {DB} via 172.18.192.5; ping -c1 -W0.4 -I 172.18.192.6 {DB}"
        assert as_root(box, "other:bridge", "sh", "-c", script, check=False).returncode != 0
        end(*servers)


def test_forwarded_ports_are_reached_from_everywhere(box: Box) -> None:
    """TCP and UDP, at the gateway's address: from the host, a guest, another lab, and the same guest."""
    with standing(box), beside(box):
        servers = serve(box, "web", "tcp", 8000), serve(box, "web", "udp", 53)
        for proto, port in (("tcp", 8000), ("udp", 5353)):
            assert ask(box, "host", proto, GATEWAY, port) == f"web {HOST}"
            for node in ("project:app", "project:web", "other:app", "gateway"):
                assert ask(box, node, proto, GATEWAY, port).startswith("web "), (node, proto)
        assert silent(box, "host", "tcp", GATEWAY, 8001)
        assert silent(box, "host", "udp", GATEWAY, 53)
        end(*servers)


@pytest.mark.quick_in("sudo")
def test_forwarded_ports_catch_nothing_else(box: Box) -> None:
    """The same port elsewhere, at a peer, the host, or the internet, is not turned aside."""
    with standing(box):
        site_serves(box, "tcp", 8000)
        site_serves(box, "udp", 5353)
        servers = [serve(box, node, "tcp", 8000) for node in ("web", "db")]
        assert ask(box, "app", "tcp", SITE, 8000) == f"site {MACHINE_IP}"
        assert ask(box, "app", "udp", SITE, 5353) == f"site {MACHINE_IP}"
        assert ask(box, "host", "tcp", SITE, 8000) == f"site {MACHINE_IP}"
        assert ask(box, "app", "tcp", DB, 8000) == f"db {APP}"
        assert silent(box, "app", "tcp", HOST, 8000)
        assert silent(box, "host", "tcp", MACHINE_IP, 8000)
        end(*servers)


def test_a_server_of_the_host_is_reached(box: Box) -> None:
    """At the host's address, seen with the gateway's."""
    with standing(box):
        server = serve(box, "host", "tcp", 8080)
        assert ask(box, "app", "tcp", HOST, 8080) == f"host {GATEWAY}"
        assert ask(box, "app", "tcp", "host", 8080) == f"host {GATEWAY}"
        end(server)


def test_a_lab_of_named_guests_needs_no_file(box: Box) -> None:
    """`vnet-up -n trial a b` makes one."""
    with same_host(box):
        box.vnet("up", "-n", "trial", "a", "b")
        inside(box, "trial:a", "ping", "-c1", "-W2", "b")
