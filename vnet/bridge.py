"""The bridge: a lab's own namespace between the gateway and the guests."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import NamedTuple

from vnet.command import Script, Stages, Write
from vnet.gateway import NO_IPV6, forward_rule
from vnet.model import Lab
from vnet.tools import brctl, ip, iptables

#: The names of the bridge device and of the link to the gateway, in each bridge's namespace.
DEVICE, UPLINK = "bridge", "uplink"
#: With br_netfilter loaded, bridged packets run through iptables, and NAT would show a peer the bridge's address.
BRIDGED = tuple(f"net/bridge/bridge-nf-call-{tool}" for tool in ("iptables", "ip6tables", "arptables"))


class BridgeStep(NamedTuple):
    """A lab's bridge and its uplink.

    `namespace`, `link` and `device` are what is to be made; what is not, stands already and is only set right.
    """

    lab: Lab
    namespace: bool = True
    link: bool = True
    device: bool = True

    def up(self) -> Stages:
        """Make the namespace and the uplink, all from the gateway's side; then the bridge's side, while its rules are loaded."""
        lab = self.lab
        namespace = (ip.netns_add(lab.netns),) if self.namespace else ()
        quiet = tuple(Write(key, "1", lab.netns, optional=True) for key in NO_IPV6)
        # Only where it is new: later a cut may be in force, and would be open for a moment.
        quiet += tuple(Write(key, "0", lab.netns, optional=True) for key in BRIDGED if self.namespace)
        device = (brctl.addbr(DEVICE, netns=lab.netns),) if self.device else ()
        from_gateway = (*namespace, *self._link(), *self._gateway_side())
        return ((from_gateway,), ((*quiet, *device, *self._bridge_side()), self._rules()), (self._forward(),))

    def down(self) -> Stages:
        """Delete the uplink by name, which frees the name, then let the namespace go."""
        lab = self.lab
        return ((((ip.link_del(lab.link, netns=lab.gateway.netns)),),), ((ip.netns_del(lab.netns),),))

    def _link(self) -> Script:
        """Make the uplink from the gateway; the bridge's end stays down until IPv6 is off there."""
        lab = self.lab
        if not self.link:
            return ()
        return (
            ip.veth_add(lab.link, UPLINK, netns=lab.gateway.netns, peer_netns=lab.netns, mtu=lab.mtu,
                        mac=lab.gateway_mac, peer_mac=lab.uplink_mac),
        )  # fmt: skip

    def _bridge_side(self) -> Script:
        """Set the bridge's side: both ends' hardware addresses are known, so no ARP and no entry in its table."""
        lab, netns = self.lab, self.lab.netns
        return (
            ip.link_up("lo", netns=netns),
            ip.link_set(UPLINK, netns=netns, mtu=lab.mtu),
            ip.address_replace(IPv4Interface(f"{lab.uplink}/30"), UPLINK, netns=netns),
            ip.neighbour_replace(lab.gateway_ip, lab.gateway_mac, UPLINK, netns=netns),
            ip.route_replace(lab.gateway_ip, netns=netns),
            ip.link_set(DEVICE, netns=netns, mac=lab.bridge_mac, mtu=lab.mtu),
            ip.address_replace(IPv4Interface(f"{lab.bridge_ip}/{lab.network.prefixlen}"), DEVICE, netns=netns),
        )

    def _rules(self) -> Script:
        """Load the tables, whole."""
        return (iptables.load(self._nat(), self._filter(), netns=self.lab.netns, new=self.namespace),)

    def _gateway_side(self) -> Script:
        """Set the gateway's side."""
        lab, netns = self.lab, self.lab.gateway.netns
        return (
            ip.link_set(lab.link, netns=netns, mtu=lab.mtu),
            ip.address_replace(IPv4Interface(f"{lab.gateway_ip}/30"), lab.link, netns=netns),
            ip.neighbour_replace(lab.uplink, lab.uplink_mac, lab.link, netns=netns),
        )

    def _forward(self) -> Script:
        """Forward, now that the rules stand."""
        return (Write("net/ipv4/ip_forward", "1", self.lab.netns),)

    def _filter(self) -> str:
        """Guests reach each other and the outside; the outside reaches forwarded ports alone."""
        rules = (
            f"-A FORWARD -i {DEVICE} -o {DEVICE} -j ACCEPT",
            f"-A FORWARD {iptables.ANSWERS}",
            f"-A FORWARD -s {self.lab.network} -i {DEVICE} -o {UPLINK} -j ACCEPT",
            f"-A FORWARD -i {UPLINK} {iptables.FORWARDED}",
        )
        return iptables.table("filter", ("INPUT ACCEPT", "FORWARD DROP", "OUTPUT ACCEPT"), rules)

    def _nat(self) -> str:
        """Guests go out with the uplink's address; a peer in the lab sees their own."""
        rules = (
            f"-A PREROUTING -d {self.lab.uplink}/32 -i {UPLINK} -j FORWARDS",
            *forwards(self.lab),
            f"-A POSTROUTING -o {UPLINK} -j MASQUERADE",
        )
        chains = ("PREROUTING ACCEPT", "INPUT ACCEPT", "OUTPUT ACCEPT", "POSTROUTING ACCEPT", "FORWARDS -")
        return iptables.table("nat", chains, rules)


class BridgeForwardsStep(NamedTuple):
    """The forwarded ports of one lab, in its bridge: one chain, written whole."""

    lab: Lab

    def up(self) -> Stages:
        """Replace the chain, in one atomic step."""
        return (
            ((iptables.restore(iptables.table("nat", ("FORWARDS -",), forwards(self.lab)), netns=self.lab.netns),),),
        )

    def down(self) -> Stages:
        """Leave it to the bridge's step: with the namespace all of it goes."""
        return ()


def forwards(lab: Lab) -> tuple[str, ...]:
    """Write the rules from the uplink's address to the guests' ports."""
    return tuple(
        forward_rule("FORWARDS", port, guest.ip, port.inside) for guest in lab.guests for port in guest.ports
    )  # fmt: skip
