"""Network splits: puts a cut in force, tells which one is, and keeps it true while guests come and go."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from vnet.cuts.cut import Cut, adapt, blocked, classes
from vnet.cuts.step import BITS, Block, CutStep
from vnet.engine.context import Context
from vnet.engine.record import LabRecord
from vnet.errors import CommandError, NotUpError, VnetError
from vnet.kernel.path import iptables_kind

#: What to say where rules would stand beside others that are not seen from here.
OTHER_KIND = (
    "iptables is of the kind {kind} here, and the lab {name} was made with {made}: neither sees the other's rules, so "
    "nothing is changed; install iptables of the kind {made} here, or make the lab anew"
)


class Standing(NamedTuple):
    """A cut in force, for the guests of now, and when the kernel ends it (seconds since 1970), if it does."""

    cut: Cut
    until_s: int | None

    def left_s(self) -> float | None:
        """Tell the seconds that are left."""
        return None if self.until_s is None else max(0.0, self.until_s - time.time())


def standing(record: LabRecord) -> Standing | None:
    """Read the cut in force; one whose time is over is none."""
    if record.cut is None:
        return None
    data = json.loads(record.cut)
    if data["until"] is not None and data["until"] <= time.time():
        return None
    return Standing(adapt(Cut.from_json(data["cut"]), names(record)), data["until"])


def names(record: LabRecord) -> tuple[str, ...]:
    """Name the guests of a lab."""
    return tuple(guest.name for guest in record.lab.guests)


def step_of(record: LabRecord) -> CutStep:
    """Plan the rules of the cut that a record holds."""
    found = standing(record)
    if found is None:
        return CutStep(record.lab, ())
    return CutStep(record.lab, blocks(found.cut), second(found.until_s))


def blocks(cut: Cut) -> tuple[Block, ...]:
    """Write a cut by classes: each source class with all that do not hear it."""
    found = classes(cut)
    deaf: dict[int, list[str]] = {}
    for source, to in blocked(found):
        deaf.setdefault(source, []).extend(found[to].guests)
    return tuple(Block(found[source].guests, tuple(to)) for source, to in deaf.items())


def second(until_s: int | None) -> str:
    """Write the second in which a cut is over, in UTC (iptables-extensions(8), time)."""
    return "" if until_s is None else time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until_s))


def ending(for_s: float | None) -> int | None:
    """Choose the second in which a cut ends that is to last so long: never earlier, and less than a second later."""
    return None if for_s is None else -int(-(time.time() + for_s) // 1)


def find(context: Context, name: str) -> LabRecord:
    """Read the record of a lab that is up."""
    record = context.records.lab(name) if context.records.exist() else None
    if record is None or record.bridge != "up":
        raise NotUpError(f"the lab {name} is not up; vnet-up brings it up")
    kind = iptables_kind()
    if kind and record.iptables and kind != record.iptables:
        raise VnetError(OTHER_KIND.format(name=name, kind=kind, made=record.iptables))
    return record


def apply(context: Context, name: str, cut: Cut, until_s: int | None) -> Standing | None:
    """Put a cut in force in place of the one that is; the same one once more changes nothing."""
    with context.records.lock(f"lab-{name}"):
        record = find(context, name)
        data = json.dumps({"cut": cut.as_json(), "until": until_s}) if cut.deaf else None
        wanted = record._replace(cut=data)
        if data == record.cut and stands(context, wanted):
            return standing(wanted)
        now = look(context, record, cuts=bool(cut.deaf))
        hooks = {"lab": record.lab, "cut": cut}
        with context.step("partition"):
            context.hooks.up("vnet_before_partition", **hooks)
        context.records.write_lab(wanted)
        try:
            with context.step("partition"):
                put(context, wanted, now)
                context.hooks.up("vnet_after_partition", **hooks)
        except BaseException:
            context.records.write_lab(record)
            put(context, record)
            raise
        return standing(wanted)


def put(context: Context, record: LabRecord, now: dict[str, Any] | None = None) -> None:
    """Load the rules of the cut that a record holds, and step over to them; where the kernel can't, say what it lacks.

    `now`: what `look` found, where it was asked already. Where what is in force was damaged, nothing can be built
    beside it: then all is loaded anew.
    """
    labs, step = context.labs(record.lab.gateway), step_of(record)
    now = now or look(context, record, cuts=bool(step.blocks))
    step = step._replace(live=now["live"], left=tuple(now["left"]))
    try:
        labs.do("up", step)
    except CommandError:
        if not step.live:
            raise
        labs.do("up", step._replace(live=0))


def keep(context: Context, record: LabRecord) -> None:
    """Set the cut right for the guests of now; where it is, with its counters, it stays."""
    if not stands(context, record):
        put(context, record)


def look(context: Context, record: LabRecord, *, cuts: bool) -> dict[str, Any]:
    """Ask the kernel what is in force; where it `cuts` and can't, say what it lacks."""
    now: dict[str, Any] = context.labs(record.lab.gateway).ask("cut_now", netns=record.lab.netns, cuts=cuts)
    if now["lacks"]:
        raise VnetError(now["lacks"])
    return now


