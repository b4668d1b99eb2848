"""The gateway: one namespace between the host and all of a user's labs."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from typing import NamedTuple

from vnet.command import Command, Script, Stages, Write
from vnet.kernel.marks import PINS, pin, pins_folder
from vnet.model import GATEWAY_LINK, Gateway, Port
from vnet.tools import ip, iptables, mount

#: No IPv6 in a namespace that only passes IPv4 on: no router advertisement of a guest is heard there.
NO_IPV6 = ("net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6")


class GatewayStep(NamedTuple):
    """The inside of the gateway's namespace; the namespace itself comes with the host's end.

    For `userns`, `folder` makes the folder of pins in the labs' mount namespace, and `pin` pins the gateway in there. One that is
    not `new` may hold rules already.
    """

    gateway: Gateway
    folder: bool = True
    pin: bool = True
    new: bool = True

    def up(self) -> Stages:
        """Address, route, rules, then forwarding."""
        return ((self._pins(),), (self._inside(),))

    def down(self) -> Stages:
        """Leave it to the host's step: with the namespace all of it goes."""
        return ()

    def _pins(self) -> Script:
        """Pin in the labs' mount namespace what ip-netns(8) looks for there, and what leads a guest back out."""
        gateway = self.gateway
        if gateway.way != "userns":
            return ()
        path = pin(gateway.netns)
        admin = mount.bind("/proc/self/ns/user", f"{pins_folder(gateway.uid)}/admin")
        folder = (mount.tmpfs(PINS), admin) if self.folder else ()
        file = Command(("install", "-m", "0444", "/dev/null", path))
        return (*folder, *((file, mount.bind("/proc/self/ns/net", path)) if self.pin else ()))

    def _inside(self) -> Script:
        """Make the gateway a router."""
        gateway = self.gateway
        netns, dev = gateway.netns, GATEWAY_LINK
        return (
            *(Write(key, "1", netns, optional=True) for key in NO_IPV6),
            ip.link_up("lo", netns=netns),
            ip.link_set(dev, netns=netns, mtu=gateway.mtu),
            ip.address_replace(IPv4Interface(f"{gateway.ip}/30"), dev, netns=netns),
            ip.neighbour_replace(gateway.host_ip, gateway.host_mac, dev, netns=netns),
            ip.route_replace(gateway.host_ip, netns=netns),
            iptables.load(self._nat(), self._filter(), netns=netns, new=self.new),
            Write("net/ipv4/ip_forward", "1", netns),
        )

    def _filter(self) -> str:
        """Labs reach the outside; what was forwarded reaches labs; labs never reach each other.

        From the host's side only the host itself gets in, also while somebody has taken the host's own rules away.
        """
        rules = (
            *self._from_host("INPUT", f"-s {self.gateway.host_ip}/32 ", "-j ACCEPT"),
            *self._from_host("INPUT", "", iptables.ANSWERS),
            *self._from_host("INPUT", "", "-j DROP"),
            f"-A FORWARD {iptables.ANSWERS}",
            f"-A FORWARD -s {self.gateway.bridges} -o {GATEWAY_LINK} -j ACCEPT",
            f"-A FORWARD {iptables.FORWARDED}",
        )
        return iptables.table("filter", ("INPUT ACCEPT", "FORWARD DROP", "OUTPUT ACCEPT"), rules)

    def _from_host(self, chain: str, source: str, target: str) -> tuple[str, ...]:
        """Write a rule for what comes by the link to the host; whoever keeps vnet from the host's firewall opens it himself."""
        return (f"-A {chain} {source}-i {GATEWAY_LINK} {target}",) if self.gateway.iptables else ()

    def _nat(self) -> str:
        """Labs go out with the gateway's address, to each other's forwarded ports as well."""
        gateway = self.gateway
        rules = (
            *self._from_host("PREROUTING", f"! -s {gateway.host_ip}/32 ", "-j RETURN"),
            f"-A PREROUTING -d {gateway.ip}/32 -j FORWARDS",
            f"-A OUTPUT -d {gateway.ip}/32 -j FORWARDS",
            f"-A POSTROUTING -o {GATEWAY_LINK} -j MASQUERADE",
            f"-A POSTROUTING -s {gateway.bridges} -m conntrack --ctstate DNAT -j MASQUERADE",
        )
        chains = ("PREROUTING ACCEPT", "INPUT ACCEPT", "OUTPUT ACCEPT", "POSTROUTING ACCEPT", "FORWARDS -")
        return iptables.table("nat", chains, rules)


class Forward(NamedTuple):
    """A forwarded port of one lab, as the gateway sees it."""

    port: Port
    uplink: IPv4Address


class ForwardsStep(NamedTuple):
    """All forwarded ports of all labs: one chain of the gateway, written whole."""

    gateway: Gateway
    forwards: tuple[Forward, ...]

    def up(self) -> Stages:
        """Replace the chain, in one atomic step."""
        rules = (forward_rule("FORWARDS", each.port, each.uplink, each.port.outside) for each in self.forwards)
        return (((iptables.restore(iptables.table("nat", ("FORWARDS -",), rules), netns=self.gateway.netns),),),)

    def down(self) -> Stages:
        """Replace it by what is left: some labs go."""
        return self.up()


def forward_rule(chain: str, port: Port, to: IPv4Address, to_port: int) -> str:
    """Write the rule that turns a port aside; the chain is entered for one address only, so it catches nothing else."""
    return f"-A {chain} -p {port.protocol} -m {port.protocol} --dport {port.outside} -j DNAT --to-destination {to}:{to_port}"
