"""What vnet's rules and settings do to the rest of the host: nothing that was not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from lab_world import SHOP
from machine import Machine

from vnet.command import Command, Stages, Write
from vnet.host import ENTRIES, TABLES, HostStep
from vnet.kernel.marks import TABLES_MARK
from vnet.model import Gateway

GATEWAY = Gateway(0, 0, "root", "vnet", IPv4Address("172.18.255.1"), IPv4Network("172.18.192.0/19"), 1500, True)
#: A bridge of somebody else's on the host, with two hosts on it, as a hypervisor has them.
BRIDGE = """
ip link add br0 type bridge
ip link set br0 up
for n in 1 2; do
    ip netns add host$n
    ip link add v$n up master br0 type veth peer name eth0 netns host$n
    ip -n host$n address add 10.9.0.$n/24 dev eth0
    ip -n host$n link set eth0 up
done
"""


def test_hosts_on_a_bridge_of_somebody_else_go_on_talking(machine: Machine) -> None:
    """Also where bridged packets pass through the forward chain, and the host did not forward before vnet."""
    machine.run("mkdir", "project")
    machine.write("/root/project/vnet.toml", SHOP)
    machine.run("sh", "-ec", f"echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables\n{BRIDGE}")
    ping = ("ip", "netns", "exec", "host1", "ping", "-c1", "-W2", "10.9.0.2")
    machine.run(*ping)
    machine.vnet("up", cwd="/root/project")
    machine.run(*ping)
    machine.vnet("down", "--all", "--gateway", cwd="/root/project")
    machine.run(*ping)


def test_tables_of_neighbours_are_widened_and_put_back() -> None:
    """They are the whole kernel's and can't be seen in a network namespace, so this holds the plan only."""
    old = (512, 1024, 512, 200_000)
    step = HostStep(GATEWAY, closes=False, tables=old)
    up, down = (list(_writes(stages)) for stages in (step.up(), step.down()))
    assert up == list(zip(TABLES, ("16384", "65536", "16384", "200000"), strict=True))
    assert down == list(zip(TABLES, map(str, old), strict=True))
    kept = [each.stdin for stage in step.up() for script in stage for each in script
            if isinstance(each, Command) and each.argv[-1] == TABLES_MARK]  # fmt: skip
    assert kept == ["512 1024 512 200000\n"]
    assert len(ENTRIES) == len(TABLES)
    assert not list(_writes(HostStep(GATEWAY, closes=False).up()))


def _writes(stages: Stages) -> Iterator[tuple[str, str]]:
    """List the writes to the tables."""
    for stage in stages:
        for script in stage:
            yield from ((each.key, each.value) for each in script if isinstance(each, Write) and each.key in TABLES)