def stands(context: Context, record: LabRecord) -> bool:
    """Tell whether the kernel has the rules of the cut that a record holds."""
    step = step_of(record)
    return bool(context.labs(record.lab.gateway).ask("cut_stands", step=step))


def drops(context: Context, record: LabRecord) -> list[dict[str, Any]]:
    """Count the packets that the cut in force has dropped: `from` and `to` are names of guests.

    In a cut of more than `step.PAIRS` pairs some classes of guests share a counter: `from` names all of them.
    """
    step = step_of(record)
    if not step.blocks:
        return []
    counted = context.labs(record.lab.gateway).ask("cut_counts", netns=record.lab.netns)
    names_of = {record.lab.port(guest): guest.name for guest in record.lab.guests}
    found = [{"from": _source(step, chain, mask, names_of.get(port, port)),
              "to": names_of.get(chain.removeprefix("to-"), names_of.get(port, port)), "packets": packets}
             for chain, port, mask, packets in counted]  # fmt: skip
    return sorted(found, key=lambda each: (each["from"], each["to"]))


def _source(step: CutStep, chain: str, mask: int, name: str) -> str:
    """Name who a rule's packets come from: its port's guest, or the classes that its mask stands for."""
    if not mask:
        return name
    first = BITS * int(chain.removeprefix("word-"))
    some = (block.sources for bit, block in enumerate(step.blocks[first : first + BITS]) if mask >> bit & 1)
    return " ".join(source for sources in some for source in sources)


def iso(until_s: int | None) -> str | None:
    """Write a time for JSON, in UTC (RFC 3339)."""
    return None if until_s is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until_s))


def as_data(found: Standing | None, dropped: Sequence[dict[str, Any]] | None) -> dict[str, Any] | None:
    """Give the cut in force as JSON data, None where there is none; `dropped` is None where it could not be counted."""
    if found is None:
        return None
    cut = found.cut
    deaf = {node: list(sources) for node, sources in cut.deaf}
    return {"kind": cut.kind, "groups": [list(group) for group in cut.groups], "seed": cut.seed, "deaf": deaf,
            "drops": list(dropped or ()), "counted": dropped is not None, "until": iso(found.until_s)}  # fmt: skip


def lines(context: Context, record: LabRecord) -> list[str]:
    """Tell people which cut is in force, what it dropped, and how long it lasts."""
    found = standing(record)
    if found is None:
        return ["no cut: everyone hears everyone"]
    counted = [each for each in drops(context, record) if each["packets"]]
    rows = [f"dropped {each['packets']:>8}  {each['from']} -> {each['to']}" for each in counted[:50]]
    rows += [f"and {len(counted) - 50} more pairs (--json has all)"] if len(counted) > 50 else []
    left = found.left_s()
    return [*found.cut.describe(), *rows, *([] if left is None else [f"heals by itself in {left:.0f} s"])]
