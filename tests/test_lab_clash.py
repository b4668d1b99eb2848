"""What is on the host already is noticed before anything is touched; the message names the holder and what to set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import Box
from lab_world import GATEWAY, HOST, SHOP, SITE, WEB, alices, ask, end, inside, pings, same_host, serve, standing
from machine import MACHINE_IP, Machine
from snapshot import Snapshot

BRIDGE = "ip link add name {0} type bridge; ip link set dev {0} addrgenmode none; ip link set dev {0} up"
FREE = 'set host.ip = "172.19.255.1"'
NAMED = 'set host.interface = "vnet1"'
OURS = "host.ip: 172.18.255.0/30 overlaps "


def bridge(name: str, *more: str) -> str:
    """Write the commands for a bridge device and what it is there for; without an IPv6 address, that would come late."""
    return "; ".join((BRIDGE.format(name), *more))


#: What is on the host: how it gets there and goes, and what the message says of it.
CLASHES = {
    "a Docker network": (
        bridge("br-0123456789ab", "ip address add 172.18.0.1/16 dev br-0123456789ab"),
        "ip link delete br-0123456789ab",
        f"{OURS}172.18.0.0/16 of br-0123456789ab, the Docker network 0123456789ab; {FREE}",
    ),
    "Docker's own": (
        bridge("docker0", "ip address add 172.18.0.1/16 dev docker0"),
        "ip link delete docker0",
        f"{OURS}172.18.0.0/16 of docker0, Docker's default network; {FREE}",
    ),
    "a VPN": (
        bridge("tun0", "ip route add 172.16.0.0/12 dev tun0"),
        "ip link delete tun0",
        f'{OURS}172.16.0.0/12 of tun0, a VPN; set host.ip = "192.168.255.1"',
    ),
    "a VPN's table": (
        bridge("wg0", "ip route add 172.18.255.0/24 dev wg0 table 51820"),
        "ip link delete wg0",
        f"{OURS}172.18.255.0/24 of wg0, a VPN; {FREE}",
    ),
    "an address": (
        "ip address add 172.18.255.1/32 dev lo",
        "ip address delete 172.18.255.1/32 dev lo",
        f"{OURS}172.18.255.1/32 of lo; {FREE}",
    ),
    "a neighbour's network": (
        "ip route add 172.18.255.2 via 198.51.100.3",
        "ip route delete 172.18.255.2",
        f"{OURS}172.18.255.2/32 of eth0 (veth); {FREE}",
    ),
    "a blackhole": (
        "ip route add blackhole 172.18.0.0/15",
        "ip route delete blackhole 172.18.0.0/15",
        f'{OURS}172.18.0.0/15 of a route of type blackhole; set host.ip = "172.20.255.1"',
    ),
    "a link of that name": (
        "ip link add name vnet type bridge",
        "ip link delete vnet",
        f"host.interface: vnet is there already: vnet (bridge); {NAMED}",
    ),
    "a link of that other name": (
        "ip link add name br0 type bridge; ip link property add dev br0 altname vnet",
        "ip link delete br0",
        f"host.interface: vnet is there already: br0 (bridge); {NAMED}",
    ),
}


@pytest.fixture
def shop(machine: Machine) -> Box:
    """Give alice's project."""
    return alices(machine)


@contextmanager
def on_host(box: Box, there: str, gone: str) -> Iterator[None]:
    """Do something on the host, and undo it."""
    box.machine.run("sh", "-ec", there)
    yield
    box.machine.run("sh", "-ec", gone)


def refused(box: Box, before: Snapshot, *argv: str, cwd: str | None = None) -> str:
    """Run vnet-up; give back the one line that it is refused with, nothing having been touched but its own lock."""
    done = box.vnet("up", *argv, check=False, cwd=cwd or box.project)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (2, "", 1), done.stderr
    assert [line for line in before.diff(box.machine.snapshot()) if "/locks/lab-" not in line] == []
    return lines[0].removeprefix("vnet-up: ")


def offered(message: str) -> str:
    """Write what a message says to set as settings."""
    return "".join(f"[host]\n{key} = {value}\n" for key, value in re.findall(r'host\.(\w+) = ("[^"]*")', message))


