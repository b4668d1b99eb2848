"""What is up, in the words of Graphviz and of Mermaid, which draw it: pure, from a `Status` to a text; svg.py needs neither."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from vnet.picture.scene import FILLS, PLAIN_FILL, RED, Box, Scene, Side, columns_for, scene
from vnet.picture.status import Status
from vnet.picture.tree import NameOf, comm

#: Guests up to which each has a box of its own in Mermaid, which puts them all below each other.
LISTED = 12


def dot(status: Status, names: NameOf = comm) -> str:
    """Write it for Graphviz: `vnet-status --graph dot | dot -Tsvg`."""
    return "\n".join(_dot(status, names)) + "\n"


def _dot(status: Status, names: NameOf) -> Iterator[str]:
    """Write it line by line."""
    yield "graph vnet {"
    yield '  rankdir=LR; fontname="sans-serif"; nodesep=0.6; ranksep=0.5'
    yield f'  node [shape=box, style="rounded,filled", fillcolor="{PLAIN_FILL}", color="#8a939c", fontname="sans-serif", fontsize=11]'
    yield '  edge [color="#8a939c", fontname="sans-serif", fontsize=10]'
    gateway = status.gateway
    if gateway is None:
        yield '  nothing [label="nothing is up", shape=plaintext]'
    else:
        yield f"  host [label={_quoted('host', gateway.interface, str(gateway.host))}]"
        yield f"  gateway [label={_quoted('gateway', str(gateway.ip), _not_up(status.part.state))}]"
        yield "  host -- gateway"
    for each in status.labs:
        yield from _dot_lab(scene(each, names))
    yield "}"


def _dot_lab(made: Scene) -> Iterator[str]:
    """Write a lab: a cluster of its bridge and its sides, each of which is a table of guests."""
    lab, link = made.lab.lab, made.lab.lab.link
    yield f"  subgraph cluster_{link} {{"
    yield f'    label={_quoted(f"{lab.name} ({link})", *made.caption)}; style=rounded; color="#8a939c"'
    yield f"    {link} [label={_quoted('bridge', f'{lab.bridge_ip}/{lab.network.prefixlen}', _not_up(made.lab.bridge.state))}]"
    for at, side in enumerate(made.sides):
        fill = FILLS[at] if side.letter else PLAIN_FILL
        yield f'    {link}_{side.letter} [shape=plain, style="", label=<{_table(side, fill)}>]'
    yield "  }"
    yield f'  gateway -- {link} [label="{lab.uplink}"]'
    for side in made.sides:
        yield f"  {link} -- {link}_{side.letter}"
    for miss in made.misses:
        first, second = (f"{link}_{made.sides[at].letter}" for at in (miss.source, miss.to))
        yield (
            f"  {first} -- {second} [dir={'both' if miss.both else 'forward'}, arrowhead=tee, arrowtail=tee, "
            f'style=dashed, color="{RED}", fontcolor="{RED}", label={_quoted(miss.label)}, constraint=false]'
        )


def _table(side: Side, fill: str) -> str:
    """Write a side's guests in rows, in the HTML that Graphviz knows."""
    columns = columns_for(len(side.boxes))
    head = f'<tr><td colspan="{columns}" border="0"><b>{escape(f"{side.letter}: {side.words}")}</b></td></tr>'
    rows = "".join(
        f"<tr>{''.join(map(_table_cell, side.boxes[first : first + columns]))}</tr>"
        for first in range(0, len(side.boxes), columns)
    )
    head = head if side.letter or not rows else ""
    return f'<table border="0" cellborder="1" cellspacing="4" cellpadding="4" color="#8a939c" bgcolor="{fill}">{head}{rows}</table>'


def _table_cell(box: Box) -> str:
    """Write a guest."""
    lines = [f"<b>{escape(box.name)}</b>", *(escape(line) for line in (box.ip, box.state, *box.more) if line)]
    colour = f' color="{RED}"' if box.state else ""
    return f'<td bgcolor="white"{colour}>{"<br/>".join(lines)}</td>'


