"""Builders for `iptables` and `iptables-restore`, and the tables that vnet owns.

In the gateway and in a bridge the tables are vnet's and are restored whole, each in one atomic step. On the
host only chains of vnet's own name are touched, and the rules that jump to them.
"""

from __future__ import annotations

from collections.abc import Iterable

from vnet.command import HOST, Command

#: Accepts what answers to something that was let through before; written as iptables-save(8) writes it, to be compared.
ANSWERS = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
#: Accepts what a forwarded port has turned aside.
FORWARDED = "-m conntrack --ctstate DNAT -j ACCEPT"
#: Seconds that `iptables` waits for another one's lock.
WAIT_S = "10"


def table(name: str, chains: Iterable[str], rules: Iterable[str]) -> str:
    """Write one table as iptables-restore(8) reads it; a chain is `NAME POLICY`, with `-` for a chain of one's own."""
    lines = (f"*{name}", *(f":{chain} [0:0]" for chain in chains), *rules, "COMMIT", "")
    text = "\n".join(lines)
    if text.count("\n") != len(lines) - 1:
        raise ValueError(f"a line break in a rule of the table {name}")
    return text


def restore(tables: str, *, netns: str = HOST, flush: bool = False, tool: str = "iptables") -> Command:
    """Load tables, of IPv6 with `ip6tables`; chains that are named are emptied first, with `flush` the whole tables are."""
    keep = () if flush else ("--noflush",)
    return Command((f"{tool}-restore", "--wait", WAIT_S, *keep), netns, tables)


def load(*tables: str, netns: str, new: bool) -> Command:
    """Load tables, each in one atomic step, in place of what they hold; the one that sets a policy is best the last.

    In a namespace that is `new`, where they hold nothing, they only add, but for policies other than the kernel's own (ACCEPT).
    iptables-nft(8) opens and closes sockets as it goes, and where something was changed or flushed before, each of these
    waits for the kernel to be done with what was there (a grace period of RCU, some 13 ms): 22 to 54 ms for two tables
    became 11 to 30.
    """
    text = "".join(tables)
    if not new:
        return restore(text, netns=netns, flush=True)
    lines = (line for line in text.splitlines(keepends=True) if not (line[0] == ":" and " ACCEPT " in line))
    return restore("".join(lines), netns=netns)


def save_to(path: str) -> Command:
    """Write down all rules of the host in a file."""
    return Command(("iptables-save", "--file", path))


def delete(table_name: str, rule: str) -> Command:
    """Delete one rule of the host, given as in `iptables -D`."""
    return Command(("iptables", "--wait", WAIT_S, "-t", table_name, "-D", *rule.split()), tidies=True)


def drop_chains(table_name: str, *chains: str) -> str:
    """Write a table that empties and deletes chains of the host, there or not, in one transaction."""
    return table(table_name, (f"{chain} -" for chain in chains), (f"-X {chain}" for chain in chains))
