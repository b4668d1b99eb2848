"""What there is of a cut: whether the kernel can cut, whether a cut stands, and what it has dropped."""

from __future__ import annotations

import os
from typing import Any

from vnet.cuts.step import SWITCHES, CutStep
from vnet.engine.codec import decode
from vnet.kernel import namespace
from vnet.kernel.runner import capture, pin

#: Looks for what a cut needs, in the order in which it would fail.
HELP = (
    "this kernel leads no bridged packets through iptables: br_netfilter is missing; "
    "'modprobe br_netfilter' as root loads it"
)


def needs(netns: str) -> str:
    """Say what this kernel lacks for a cut, or nothing. Matches that it lacks make the restore fail, as a whole."""
    with namespace.network(pin(netns)):
        return "" if all(os.path.exists(f"/proc/sys/{key}") for key in SWITCHES) else HELP


def stands(step: dict[str, Any]) -> bool:
    """Tell whether the rules of a cut, and no others, are loaded, and the switches as they should be."""
    wanted: CutStep = decode(CutStep, step)
    netns = wanted.lab.netns
    if _switched(netns) is not bool(wanted.blocks):
        return False
    rules = sorted(" ".join(line.split()) for line in wanted.table().splitlines() if line.startswith("-A"))
    return all(sorted(_rules(tool, netns)) == rules for tool in ("iptables", "ip6tables"))


def _switched(netns: str) -> bool | None:
    """Tell whether br_netfilter is on; None where one family's switch says this and the other's that."""
    values = set()
    with namespace.network(pin(netns)):
        for key in SWITCHES:
            try:
                with open(f"/proc/sys/{key}", encoding="ascii") as file:
                    values.add(file.read().strip())
            except FileNotFoundError:
                values.add("0")
    return values.pop() == "1" if len(values) == 1 else None


def _rules(tool: str, netns: str) -> list[str]:
    """List the rules of the mangle table."""
    saved = capture((f"{tool}-save", "-t", "mangle"), netns).splitlines()
    return [" ".join(line.split()) for line in saved if line.startswith("-A")]


def counts(netns: str) -> list[tuple[str, str, int]]:
    """List what was dropped: the rule's chain, the port that it names, and the packets of both families."""
    found: dict[tuple[str, str], int] = {}
    for tool in ("iptables", "ip6tables"):
        for line in capture((f"{tool}-save", "-c", "-t", "mangle"), netns).splitlines():
            words = line.split()
            if words[-2:] == ["-j", "DROP"] and words[0].startswith("["):
                key = (words[2], words[words.index("-j") - 1])
                found[key] = found.get(key, 0) + int(words[0][1:].partition(":")[0])
    return [(chain, port, packets) for (chain, port), packets in found.items()]
