"""The host: one veth, one address, and the rules that let labs out and nobody in.

Everything here runs as root on the machine itself; nothing else does.
"""

from __future__ import annotations

from typing import NamedTuple

from vnet.command import Command, Maker, Script, Stages, Write
from vnet.kernel.marks import (
    CLOSED_MARK,
    FORWARDING_MARK,
    PINS,
    PINS_MARK,
    RUN,
    TABLES_MARK,
    USER_PINS,
    link_mark,
    pins_folder,
    state_folder,
)
from vnet.model import GATEWAY_LINK, Gateway
from vnet.tools import ip, iptables, mount

#: The port that the packets come from which tell whether the host's rules still stand (RFC 862); see `observe.echo`.
ECHO = 7
#: The kernel's tables of neighbours, one for all namespaces, and how many entries they may hold while labs are up: 1,024 are
#: the kernel's own limit (gc_thresh3, arp(7)), and a full mesh of 33 guests fills it.
TABLES = tuple(f"net/{family}/neigh/default/gc_thresh{number}" for family in ("ipv4", "ipv6") for number in (2, 3))
ENTRIES = (16384, 65536, 16384, 65536)
#: Is there where br_netfilter is loaded: then bridged packets pass through the host's forward chain, too.
BRIDGE_FILTER = "/proc/sys/net/bridge"
#: Drops what a host that did not forward before vnet would forward now.
CLOSED = "VNET-CLOSED"


class StateStep(NamedTuple):
    """The folders that a user's records are kept in."""

    uid: int
    gid: int

    def up(self) -> Stages:
        """Make them; it is no error that they are there."""
        owner = ("-o", str(self.uid), "-g", str(self.gid))
        return (
            ((
                Command(("install", "-d", "-m", "0755", "-o", "0", "-g", "0", RUN)),
                Command(("install", "-d", "-m", "0700", *owner, state_folder(self.uid))),
            ),),
        )  # fmt: skip

    def down(self) -> Stages:
        """Remove them: the records are gone by then. They get another name first, lest a new vnet locks what is about to go."""
        folder, old = state_folder(self.uid), f"{state_folder(self.uid)}.old"
        remove = ("rm", "-rf", "--one-file-system", "--")
        rename = Command(("mv", "-T", "--", folder, old), tidies=True)
        return (((Command((*remove, old)), rename, Command((*remove, old)), Command(("rmdir", "--", RUN))),),)


