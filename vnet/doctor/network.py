"""Checks of the networks around a lab: addresses, routes, names, firewalls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network

from vnet.config.settings import Settings
from vnet.doctor.facts import Facts, unseen
from vnet.doctor.said import Said, ok
from vnet.engine.files import resolv_conf
from vnet.host import ENTRIES
from vnet.kernel.clash import WIDEST, ClashError

#: Networks for guests and bridges, tried in this order where the one in the settings is taken.
CHOICES = ("172.18.0.0", "172.19.0.0", "172.30.0.0", "10.213.0.0", "192.168.192.0", "100.96.192.0")


def settings(facts: Facts) -> Iterator[Said]:
    """Check the settings that hold here."""
    for mistake in facts.mistakes:
        yield Said("fail", mistake, "see docs/settings.md")
    if facts.settings:
        yield ok(f"{facts.settings.file or 'no vnet.toml here'}: lab {facts.settings.name}")


def clash(facts: Facts) -> Iterator[Said]:
    """Check the host's address, its /30 and the interface's name: free, or held by whom."""
    found = facts.clash
    if isinstance(found, ClashError):
        alone = set(found.choice) == {"host.ip"}  # the one that the environment can say
        yield Said("fail", found.what, f"export VNET_HOST_IP={found.choice['host.ip']}" if alone else found.how)
    elif found:
        yield Said("fail", str(found), "vnet-down --all --gateway")
    elif facts.settings:
        host = facts.settings.host
        yield ok(f"{host.ip} and {host.interface} are {'vnet’s' if facts.gateway_up else 'free'}")


def routes(facts: Facts) -> Iterator[Said]:
    """Check for networks of the host, a VPN's above all, that guests can't reach, as a lab has their addresses."""
    if not facts.settings:
        return
    own = {"networks.guests": facts.settings.networks.guests, "networks.bridges": facts.settings.networks.bridges}
    hidden = False
    for each in facts.routes:
        keys = [key for key, mine in own.items() if each.network.overlaps(mine)]
        if keys and each.network.prefixlen >= WIDEST and each.dev not in facts.marks:
            hidden = True
            what = " and ".join(f"{key} {own[key]}" for key in keys)
            yield Said("warn", f"guests can't reach {each.network} of {each.holder}: it overlaps {what}",
                       f"set {' and '.join(_free(facts, facts.settings, keys))}")  # fmt: skip
    if not hidden:
        whole = sorted({each.holder for each in facts.routes if each.vpn and each.network.prefixlen < WIDEST})
        vpns = f"; labs reach the internet through {', '.join(whole)}, as the host does" if whole else ""
        yield ok(f"none of the host's networks is hidden by a lab's{vpns}")


def _free(facts: Facts, wanted: Settings, keys: Sequence[str]) -> Iterator[str]:
    """Choose networks for these keys that neither the host has a route to, nor another setting says."""
    own = {"networks.guests": wanted.networks.guests, "networks.bridges": wanted.networks.bridges}
    taken = [IPv4Network(f"{wanted.host.ip}/30", strict=False), *(own[key] for key in own if key not in keys)]
    taken += [each.network for each in facts.routes if each.network.prefixlen >= WIDEST]
    for key in keys:
        wide = (IPv4Network(f"{each}/{own[key].prefixlen}", strict=False) for each in CHOICES)
        found = next((each for each in wide if not any(map(each.overlaps, taken))), None)
        taken += [found] if found else []
        yield f'{key} = "{found or "ANOTHER"}"'


def resolver(facts: Facts) -> Iterator[Said]:
    """Check the servers that guests resolve names with: the host's loopback is out of their reach."""
    if not facts.settings:
        return
    dns = str(facts.settings.host.dns)
    servers = [line.split()[1] for line in resolv_conf(dns, list(facts.resolv)).splitlines() if "nameserver " in line]
    if dns == "off" or servers:
        yield ok(f"guests ask {' '.join(servers)}" if servers else "host.dns is off")
    else:
        there = [
            word for line in "\n".join(facts.resolv).splitlines() if "nameserver" in line for word in line.split()[1:2]
        ]
        who = (
            f"only {', '.join(dict.fromkeys(there))} is known, which guests can't reach"
            if there
            else "no server is known"
        )
        yield Said(
            "warn", f"names outside of the lab don't resolve in guests: {who}", 'set host.dns = "ADDRESS OF A SERVER"'
        )