@pytest.mark.parametrize("name", CLASHES)
def test_what_the_host_holds_is_named(shop: Box, name: str) -> None:
    """What the message offers is free: with it the lab comes up, and the host's own goes on as it was."""
    there, gone, said = CLASHES[name]
    with on_host(shop, there, gone), same_host(shop) as before:
        assert refused(shop, before) == said
        shop.write("vnet.toml", offered(said) + SHOP)
        shop.vnet("up")
        assert pings(shop, "web", "db", SITE, "host") == []


@pytest.mark.quick_in("userns", "sudo")
def test_a_network_namespace_of_that_name_is_left_alone(box: Box) -> None:
    """Where vnet pins in the host's /run/netns: it would be taken away together with a gateway that could not be made."""
    with same_host(box):
        box.machine.run("ip", "netns", "add", "vnet")
        box.write("vnet.toml", SHOP)
        before = box.machine.snapshot()
        if box.way == "userns":
            box.vnet("up")
            box.vnet("down", "--gateway")
        else:
            assert NAMED in refused(box, before, "--dry-run")
            assert NAMED in refused(box, before)
        box.machine.run("ip", "-n", "vnet", "link", "show", "dev", "lo")
        box.machine.run("sh", "-c", "ip netns delete vnet; umount -n /run/netns; rmdir /run/netns")


def test_a_route_to_everything_is_no_clash(shop: Box) -> None:
    """A VPN lays two halves of the internet, or eighths, over the default route; nor is a network beside ours one."""
    routes = ("0.0.0.0/1", "128.0.0.0/1", "160.0.0.0/5", "172.18.254.0/24", "172.18.255.4/30")
    there = bridge("wg0", *(f"ip route add {each} dev wg0" for each in routes))
    with on_host(shop, there, "ip link delete wg0"), standing(shop):
        assert pings(shop, "web", "db", HOST, GATEWAY) == []


def test_docker_beside_the_labs(shop: Box) -> None:
    """With another address for the host, its Docker network 172.18.0.0/16 is the host's, and 172.18.0.1 in a lab the guest."""
    there, gone, _ = CLASHES["a Docker network"]
    with on_host(shop, there, gone), same_host(shop):
        shop.vnet("up", "--host-ip", "172.19.255.1")
        server, docker = serve(shop, "web", "tcp", 7000), serve(shop, "host", "tcp", 7000, "docker")
        assert ask(shop, "app", "tcp", WEB, 7000) == "web 172.18.0.2"
        assert ask(shop, "host", "tcp", "172.18.0.1", 7000) == "docker 172.18.0.1"
        end(server, docker)


def test_a_port_of_another_lab_is_refused(shop: Box) -> None:
    """The other lab is named; a port of another protocol is no clash, nor is a server on the host itself."""
    other = "/home/alice/other"
    with standing(shop):
        shop.write("../other/vnet.toml", "[guests.a]\nports = { 9000 = 80, 8000 = 81 }\n")
        assert (
            refused(shop, shop.machine.snapshot(), cwd=other)
            == "guests.a.ports: 8000 is forwarded to the lab project; set another one"
        )
        shop.write("../other/vnet.toml", '[guests.a]\nports = { "8000/udp" = 80, 5353 = 81 }\n')
        shop.vnet("up", cwd=other)
        servers = (serve(shop, "web", "tcp", 8000), serve(shop, "host", "tcp", 8000), serve(shop, "other:a", "tcp", 81))
        assert ask(shop, "host", "tcp", GATEWAY, 8000) == f"web {HOST}"
        assert ask(shop, "host", "tcp", MACHINE_IP, 8000) == f"host {MACHINE_IP}"
        assert ask(shop, "host", "tcp", GATEWAY, 5353) == f"other:a {HOST}"
        end(*servers)


def test_a_name_of_another_project_is_refused(shop: Box) -> None:
    """The file that it belongs to is named."""
    with standing(shop):
        shop.write("../other/vnet.toml", 'name = "project"\n[guests.a]\n')
        assert refused(shop, shop.machine.snapshot(), cwd="/home/alice/other") == (
            "name: a lab project is up that belongs to /home/alice/project/vnet.toml; "
            "set another name in vnet.toml, or take another with -n LAB"
        )
        assert inside(shop, "web", "true").returncode == 0
