"""Settings at work: 172.18.255.1 and the other networks replaced, and everything follows."""

from __future__ import annotations

import json

import pytest
from conftest import Box
from lab_world import (
    GATEWAY,
    HOST,
    SITE,
    addresses,
    alices,
    as_root,
    ask,
    default_route,
    end,
    inside,
    pings,
    same_host,
    serve,
    standing,
)
from machine import Machine

DEFAULT = "172.18.255."
#: Where the host's address is set: the environment, what vnet-up is given, and the user's settings file.
OVERRIDES = {
    "the environment": ({"VNET_HOST_IP": "10.99.0.2"}, (), ""),
    "a flag over the environment": ({"VNET_HOST_IP": "10.98.0.1"}, ("--host-ip", "10.99.0.2"), ""),
    "the user's settings file": ({}, (), '[host]\nip = "10.99.0.2"\n'),
}


@pytest.fixture
def shop(machine: Machine) -> Box:
    """Give alice's project."""
    return alices(machine)


@pytest.mark.parametrize("name", OVERRIDES)
def test_another_address_of_the_host(shop: Box, name: str) -> None:
    """The gateway has the other one of its /30; rules, routes, names, forwarded ports and messages follow."""
    env, flags, settings = OVERRIDES[name]
    with same_host(shop):
        if settings:
            shop.write("../.config/vnet/settings.toml", settings)
        said = shop.vnet("up", *flags, env=env).stderr
        assert ("10.99.0.2/30" in said, DEFAULT in said) == (True, False)
        host = addresses(shop.run("ip", "-j", "address").stdout)
        gateway = addresses(inside(shop, "gateway", "ip", "-j", "address").stdout)
        assert (host["vnet"], gateway["vnet_guest"]) == (["10.99.0.2/30"], ["10.99.0.1/30"])
        assert default_route(inside(shop, "gateway", "ip", "-j", "route").stdout) == "10.99.0.2"
        for rules in (shop.machine.run("iptables-save").stdout, as_root(shop, "gateway", "iptables-save").stdout):
            assert ("10.99.0." in rules, DEFAULT in rules) == (True, False)
        assert pings(shop, "web", "host", "gateway", "10.99.0.1", "10.99.0.2", "db", SITE) == []
        assert inside(shop, "web", "getent", "hosts", "host").stdout.split()[0] == "10.99.0.2"
        server = serve(shop, "web", "tcp", 8000)
        assert ask(shop, "host", "tcp", "10.99.0.1", 8000) == "web 10.99.0.2"
        assert ask(shop, "app", "tcp", "gateway", 8000).startswith("web ")
        end(server)
        shown = json.loads(shop.vnet("status", "--json").stdout)
        assert (shown["host"]["ip"], shown["gateway"]["ip"]) == ("10.99.0.2", "10.99.0.1")
        assert DEFAULT not in shop.vnet("status").stdout
        shop.machine.run("iptables", "-t", "nat", "-F")
        shop.vnet("up", *flags, env=env)  # mends what is there
        assert pings(shop, "web", SITE) == []


def test_all_labs_share_the_address(shop: Box) -> None:
    """Another one is refused while the gateway is up; the one that is there and what to do are named."""
    with standing(shop):
        before = shop.machine.snapshot()
        refused = shop.vnet("up", "--host-ip", "10.99.0.1", check=False)
        assert (refused.returncode, refused.stderr) == (
            2,
            "vnet-up: host.ip: 10.99.0.1 is wanted, but the gateway is up with 172.18.255.1, which all labs share: "
            "set that, or take everything down first with vnet-down --all --gateway\n",
        )
        assert before.diff(shop.machine.snapshot()) == []


WIDE = """
[host]
interface = "lab0"
[networks]
bridges = "10.64.0.0/29"
guests = "172.18.0.0/17"
mtu = 9000
[guests.web]
ip = "172.18.0.1"
[guests.far]
ip = "172.18.127.253"
"""


def test_other_networks(shop: Box) -> None:
    """Other bridges, a wider network of guests, another interface and a large MTU, of every link."""
    with standing(shop, f"{WIDE}ports = {{ 8000 = 8000 }}\n"):
        for node in ("gateway", "bridge", "web"):
            links = json.loads(inside(shop, node, "ip", "-j", "link").stdout)
            assert {link["mtu"] for link in links if link["ifname"] != "lo"} == {9000}, node
        assert json.loads(shop.run("ip", "-j", "link", "show", "dev", "lab0").stdout)[0]["mtu"] == 9000
        assert addresses(inside(shop, "gateway", "ip", "-j", "address").stdout)["x1"] == ["10.64.0.1/30"]
        assert addresses(inside(shop, "far", "ip", "-j", "address").stdout)["eth0"] == ["172.18.127.253/17"]
        assert default_route(inside(shop, "far", "ip", "-j", "route").stdout) == "172.18.127.254"
        assert pings(shop, "web", "far", "bridge", "gateway", "host", SITE) == []
        for target in ("far", "host"):
            inside(shop, "web", "ping", "-c1", "-W2", "-M", "do", "-s", "8972", target)
        server = serve(shop, "far", "tcp", 8000)
        assert ask(shop, "host", "tcp", GATEWAY, 8000) == f"far {HOST}"
        end(server)
        home = shop.project.rpartition("/")[0]
        for name in ("second", "third"):
            shop.write(f"../{name}/vnet.toml", WIDE)
        shop.vnet("up", cwd=f"{home}/second")
        full = shop.vnet("up", cwd=f"{home}/third", check=False)
        assert (full.returncode, "networks.bridges: all 2 labs" in full.stderr) == (2, True)
