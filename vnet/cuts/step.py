"""A cut as a step: rules in the bridge's namespace, for what the bridge passes from port to port.

They stand in the mangle table, of which vnet owns all in a bridge: one restore replaces one cut by another in one
atomic step (per family, IPv4 and IPv6), and touches neither NAT nor the filter. br_netfilter leads bridged packets
through iptables only while its switch is on, so without a cut none of it costs anything; and guests' own rules,
loopback, the bridge and all that is routed are not concerned: the rules ask for both a port in and a port out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vnet.bridge import DEVICE
from vnet.command import Command, Stages, Write
from vnet.model import Lab
from vnet.tools import iptables

#: Pairs of guests up to which each pair has a rule, and so a counter, of its own; above, classes of guests do.
PAIRS = 2000
#: br_netfilter's switches, in the bridge's own namespace.
SWITCHES = tuple(f"net/bridge/bridge-nf-call-{family}tables" for family in ("ip", "ip6"))
CHAINS = ("PREROUTING ACCEPT", "INPUT ACCEPT", "FORWARD ACCEPT", "OUTPUT ACCEPT", "POSTROUTING ACCEPT")


class Block(NamedTuple):
    """Nothing from any of `sources` arrives at any of `deaf`, both names of guests."""

    sources: tuple[str, ...]
    deaf: tuple[str, ...]


class CutStep(NamedTuple):
    """The whole cut of a lab; with no blocks, none. `stop`: when the kernel ends it, in UTC; empty for never."""

    lab: Lab
    blocks: tuple[Block, ...]
    stop: str = ""

    def up(self) -> Stages:
        """Load the rules, then switch on; or, for none, switch off, then empty the table."""
        value = "1" if self.blocks else "0"
        switch = tuple(Write(key, value, self.lab.netns, optional=not self.blocks) for key in SWITCHES)
        text = self.table()
        rules = tuple((restore(tool, text, self.lab.netns),) for tool in ("iptables", "ip6tables"))
        return (rules, (switch,)) if self.blocks else ((switch,), rules)

    def down(self) -> Stages:
        """Heal."""
        return CutStep(self.lab, ()).up()

    def by_pairs(self) -> bool:
        """Tell whether each pair of guests has a rule of its own."""
        return sum(len(block.sources) * len(block.deaf) for block in self.blocks) <= PAIRS

    def table(self) -> str:
        """Write the mangle table."""
        ports = {guest.name: self.lab.port(guest) for guest in self.lab.guests}
        rules = list(self._by_pairs(ports) if self.by_pairs() else self._by_classes(ports))
        chains = dict.fromkeys(rule.split()[1] for rule in rules)
        ends = f"-m time --datestop {self.stop} " if self.stop else ""
        jump = (f"-A FORWARD -i {DEVICE} -o {DEVICE} {ends}-j CUT",) if self.blocks else ()
        return iptables.table("mangle", (*CHAINS, *(f"{chain} -" for chain in chains)), (*jump, *rules))

    def _by_pairs(self, ports: dict[str, str]) -> Iterator[str]:
        """One chain for each guest that misses some, and a rule in it for each that it does not hear."""
        sources: dict[str, list[str]] = {}
        for block in self.blocks:
            for name in block.deaf:
                sources.setdefault(name, []).extend(block.sources)
        for name, missed in sources.items():
            yield f"-A CUT -m physdev --physdev-out {ports[name]} --physdev-is-bridged -j to-{ports[name]}"
            for source in missed:
                if source != name:
                    yield f"-A to-{ports[name]} -m physdev --physdev-in {ports[source]} -j DROP"

    def _by_classes(self, ports: dict[str, str]) -> Iterator[str]:
        """One chain for each class of guests that are not heard by the same ones."""
        for number, block in enumerate(self.blocks):
            for name in block.sources:
                yield f"-A CUT -m physdev --physdev-in {ports[name]} --physdev-is-bridged -j from-{number}"
            for name in block.deaf:
                yield f"-A from-{number} -m physdev --physdev-out {ports[name]} -j DROP"


def restore(tool: str, text: str, netns: str) -> Command:
    """Load the mangle table whole, for one family."""
    return Command((f"{tool}-restore", "--wait", iptables.WAIT_S), netns, text)
