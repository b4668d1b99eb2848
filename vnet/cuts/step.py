"""A cut as a step: rules in the bridge's namespace, for what the bridge passes from port to port.

They stand in the mangle table, of which vnet owns all in a bridge, once for IPv4 and once for IPv6, in two generations:
one is in force, the other is loaded beside it. The group of the bridge device (`ip link set bridge group N`) tells which
one holds. To write that number is the step from one cut to the next: one store in the kernel, which each packet
reads once, whatever its family and however many rules there are.

So rules can be loaded in pieces. They have to: iptables-nft sends a transaction as one netlink message, which without
root's rights may not be longer than net.core.wmem_default, 212,992 bytes, some 700 rules (nft.c, mnl_set_sndbuffer).

br_netfilter leads bridged packets through iptables only while its switches are on, so without a cut none of it costs
anything; and guests' own rules, loopback, the bridge and all that is routed elsewhere are not concerned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vnet.bridge import DEVICE
from vnet.command import Stages, Write
from vnet.model import Lab
from vnet.tools import ip, iptables

#: Pairs of guests up to which each pair has a rule, and so a counter, of its own; above, classes of guests do.
PAIRS = 2000
#: Classes of guests to one word of marks; with all 32 bits in use iptables-save would not show the mask.
BITS = 31
#: Lines that go into one transaction: 430 bytes each, at most.
PIECE = 400
#: The bridge device's group while the first generation is in force; with any other number it is the second.
FIRST = 0x63757431
GROUPS = {1: FIRST, 2: FIRST + 1}
FAMILIES = ("iptables", "ip6tables")
#: br_netfilter's switches, in the bridge's own namespace; with the last two, packets with a VLAN's tag or of PPPoE count.
SWITCHES = tuple(f"net/bridge/bridge-nf-call-{tool}" for tool in FAMILIES)
WRAPPED = tuple(f"net/bridge/bridge-nf-filter-{what}-tagged" for what in ("vlan", "pppoe"))
#: The last second that xt_time knows: iptables-save shows it where no other is set.
LAST = "2038-01-19T03:14:07"
#: What the second of an end, and the name of a chain, is written with.
SECOND, CHAIN = frozenset("0123456789-:T"), frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
EMPTY = iptables.table("mangle", (), ())


class Block(NamedTuple):
    """Nothing from any of `sources` arrives at any of `deaf`, both names of guests."""

    sources: tuple[str, ...]
    deaf: tuple[str, ...]


class CutStep(NamedTuple):
    """The whole cut of a lab; with no blocks, none.

    `until`: when the kernel ends it, in UTC; empty for never. `live`: the generation that is in force now, 0 for none.
    `left`: chains of vnet that stand now.
    """

    lab: Lab
    blocks: tuple[Block, ...]
    until: str = ""
    live: int = 0
    left: tuple[str, ...] = ()

    def up(self) -> Stages:
        """Load the rules beside those in force, switch on, step over; with no blocks, then switch off and empty.

        One family after the other: side by side iptables-nft would find the rules changed under it, and begin again.
        """
        netns = self.lab.netns
        step = ip.link_group(DEVICE, GROUPS[self.generation], netns=netns)
        load = (tuple(iptables.restore(self.text(tool), netns=netns, tool=tool) for tool in FAMILIES),)
        if self.blocks:
            wrapped = (Write(key, "1", netns, optional=True) for key in WRAPPED)
            return (load, ((*wrapped, *(Write(key, "1", netns) for key in SWITCHES), step),))
        off = tuple(Write(key, "0", netns, optional=True) for key in SWITCHES)
        empty = (tuple(iptables.restore(EMPTY, netns=netns, flush=True, tool=tool) for tool in FAMILIES),)
        return (load, ((step, *off),), empty) if self.live else ((off,), empty)

    def down(self) -> Stages:
        """Heal."""
        return CutStep(self.lab, (), live=self.live).up()

    def check(self) -> None:
        """Let no text into the rules but a second, names of guests, and names of chains."""
        names = {guest.name for guest in self.lab.guests}
        known = all(names.issuperset((*block.sources, *block.deaf)) for block in self.blocks)
        chains = (name for name in self.left if name.startswith("cut-"))
        written = SECOND.issuperset(self.until) and all(map(CHAIN.issuperset, chains))
        if not (known and written and self.live in (0, 1, 2)):
            raise ValueError("not a cut of this lab")

    @property
    def generation(self) -> int:
        """The generation that this cut is loaded as: the one that is not in force."""
        return 2 if self.live == 1 else 1

    @property
    def leaves(self) -> tuple[str, ...]:
        """The chains that stand once it is done."""
        if not self.blocks:
            return ()
        top = f"cut-{self.generation}"
        kept = (name for name in self.left if not name.startswith(f"{top}-"))
        rules = (rule for tool in FAMILIES for rule in self.rules(tool))
        return tuple(dict.fromkeys((*kept, "cut-1", "cut-2", *(rule.split()[1] for rule in rules))))

    def by_pairs(self) -> bool:
        """Tell whether each pair of guests has a rule of its own."""
        return sum(len(block.sources) * len(block.deaf) for block in self.blocks) <= PAIRS

    def text(self, tool: str) -> str:
        """Write what iptables-restore reads: several transactions, of which none touches what is in force."""
        top = f"cut-{self.generation}"
        rules = self.rules(tool)
        tops = (top,) if self.live else ("cut-1", "cut-2")
        chains = dict.fromkeys((*tops, *(rule.split()[1] for rule in rules)))
        old = [name for name in self.left if name.startswith(f"{top}-") and name not in chains]
        lines = (*(f":{name} -" for name in (*chains, *old)), *(f"-X {name}" for name in old), *rules)
        pieces = [lines[at : at + PIECE] for at in range(0, len(lines), PIECE)]
        return "".join(iptables.table("mangle", (), piece) for piece in (*pieces, ("-F FORWARD", *ways())))

    def rules(self, tool: str) -> tuple[str, ...]:
        """Write the rules of this generation for one family, as iptables-save shows them.

        IPv6 finds its neighbours by packets of its own (RFC 4861, types 135 and 136). They pass, as ARP does, which
        iptables does not see: else one way that is cut would cut the other too, and a heal would take a second.
        """
        if not self.blocks:
            return ()
        top, ports = f"cut-{self.generation}", {guest.name: self.lab.port(guest) for guest in self.lab.guests}
        ends = (f"-A {top} -m time --datestart {self.until} --datestop {LAST} -j RETURN",) if self.until else ()
        finds = (f"-A {top} -p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN" for kind in (135, 136))
        routed = f"-A {top} -m physdev ! --physdev-is-bridged -j DROP"
        return (
            *ends,
            *(finds if tool == "ip6tables" else ()),
            routed,
            *(self._by_pairs(top, ports) if self.by_pairs() else self._by_classes(top, ports)),
        )

    def _by_pairs(self, top: str, ports: dict[str, str]) -> Iterator[str]:
        """One chain for each guest that misses some, and a rule in it for each that it does not hear."""
        sources: dict[str, list[str]] = {}
        for block in self.blocks:
            for name in block.deaf:
                sources.setdefault(name, []).extend(block.sources)
        for name, missed in sources.items():
            yield f"-A {top} -m physdev --physdev-out {ports[name]} --physdev-is-bridged -g {top}-to-{ports[name]}"
            for source in missed:
                if source != name:
                    yield f"-A {top}-to-{ports[name]} -m physdev --physdev-in {ports[source]} -j DROP"

    def _by_classes(self, top: str, ports: dict[str, str]) -> Iterator[str]:
        """Mark what comes from each class of guests that are not heard by the same ones; drop marks for each guest.

        Classes are numbered, and a class's mark is one bit of 31, so a rule drops what comes from any of 31 classes: a ring
        of majorities of 253 guests, in which no two are alike and 31,878 pairs are cut, takes 2,800 rules. A packet that
        goes into a guest loses its mark on the way (skb_scrub_packet in the kernel).
        """
        masks: dict[tuple[int, str], int] = {}
        for number, block in enumerate(self.blocks):
            word, bit = divmod(number, BITS)
            for name in block.sources:
                yield f"-A {top} -m physdev --physdev-in {ports[name]} --physdev-is-bridged -g {top}-from-{number}"
            yield f"-A {top}-from-{number} -j MARK --set-xmark {1 << bit:#x}/0xffffffff"
            yield f"-A {top}-from-{number} -g {top}-word-{word}"
            for name in block.deaf:
                masks[word, name] = masks.get((word, name), 0) | 1 << bit
        for (word, name), mask in masks.items():
            yield f"-A {top}-word-{word} -m physdev --physdev-out {ports[name]} -m mark ! --mark 0x0/{mask:#x} -j DROP"


def ways() -> tuple[str, str]:
    """Write the rules that lead a packet into the generation in force: the group is asked for once, so it meets one."""
    lead = f"-A FORWARD -i {DEVICE} -o {DEVICE}"
    return f"{lead} -m devgroup --src-group {FIRST:#x} -g cut-1", f"{lead} -g cut-2"
