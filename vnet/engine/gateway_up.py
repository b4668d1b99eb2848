"""The way up of the gateway: made where there is none, mended where it stands."""

from __future__ import annotations

import os

from vnet.config.settings import Settings
from vnet.engine import files, plan
from vnet.engine.context import Context, must, say_all
from vnet.engine.record import GatewayRecord, text_of
from vnet.engine.take_down import remove_gateway, remove_strays
from vnet.errors import UsageError
from vnet.gateway import GatewayStep
from vnet.host import BRIDGE_FILTER, HostStep, StateStep
from vnet.kernel import forwarding, observe, tables
from vnet.kernel.marks import CLOSED_MARK, PINS, pins_stand
from vnet.model import Gateway


def gateway_for(context: Context, settings: Settings) -> Gateway:
    """Tell which gateway these settings need; refuses it where another one stands, which all labs share."""
    host, networks = settings.host, settings.networks
    wanted = Gateway(context.records.uid, os.getgid(), context.rights.way, host.interface, host.ip, networks.bridges,
                     networks.mtu, host.iptables)  # fmt: skip
    record = context.gateway()
    for field, key in (("host_ip", "host.ip"), ("interface", "host.interface"), ("bridges", "networks.bridges")):
        asked, now = getattr(wanted, field), getattr(record.gateway if record else wanted, field)
        if asked != now:
            raise UsageError(
                f"{key}: {asked} is wanted, but the gateway is up with {now}, "
                "which all labs share: set that, or take everything down first with vnet-down --all --gateway"
            )
    return record.gateway if record else wanted


def host_step(gateway: Gateway) -> HostStep:
    """Plan the host's end; it is `closed` where the host did not forward before any vnet."""
    closes = observe.closed()
    links, chains = forwarding.before() if closes else ((), ())
    return HostStep(gateway, closes, mends=os.path.exists(CLOSED_MARK), folder=not os.path.exists(PINS),
                    bridged=os.path.exists(BRIDGE_FILTER), tables=tables.before(), forwarding=links, chains=chains)  # fmt: skip


def check_host(context: Context, gateway: Gateway) -> None:
    """Refuse a gateway whose address, route or interface somebody else on this host holds."""
    records = context.records
    if not records.exist() or records.gateway() is None:
        from vnet.kernel import clash

        try:
            clash.check(gateway, records.uid)
        except UsageError:
            if not records.exist() or records.gateway() is None:  # else another vnet of the caller's has just made it
                raise


def announce(context: Context, settings: Settings, *, quiet: bool = False) -> None:
    """Refuse what clashes; before sudo is used the first time, print what will run under it."""
    gateway = gateway_for(context, settings)
    check_host(context, gateway)
    if quiet or context.gateway() or context.rights.way == "root":
        return
    from vnet.engine import show
    from vnet.workers.sudo import sudo

    sudo()
    context.say("the gateway is made once, as root. These commands will run under sudo:")
    for step in (StateStep(gateway.uid, gateway.gid), host_step(gateway)):
        for line in show.lines(step, "up", gateway.way):
            context.say(f"  {line}")


def gateway_up(context: Context, wanted: Gateway) -> Gateway:
    """Make the gateway where there is none; where there is one, mend what is missing."""
    with context.records.lock("world"):
        record = context.records.gateway()
        if record and context.records.lost:
            context.say(f"the gateway's record was lost ({context.records.lost}): going by root's own")
            must(remove_strays(context, record))
            context.records.write_gateway(record)
        if record and record.state == "up" and pins_stand(record.gateway):
            _mend_gateway(context, record)
            return record.gateway
        return _make_gateway(context, wanted, record)


def _make_gateway(context: Context, wanted: Gateway, old: GatewayRecord | None) -> Gateway:
    """Make the gateway; one that is half made, or past use, is taken away first."""
    if old:
        must(remove_gateway(context, old))
    step = host_step(wanted)
    hooks = context.hooks.holding("vnet_before_gateway_down", "vnet_after_gateway_down")
    record = GatewayRecord(wanted, step.closes, "making", context.hooks.lab, hooks)
    step = step._replace(mark=text_of(record._replace(state="up")))
    context.records.write_gateway(record)
    try:
        with context.step("gateway up"):
            context.hooks.up("vnet_before_gateway_up", gateway=wanted)
            context.host().do("up", step)
            context.labs(wanted).do("up", GatewayStep(wanted))
            for name, text in files.gateway_texts(wanted).items():
                context.records.write_file(name, text)
            context.hooks.up("vnet_after_gateway_up", gateway=wanted)
        context.records.write_gateway(record._replace(state="up"))
    except BaseException:
        say_all(context, remove_gateway(context, record))
        raise
    return wanted


def _mend_gateway(context: Context, record: GatewayRecord) -> None:
    """Put back what was taken from a standing gateway, by a firewall's reload or by hand."""
    gateway, labs = record.gateway, context.labs(record.gateway)
    pinned = bool(labs.ask("inodes", netns=(gateway.netns,)))
    link = observe.address(gateway.interface)
    closes = record.closes or observe.closed()  # the host may have stopped forwarding since
    if closes != record.closes:
        context.records.write_gateway(record._replace(closes=closes))
    links, chains = forwarding.before() if closes else ((), ())
    step = HostStep(gateway, closes, mends=True, namespaces=False, link=link is None, mark=text_of(record),
                    bridged=os.path.exists(BRIDGE_FILTER), forwarding=links, chains=chains)  # fmt: skip
    if not pinned:
        context.say("the gateway is gone: making it anew")
        context.host().do("down", HostStep(gateway, closes=False, namespaces=gateway.way != "userns"))
        context.host().do("up", step._replace(namespaces=gateway.way != "userns", link=True))
        labs.do("up", GatewayStep(gateway, folder=False, new=False))
    elif str(gateway.host) != link:
        context.say(f"the host's {gateway.interface} has changed: putting it right")
        context.host().do("up", step)
    if not pinned or not labs.ask("gateway", gateway=gateway):
        labs.do("up", GatewayStep(gateway, folder=False, pin=False, new=False))
        labs.do("up", plan.all_forwards(gateway, (each.lab for each in context.records.forwarding())))
    still = observe.forwards()
    if gateway.iptables and not (still and labs.ask("echo", gateway=gateway)):
        lost = "the host's firewall has lost vnet's rules: putting them back"
        context.say(lost if still else "the host has stopped forwarding (net.ipv4.ip_forward): turning it on again")
        context.host().do("up", step._replace(link=False))
        if not labs.ask("echo", gateway=gateway):
            context.say(
                "the host does not let the labs out: another firewall on it drops what vnet's rules accept; "
                "vnet-doctor tells which"
            )