class HostStep(NamedTuple):
    """The host's end of the gateway, and for `userns` the namespaces that the labs will live in.

    `closes`: the host did not forward packets before, so what is not a lab's is dropped. `mends`: some of the
    rules may stand already. `namespaces` and `link` say what is to be made; what is not, stands and is only set right.
    `folder`: /run/netns is vnet's own, made by it and empty, and goes as well. `mark`: what the link's mark says. `bridged`: what
    the host's bridges carry passes through its forward chain and is let alone. `tables`: what the `TABLES` were set to
    before any vnet, empty for let alone. `relied`: others rely on it that the host forwards, so it goes on. `forwarding`: what
    turning that on changes besides, as it was before any vnet (`kernel/forwarding.py`): links
    that forwarded stay open. `chains`: others' chains of nftables that stood then.
    """

    gateway: Gateway
    closes: bool
    mends: bool = False
    namespaces: bool = True
    link: bool = True
    folder: bool = False
    mark: str = ""
    bridged: bool = False
    tables: tuple[int, ...] = ()
    relied: bool = False
    forwarding: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()

    def check(self) -> None:
        """Hold names to what a rule and a path can have in them."""
        from vnet.kernel.forwarding import CHAIN, NAME

        if not all(NAME.fullmatch(name) and name not in (".", "..") for name in self.forwarding):
            raise ValueError(f"{self.forwarding}: not names of links")
        if not all(map(CHAIN.fullmatch, self.chains)):
            raise ValueError(f"{self.chains}: not names of chains")

    def up(self) -> Stages:
        """Make link, address and rules, the rules before the switch that needs them."""
        namespaces = (self._mark(), *self._folder(), *self._namespaces(), *self._widened()) if self.namespaces else ()
        return ((namespaces,), (self._link() if self.link else self._settings(),), (self._firewall(),))

    def down(self) -> Stages:
        """Take all of it away, the link first: its name is free when this returns; the marks that it is vnet's last."""
        gateway = self.gateway
        switch = (Write("net/ipv4/ip_forward", "0"), *self._forwarding()) if self.closes and not self.relied else ()
        rules: Script = (*self._unjump(), *self._unchain(), *switch)
        unpin = self._unpin() if self.namespaces else ()
        folder = (mount.umount(PINS), Command(("rmdir", "--", PINS))) if self.folder else ()
        unmark = tuple(Command(("rm", "-f", "--", *marks), last=True) for marks in self._marks() if marks)
        return (((ip.link_del(gateway.interface),),), (rules,), ((*unpin, *folder, *self._narrowed(), *unmark),))

    def _marks(self) -> tuple[tuple[str, ...], ...]:
        """Name the marks that go; that of the link, without which nothing more is taken away, when the others are gone."""
        half = f"{CLOSED_MARK}.{self.gateway.uid}"  # written by one that was killed
        closed = (FORWARDING_MARK, CLOSED_MARK) if self.closes else ()
        folder = (PINS_MARK,) if self.folder else ()
        return (half, *closed, *folder), (link_mark(self.gateway),) if self.namespaces else ()

    def _mark(self) -> Command:
        """Tell whose all this will be, before there is anything of it: without this mark nothing is taken away."""
        return Command(("install", "-m", "0444", "/dev/stdin", link_mark(self.gateway)), stdin=f"{self.mark}\n")

    def _namespaces(self) -> Script:
        """Make the gateway's namespace, and where the caller has no rights of his own, the ones that give him some."""
        gateway = self.gateway
        if gateway.way != "userns":
            return (ip.netns_add(gateway.netns),)
        folder = pins_folder(gateway.uid)
        caller = ("setpriv", f"--reuid={gateway.uid}", f"--regid={gateway.gid}", "--init-groups")
        himself = ("unshare", "--user", f"--map-user={gateway.uid}", f"--map-group={gateway.gid}")
        inside = ("nsenter", f"--user={folder}/user", "--preserve-credentials")
        admin = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--propagation", "slave")
        files = tuple(f"{folder}/{name}" for name in USER_PINS)
        return (
            *_unmount(folder),
            Command(("install", "-d", "-m", "0755", folder, PINS)),
            mount.bind(folder, folder),
            mount.make_private(folder),
            Command(("touch", "--", *files)),
            Maker((*caller, *himself, "cat"), (("user", f"{folder}/user"),)),
            Maker((*caller, *inside, *admin, "cat"),
                  (("mnt", f"{folder}/mnt"), ("user", f"{folder}/admin"), ("net", f"{folder}/gateway"))),
        )  # fmt: skip

    def _folder(self) -> Script:
        """Remember that /run/netns is vnet's own."""
        return (Command(("install", "-m", "0444", "/dev/null", PINS_MARK)),) if self.folder else ()

    def _widened(self) -> Script:
        """Let the tables of neighbours hold more, and keep what was set before."""
        if not self.tables:
            return ()
        keep = Command(
            ("install", "-m", "0444", "/dev/stdin", TABLES_MARK), stdin=f"{' '.join(map(str, self.tables))}\n"
        )
        return (keep, *_tables(widened(self.tables)))

    def _narrowed(self) -> Script:
        """Put back what the tables of neighbours were set to."""
        return (*_tables(self.tables), Command(("rm", "-f", TABLES_MARK))) if self.tables else ()

    def _link(self) -> Script:
        """Make the veth; the host takes no IPv6 from labs (router advertisements)."""
        gateway = self.gateway
        peer = f"{pins_folder(gateway.uid)}/gateway" if gateway.way == "userns" else gateway.netns
        return (
            ip.veth_add(gateway.interface, GATEWAY_LINK, netns="", peer_netns=peer, mtu=gateway.mtu,
                        mac=gateway.host_mac, peer_mac=gateway.mac, up=False),
            *self._settings(),
        )  # fmt: skip

    def _settings(self) -> Script:
        """Set what a standing link may have lost as well."""
        gateway = self.gateway
        return (
            Write(f"net/ipv6/conf/{gateway.interface}/disable_ipv6", "1", optional=True),
            Write(
                f"net/ipv4/conf/{gateway.interface}/rp_filter", "1"
            ),  # what comes from there has the gateway's address
            ip.link_set(gateway.interface, mtu=gateway.mtu),
            ip.address_replace(gateway.host, gateway.interface),
            ip.neighbour_replace(gateway.ip, gateway.mac, gateway.interface),
        )

    def _firewall(self) -> Script:
        """Let labs out, answers in, nothing else; then forward."""
        if not self.gateway.iptables:
            return ()
        again: Script = self._unjump() if self.mends else ()
        new = f"{CLOSED_MARK}.{self.gateway.uid}"
        name = Command(("mv", "--no-clobber", "-T", "--", new, CLOSED_MARK))
        keep = Command(
            ("install", "-m", "0444", "/dev/stdin", FORWARDING_MARK),
            stdin=f"{' '.join(self.forwarding)}\n{' '.join(self.chains)}\n",
        )
        save = (iptables.save_to(new), name, Command(("rm", "-f", "--", new)), keep)
        mark = save if self.closes else ()
        return (*mark, *again, iptables.restore(self._filter() + self._nat()), Write("net/ipv4/ip_forward", "1"))

    @property
    def _chain(self) -> str:
        return f"VNET-{self.gateway.interface}"

    def _filter(self) -> str:
        """At the top of the chain that other tools use too: an accept in another one would not override theirs."""
        name, chain = self.gateway.interface, self._chain
        bridged = (f"-A {CLOSED} -m physdev --physdev-is-bridged -j RETURN",) if self.bridged else ()
        open_links = (f"-A {CLOSED} -i {link} -j RETURN" for link in self.forwarding if link not in ("all", "default"))
        closed = (*bridged, *open_links, f"-A {CLOSED} -j DROP", f"-A FORWARD -j {CLOSED}") if self.closes else ()
        rules = (
            f"-A {chain} -i {name} -o {name} -p tcp -j REJECT --reject-with tcp-reset",
            f"-A {chain} -i {name} -o {name} {iptables.FORWARDED}",
            f"-A {chain} -s {self.gateway.ip}/32 -i {name} ! -o {name} -j ACCEPT",
            f"-A {chain} -o {name} {iptables.ANSWERS}",
            f"-A {chain} -o {name} -j DROP",
            f"-A {chain} -i {name} -j DROP",
            f"-I FORWARD 1 -j {chain}",
            f"-A {chain}-IN -d 127.0.0.0/8 -j DROP",  # else let in by route_localnet, which some set for all links
            f"-I INPUT 1 -i {name} -j {chain}-IN",
            *closed,
        )
        chains = (f"{chain} -", f"{chain}-IN -", *((f"{CLOSED} -",) if self.closes else ()))
        return iptables.table("filter", chains, rules)

    def _nat(self) -> str:
        """Labs go out with the host's address; the echo turns round."""
        name, gateway, chain = self.gateway.interface, self.gateway.ip, self._chain
        echo = f"-s {gateway}/32 -d {self.gateway.host_ip}/32 -p"
        turned = "-j DNAT --to-destination"
        rules = (
            f"-A {chain} -s {gateway}/32 ! -o {name} -j MASQUERADE",
            f"-A {chain} -s {gateway}/32 -d {gateway}/32 -o {name} -m conntrack --ctstate DNAT -j MASQUERADE",  # the echo alone
            f"-A {chain}-IN {echo} udp --sport {ECHO} {turned} {gateway}",
            f"-A {chain}-IN {echo} tcp --sport {ECHO} --dport {ECHO} {turned} {gateway}:{ECHO + 1}",
            f"-A PREROUTING -i {name} -j {chain}-IN",
            f"-A POSTROUTING -j {chain}",
        )
        return iptables.table("nat", (f"{chain} -", f"{chain}-IN -"), rules)

    def _unjump(self) -> Script:
        """Delete the rules that lead to vnet's chains."""
        name, chain = self.gateway.interface, self._chain
        closed = (iptables.delete("filter", f"FORWARD -j {CLOSED}"),) if self.closes else ()
        if not self.gateway.iptables:
            return closed
        return (
            iptables.delete("filter", f"FORWARD -j {chain}"),
            *closed,
            iptables.delete("filter", f"INPUT -i {name} -j {chain}-IN"),
            iptables.delete("nat", f"PREROUTING -i {name} -j {chain}-IN"),
            iptables.delete("nat", f"POSTROUTING -j {chain}"),
        )

    def _unchain(self) -> Script:
        """Delete vnet's chains."""
        closed = (CLOSED,) if self.closes else ()
        own = (self._chain, f"{self._chain}-IN") if self.gateway.iptables else ()
        filters = iptables.drop_chains("filter", *own, *closed) if own or closed else ""
        nat = iptables.drop_chains("nat", *own) if own else ""
        return (iptables.restore(filters + nat),) if filters else ()

    def _forwarding(self) -> Script:
        """Put back what the switch has changed besides; links may be gone."""
        links = (name for name in self.forwarding if name != "all")
        redirects = "1" if "all" in self.forwarding else "0"
        return (
            Write("net/ipv4/conf/all/accept_redirects", redirects),
            *(Write(f"net/ipv4/conf/{name}/forwarding", "1", optional=True) for name in links),
        )

    def _unpin(self) -> Script:
        """Let the namespaces go."""
        gateway = self.gateway
        if gateway.way != "userns":
            return (ip.netns_del(gateway.netns),)
        folder = pins_folder(gateway.uid)
        return (*_unmount(folder), Command(("rm", "-rf", "--one-file-system", "--", folder)))


def widened(tables: tuple[int, ...]) -> tuple[int, ...]:
    """Tell what the tables of neighbours are set to while labs are up: never less than before."""
    return tuple(map(max, tables, ENTRIES))


def _tables(values: tuple[int, ...]) -> Script:
    """Set the tables of neighbours."""
    return tuple(Write(key, str(value)) for key, value in zip(TABLES, values, strict=True))


def _unmount(folder: str) -> Script:
    """Detach a folder of pins with all that is in it; where a killed vnet mounted it once more, that as well."""
    once = mount.umount(folder)._replace(tidies=True)
    return (once, once)