def forwarding(facts: Facts) -> Iterator[Said]:
    """Check for firewalls that drop what is forwarded: Docker's policy, the other back end's, nftables' own."""
    if facts.rules is None:
        yield Said("note", f"the firewall was not looked at: {unseen(facts)}", "sudo vnet-doctor")
        return
    drops = [backend for backend, text in facts.rules.items() if ":FORWARD DROP" in text or ":FORWARD REJECT" in text]
    who = "Docker" if any("DOCKER" in text for text in facts.rules.values()) else "a firewall"
    others = [backend for backend in drops if backend != facts.backend]
    if others:
        yield Said("warn", f"{who} drops what is forwarded, in iptables-{others[0]}; vnet's rules are in iptables-{facts.backend}, "
                   "and don't override it", f"sudo update-alternatives --set iptables /usr/sbin/iptables-{others[0]}")  # fmt: skip
    yield from (_table(chain) for chain in facts.chains or () if _closed(chain))
    if not others and not any(map(_closed, facts.chains or ())):
        yield ok(
            f"{who} drops what is forwarded; vnet's rules stand before it" if drops else "nothing drops what labs send"
        )


def _closed(chain: dict[str, object]) -> bool:
    """Tell whether a chain of nftables drops what is forwarded, and is none of iptables'."""
    of_iptables = chain.get("table") == "filter" and chain.get("family") in ("ip", "ip6")
    return (
        chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and not of_iptables
        and chain["family"] != "ip6"
    )


def _table(chain: dict[str, object]) -> Said:
    """Say which table drops what labs send, and how to let it through."""
    where = f"{chain['family']} {chain['table']} {chain['name']}"
    accept = "\\; ".join(f"insert rule {where} {way} vnet accept" for way in ("iifname", "oifname"))
    return Said(
        "warn", f"nftables' chain {where} drops what is forwarded, whatever vnet's rules say", f"sudo nft {accept}"
    )


def firewalld(facts: Facts) -> Iterator[Said]:
    """Check for firewalld, which rejects what comes from an interface of no zone."""
    name = facts.settings.host.interface if facts.settings else "vnet"
    if "firewalld" in facts.running:
        yield Said("warn", "firewalld runs: it rejects what labs send out, unless their interface is in a trusted zone",
                   f"sudo firewall-cmd --permanent --zone=trusted --add-interface={name} && sudo firewall-cmd --reload")  # fmt: skip
    else:
        yield ok("it does not run")


def back_ends(facts: Facts) -> Iterator[Said]:
    """Check the two back ends of iptables: rules in both hold at once, and each tool shows its own alone."""
    rules = {name: text.count("\n-A ") for name, text in (facts.rules or {}).items()}
    if sum(map(bool, rules.values())) > 1:
        most = max(rules, key=lambda name: rules[name])
        yield Said("warn", f"rules in both: {rules['nft']} in iptables-nft, {rules['legacy']} in iptables-legacy; all of them hold",
                   f"sudo update-alternatives --set iptables /usr/sbin/iptables-{most}")  # fmt: skip
    elif facts.rules is not None:
        yield ok(f"iptables is iptables-{facts.backend}, and no rules are in the other one")


def neighbours(facts: Facts) -> Iterator[Said]:
    """Check the kernel's table of neighbours, one for all namespaces: full, it lets guests reach nobody new."""
    size, enough = facts.sysctls.get("net/ipv4/neigh/default/gc_thresh3", ""), ENTRIES[1]
    if facts.refused_neighbours and int(size or 0) < enough:
        yield Said("warn", f"the table has been full {facts.refused_neighbours} times; it holds {size or 'too few'}",
                   f"sudo sysctl -w net.ipv4.neigh.default.gc_thresh3={enough}")  # fmt: skip
    else:
        yield ok(f"room for {size}, beside those that vnet makes itself" if size else "it has never been full")
