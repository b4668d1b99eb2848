"""What the kernel can do, tried in a throwaway network namespace, with rules and links of vnet's own sort.

Nothing of it is left: the namespaces end with the process that is in them. The kernel may load modules for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import NamedTuple

from vnet.command import Command
from vnet.errors import CommandError
from vnet.kernel import namespace, runner
from vnet.kernel.path import tool
from vnet.tools import iptables


class Feature(NamedTuple):
    """One thing that the kernel has to know: what it is for, how it is tried, and the module that brings it.

    `needed`: no lab without it. `rule`: a table, and a rule in it. `argv`: a command. `key`: a setting below /proc/sys.
    """

    name: str
    purpose: str
    module: str
    needed: bool = True
    rule: tuple[str, str] | None = None
    argv: tuple[str, ...] = ()
    key: str = ""
    tool: str = "iptables"


def _cut(name: str, what: str, rule: str, tool: str = "iptables") -> Feature:
    """Describe a match that only cuts need."""
    return Feature(name, "network splits", what, needed=False, rule=("mangle", rule), tool=tool)


PORTS = "-m physdev --physdev-in x1x1 --physdev-out x1x2 --physdev-is-bridged -j DROP"
FEATURES = (
    Feature("veth", "links", "veth", argv=("ip", "link", "add", "name", "vnet0", "type", "veth")),
    Feature("bridge", "bridges", "bridge", argv=("ip", "link", "add", "name", "vnet1", "type", "bridge")),
    Feature("forwarding", "gateways", "", key="net/ipv4/ip_forward"),
    Feature("conntrack", "answers from outside", "xt_conntrack", rule=("filter", f"FORWARD {iptables.ANSWERS}")),
    Feature("reject", "a firewall that says no", "ipt_REJECT", rule=("filter", "FORWARD -p tcp -j REJECT --reject-with tcp-reset")),
    Feature("masquerade", "the way to the internet", "xt_MASQUERADE", rule=("nat", "POSTROUTING -j MASQUERADE")),
    Feature("dnat", "forwarded ports", "xt_nat", rule=("nat", "PREROUTING -p tcp --dport 1 -j DNAT --to-destination 192.0.2.1:1")),
    _cut("mangle", "iptable_mangle", "FORWARD -j DROP"),
    Feature("br_netfilter", "network splits", "br_netfilter", needed=False, key="net/bridge/bridge-nf-call-iptables"),
    _cut("physdev", "xt_physdev", f"FORWARD {PORTS}"),
    _cut("devgroup", "xt_devgroup", "FORWARD -m devgroup --src-group 0x1 -j DROP"),
    _cut("mark", "xt_mark", "FORWARD -m mark ! --mark 0x0/0x1 -j MARK --set-xmark 0x1/0xffffffff"),
    _cut("time", "xt_time", "FORWARD -m time --datestart 2038-01-19T03:14:07 -j DROP"),
    _cut("ip6tables", "ip6table_mangle", f"FORWARD {PORTS}", "ip6tables"),
)  # fmt: skip
NAMESPACES = "namespaces"


def features(*, userns: bool) -> dict[str, str]:
    """Try all, in a process of its own; gives why it failed for each, empty where it did not.

    `userns`: in a new user namespace, where the caller is root. Where no namespaces can be made, that alone is told.
    """
    return dict(_apart(lambda: _tried(os.getuid(), os.getgid(), userns=userns)))


def _tried(uid: int, gid: int, *, userns: bool) -> dict[str, str]:
    """Go into new namespaces, for good, and try."""
    try:
        kinds = namespace.NEWNET | namespace.NEWNS
        namespace.unshare(kinds | (namespace.NEWUSER if userns else 0))
        if userns:
            for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                    file.write(text)
        namespace.mount("none", "/", flags=namespace.MS_SLAVE | namespace.MS_REC)
        namespace.mount("none", "/run", "tmpfs")  # with room for the lock of iptables
    except OSError as error:
        return {NAMESPACES: error.strerror or str(error)}
    return {NAMESPACES: "", **{each.name: _try(each) for each in FEATURES}}


def _try(feature: Feature) -> str:
    """Try one; gives why it failed."""
    if feature.key:
        return "" if os.access(f"/proc/sys/{feature.key}", os.W_OK) else f"there is no /proc/sys/{feature.key}"
    argv, text = feature.argv, ""
    if feature.rule:
        argv, text = (
            (f"{feature.tool}-restore", "--noflush"),
            iptables.table(feature.rule[0], (), (f"-A {feature.rule[1]}",)),
        )
    try:
        runner.run((((Command(argv, stdin=text),),),))
    except CommandError as error:
        return str(error).replace("\n", " ")
    return ""


def rules() -> dict[str, str]:
    """List the rules of both back ends of iptables, as root; one whose tools are not there has none."""
    found = {}
    for backend in ("nft", "legacy"):
        try:
            tool(f"iptables-{backend}-save")
        except CommandError:
            continue
        found[backend] = runner.capture((f"iptables-{backend}-save",), may_fail=True)
    return found


def _apart(act: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Do something in a forked process, which ends with it."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            with os.fdopen(write, "w") as file:
                json.dump(act(), file)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return json.loads(said) if said else {NAMESPACES: "the process that tried it ended"}
