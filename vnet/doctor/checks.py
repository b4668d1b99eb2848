"""The table of checks: each is one pure function from the facts to what is to be said, and one row.

A new check is a function in `machine.py` or `network.py`, a row here, a line in docs/doctor.md, and, if it takes one, a fact in
`facts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from vnet.doctor import machine, network
from vnet.doctor.facts import Facts
from vnet.doctor.said import Said

#: Each check by its name, in the order in which they are told.
CHECKS: dict[str, Callable[[Facts], Iterator[Said]]] = {
    "python": machine.python,
    "tools": machine.tools,
    "rights": machine.rights,
    "user namespaces": machine.user_namespaces,
    "kernel": machine.kernel,
    "settings": network.settings,
    "addresses": network.clash,
    "routes": network.routes,
    "resolver": network.resolver,
    "forwarding": network.forwarding,
    "firewalld": network.firewalld,
    "iptables": network.back_ends,
    "neighbours": network.neighbours,
    "leftovers": machine.leftovers,
}


class Finding(NamedTuple):
    """What one check said."""

    check: str
    said: Said


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Make all checks."""
    return tuple(Finding(name, said) for name, check in CHECKS.items() for said in check(facts))


def can(findings: tuple[Finding, ...]) -> bool:
    """Tell whether a lab can be made."""
    return all(said.level != "fail" for _, said in findings)