def mermaid(status: Status, names: NameOf = comm) -> str:
    """Write it for Mermaid, which GitHub and GitLab draw in a Markdown page."""
    return "\n".join(_mermaid(status, names)) + "\n"


def _mermaid(status: Status, names: NameOf) -> Iterator[str]:
    """Write it line by line; links are counted, since Mermaid colours them by number."""
    gateway, links, red = status.gateway, 1, list[int]()
    yield "flowchart LR"
    if gateway is None:
        yield '  nothing["nothing is up"]'
        return
    yield f"  host[{_escaped('host', gateway.interface, str(gateway.host))}] --- "\
          f"gateway[{_escaped('gateway', str(gateway.ip), _not_up(status.part.state))}]"  # fmt: skip
    for each in status.labs:
        made = scene(each, names)
        yield from _mermaid_lab(made)
        links += 1 + sum(len(_knots(made, side)) for side in made.sides)
        for miss in made.misses:
            arrow = ("x" if miss.both else "") + (f"-. {_escaped(miss.label)} .-x" if miss.label else "-.-x")
            yield f"  {each.lab.link}_{made.sides[miss.source].letter} {arrow} {each.lab.link}_{made.sides[miss.to].letter}"
            red.append(links)
            links += 1
    if red:
        yield f"  linkStyle {','.join(map(str, red))} stroke:{RED},color:{RED}"


def _mermaid_lab(made: Scene) -> Iterator[str]:
    """Write a lab: a subgraph, with one in it for each side of a cut."""
    lab, link = made.lab.lab, made.lab.lab.link
    yield f"  subgraph {link}_lab[{_escaped(f'{lab.name} ({link})', *made.caption)}]"
    yield f"    {link}[{_escaped('bridge', f'{lab.bridge_ip}/{lab.network.prefixlen}', _not_up(made.lab.bridge.state))}]"
    for at, side in enumerate(made.sides):
        if side.letter:
            yield f"    subgraph {link}_{side.letter}[{_escaped(f'{side.letter}: {side.words}')}]"
        for name, lines in _knots(made, side):
            yield f"      {name}[{_escaped(*lines)}]"
        if side.letter:
            yield "    end"
            yield f"    style {link}_{side.letter} fill:{FILLS[at]}"
    yield "  end"
    yield f"  gateway -- {lab.uplink} --- {link}"
    for side in made.sides:
        yield from (f"  {link} --- {name}" for name, _ in _knots(made, side))


def _knots(made: Scene, side: Side) -> list[tuple[str, tuple[str, ...]]]:
    """Name the knots of a side, with their lines: one a guest, or one of all, a line each, where they are many.

    A knot is called as the bridge's port is, for no user's text fits everywhere.
    """
    lab, boxes = made.lab.lab, side.boxes
    if sum(len(each.boxes) for each in made.sides) > LISTED:
        lines = (" ".join(filter(None, (box.name, box.ip, box.state, *box.more))) for box in boxes)
        return [(f"{lab.link}_guests{side.letter}", tuple(lines))]
    ports = {guest.name: lab.port(guest) for guest in lab.guests}
    return [(ports[box.name], (box.name, box.ip, box.state, *box.more)) for box in boxes]


def _not_up(state: str) -> str:
    """Tell a state that is not as it should be."""
    return "" if state == "up" else state


def _quoted(*lines: str) -> str:
    """Quote lines for Graphviz."""
    text = "\\n".join(line.replace("\\", "\\\\").replace('"', '\\"') for line in lines if line)
    return f'"{text}"'


def _escaped(*lines: str) -> str:
    """Quote lines for Mermaid, where markup is left alone as entities."""
    safe = [line.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;") for line in lines if line]
    return f'"{"<br>".join(safe)}"'
