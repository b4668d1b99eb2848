"""What is kept true of a lab, on the way up and on the way down: its cut, the files that guests see, its forwarded ports."""

from __future__ import annotations

from vnet.engine import files, plan
from vnet.engine.context import Context
from vnet.engine.record import LabRecord
from vnet.model import Gateway


def keep_cut(context: Context, record: LabRecord, *, heals: bool = False) -> list[str]:
    """Set the cut right for the guests of now, where there is one; raises what goes wrong, so gives back none.

    `heals`: there is to be none, but one is in force; a heal was killed half-way.
    """
    if record.cut is not None or heals:
        from vnet.cuts import partition

        partition.keep(context, record)
    return []


def write_texts(context: Context, record: LabRecord) -> list[str]:
    """Write what guests and vnet-exec read; raises what goes wrong, so gives back none."""
    for name, text in files.texts(record.lab, record.dns).items():
        context.records.write_file(f"labs/{record.lab.name}/{name}", text)
    return []


def write_forwards(context: Context, gateway: Gateway, way: str = "up") -> list[str]:
    """Write the gateway's forwarded ports anew, from all labs' records; on the way `down` a gateway that is gone has none."""
    with context.records.lock("world"):
        step = plan.all_forwards(gateway, (record.lab for record in context.records.forwarding()))
        return context.labs(gateway).do(way, step)
