"""What there is of a cut: whether the kernel can cut, which generation is in force, and what it has dropped."""

from __future__ import annotations

import os
from typing import Any

from vnet.bridge import DEVICE
from vnet.codec import decode
from vnet.cuts.step import FAMILIES, FIRST, LAST, SWITCHES, CutStep, ways
from vnet.errors import CommandError
from vnet.kernel import namespace
from vnet.kernel.marks import pin
from vnet.kernel.runner import capture

#: What a kernel lacks, and how to get it.
NO_BRIDGED = (
    "this kernel leads no bridged packets through iptables, so nothing can be cut: br_netfilter is missing; "
    "'modprobe br_netfilter' as root loads it"
)
NO_MATCH = (
    "iptables lacks the match {0!r} on this machine, so nothing can be cut: 'modprobe xt_{0}' as root loads it into the "
    "kernel, and iptables's own part of it is libxt_{0}.so"
)
#: Matches that the rules of a cut use, each with options that it takes.
MATCHES = {
    "physdev": ("--physdev-is-bridged",),
    "time": ("--datestop", LAST),
    "devgroup": ("--src-group", "1"),
}


def now(netns: str, *, cuts: bool) -> dict[str, Any]:
    """Tell the generation in force (0: none), the chains that stand, and what is lacking for a step that `cuts`.

    Where a cut is in force already, nothing is lacking.
    """
    switched = _switched(netns)
    if switched is False:
        return {"live": 0, "left": [], "lacks": _lacks(netns) if cuts else ""}
    listed = capture(("iptables", "-t", "mangle", "-S"), netns, may_fail=True).splitlines()
    return {"live": _live(netns), "left": [line.split()[1] for line in listed if line.startswith("-N ")], "lacks": ""}


def _lacks(netns: str) -> str:
    """Say what is lacking for a cut. A rule is looked for that uses all that a cut needs."""
    with namespace.network(pin(netns)):
        if not all(os.path.exists(f"/proc/sys/{key}") for key in SWITCHES):
            return NO_BRIDGED
    words = (word for match, options in MATCHES.items() for word in ("-m", match, *options))
    try:
        said = capture(("iptables", "-t", "mangle", "-C", "FORWARD", *words), netns)
    except CommandError as error:
        said = str(error)
    lacking = (match for match in MATCHES if f"match `{match}'" in said or f"Extension {match} " in said)
    return next(map(NO_MATCH.format, lacking), "")


def _live(netns: str) -> int:
    """Tell the generation that packets are led into."""
    link = capture(("ip", "-o", "link", "show", "dev", DEVICE), netns).split()
    return 1 if link[link.index("group") + 1] == str(FIRST) else 2


def stands(step: dict[str, Any]) -> bool:
    """Tell whether the rules of a cut, and no others, are in force, and the switches as they should be."""
    wanted: CutStep = decode(CutStep, step)
    netns = wanted.lab.netns
    if _switched(netns) is not bool(wanted.blocks):
        return False
    if not wanted.blocks:
        return True
    live = _live(netns)
    loaded = wanted._replace(live=3 - live)
    return all(sorted(_rules(tool, netns, live)) == sorted((*ways(), *loaded.rules(tool))) for tool in FAMILIES)


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


def _rules(tool: str, netns: str, live: int) -> list[str]:
    """List the rules of the mangle table that concern the generation in force."""
    saved = capture((f"{tool}-save", "-t", "mangle"), netns).splitlines()
    other = f"cut-{3 - live}"
    rules = ((line.split()[1], " ".join(line.split())) for line in saved if line.startswith("-A "))
    return [rule for chain, rule in rules if chain != other and not chain.startswith(f"{other}-")]


def counts(netns: str) -> list[tuple[str, str, int, int]]:
    """List what was dropped: the rule's chain (`to-PORT`, `word-N`), its port, its mask, the packets of both families."""
    found: dict[tuple[str, str, int], int] = {}
    top = f"cut-{_live(netns)}-"
    for tool in FAMILIES:
        for line in capture((f"{tool}-save", "-c", "-t", "mangle"), netns).splitlines():
            words = line.split()
            if words[-2:] == ["-j", "DROP"] and words[2].startswith(top):
                mask = int(words[words.index("--mark") + 1].partition("/")[2], 16) if "--mark" in words else 0
                key = (words[2].removeprefix(top), words[6], mask)
                found[key] = found.get(key, 0) + int(words[0][1:].partition(":")[0])
    return [(*key, packets) for key, packets in found.items()]
