"""What is up, drawn as SVG with nothing but text: pure, from a `Status` to a picture that any browser shows.

From the left, as the figure goes: host, gateway, and below each other the labs, each a bridge (the dark bar) with its guests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from vnet.picture.scene import FILLS, PLAIN_FILL, RED, YELLOW, Box, Scene, Side, columns_for, scene
from vnet.picture.status import LabStatus, Status, pairs
from vnet.picture.tree import NameOf, comm

INK, GREY, LINE = "#22303c", "#66727d", "#8a939c"
#: Distances in pixels: around things, between boxes, a line of text, one lane of arrows beside the sides, a matrix's square.
PAD, GAP, TEXT, LANE, SQUARE = 14, 8, 15, 26, 11
#: The width of a letter: small, and bold (Helvetica, DejaVu Sans and what browsers take for sans-serif are not wider).
SMALL_W, BOLD_W = 6.4, 8.2
#: The longest name that is written whole.
NAME = 22
NODE_W, NODE_H, BAR = 150, 58, 18


class Panel(NamedTuple):
    """Something drawn at the origin, to be put somewhere; `dock`: the height at which its link arrives."""

    width: float
    height: float
    parts: Sequence[str]
    dock: float = 0


def svg(status: Status, names: NameOf = comm) -> str:
    """Draw it."""
    gateway = status.gateway
    if gateway is None:
        return _page(Panel(220, 50, [_text(PAD, 30, "nothing is up", "h")]))
    labs = [_lab(scene(each, names)) for each in status.labs]
    left = 2 * (NODE_W + 40) + PAD
    tops, y = [], float(PAD)
    for panel in labs:
        tops.append(y)
        y += panel.height + PAD
    height = max(y, NODE_H + 2 * PAD)
    middle = tops[0] + labs[0].dock if len(labs) == 1 else height / 2
    middle = max(middle, PAD + NODE_H / 2)
    parts = [_line(PAD + NODE_W, middle, PAD + NODE_W + 40, middle)]
    for panel, top in zip(labs, tops, strict=True):
        parts.append(_link(PAD + 2 * NODE_W + 40, middle, left + PAD + BAR / 2, top + panel.dock))
    state = status.part.state
    parts += _node(PAD, middle, "host", (gateway.interface, str(gateway.host)))
    parts += _node(PAD + NODE_W + 40, middle, "gateway", (str(gateway.ip), "" if state == "up" else state))
    for panel, top in zip(labs, tops, strict=True):
        parts += [f"<g transform='translate({left} {top:g})'>", *panel.parts, "</g>"]
    width = left + max((panel.width for panel in labs), default=0) + PAD
    return _page(Panel(width, max(height, middle + NODE_H / 2 + PAD), parts))


def _page(panel: Panel) -> str:
    """Put a panel on a page."""
    style = (
        f"text{{font:11px Helvetica,Arial,'DejaVu Sans',sans-serif;fill:{INK}}}"
        ".h{font-size:15px;font-weight:bold}.n{font-size:13px;font-weight:bold}"
        f".g{{fill:{GREY}}}.r{{fill:{RED}}}.y{{fill:{YELLOW}}}.c{{fill:{RED};font-size:13px;font-weight:bold}}.s{{font-size:9px}}"
        ".b{fill:white;font-weight:bold}.e{text-anchor:end}.m{text-anchor:middle}"
    )
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{panel.width:g}' height='{panel.height:g}' "
        f"viewBox='0 0 {panel.width:g} {panel.height:g}'>"
    )
    return "\n".join((head, f"<style>{style}</style>", "<rect width='100%' height='100%' fill='white'/>",
                      *panel.parts, "</svg>", ""))  # fmt: skip


def _lab(made: Scene) -> Panel:
    """Draw a lab: what it is called, its cut, its sides, and what was probed."""
    lab, each = made.lab.lab, made.lab
    state = "" if each.bridge.state == "up" else each.bridge.state
    about = f"{lab.link} {lab.uplink}, bridge {lab.bridge_ip}/{lab.network.prefixlen}"
    lines = [(lab.name, "h"), (f"{about}  {state}".strip(), "g"), *((line, "c") for line in made.caption)]
    heads = [_text(PAD, PAD + 8 + (TEXT + 3) * at, line, look) for at, (line, look) in enumerate(lines)]
    top = PAD + (TEXT + 3) * len(lines) + 4
    frames = _sides(made)
    bar = [
        f"<rect x='{PAD}' y='{top}' width='{BAR}' height='{frames.height:g}' rx='3' fill='{INK}'/>",
        f"<text class='b m' transform='translate({PAD + 13} {top + frames.height / 2:g}) rotate(-90)'>bridge</text>",
    ]
    inside = PAD + BAR + PAD
    parts = [*heads, *bar, f"<g transform='translate({inside} {top})'>", *frames.parts, "</g>"]
    height = top + frames.height + PAD
    width = max(inside + frames.width + PAD, *(PAD * 2 + len(line) * BOLD_W for line, _ in lines))
    for below in _matrices(made):
        parts += [f"<g transform='translate({PAD} {height:g})'>", *below.parts, "</g>"]
        height, width = height + below.height + PAD, max(width, below.width + 2 * PAD)
    frame = f"<rect width='{width:g}' height='{height:g}' rx='8' fill='none' stroke='{LINE}'/>"
    return Panel(width, height, [frame, *parts], top + frames.height / 2)


def _sides(made: Scene) -> Panel:
    """Draw the sides of a cut below each other, arrows on their right for what does not arrive."""
    cell_w = _cell_width(made)
    columns = columns_for(max(len(side.boxes) for side in made.sides))
    titles = [f"{side.letter}: {side.words}" if side.letter else "" for side in made.sides]
    width = max(columns * (cell_w + GAP) + GAP, max(len(title) for title in titles) * BOLD_W + 2 * GAP)
    parts, y, spans = [], 0.0, []
    for at, (side, title) in enumerate(zip(made.sides, titles, strict=True)):
        panel = _side(
            side, title, FILLS[at] if side.letter else PLAIN_FILL, columns=columns, cell_w=cell_w, width=width
        )
        parts += [_line(-PAD, y + panel.height / 2, 0, y + panel.height / 2), f"<g transform='translate(0 {y:g})'>"]
        parts += [*panel.parts, "</g>"]
        spans.append((y, panel.height))
        y += panel.height + GAP
    arrows = list(_arrows(made, spans, width))
    lanes = LANE * len(made.misses) + PAD if arrows else 0
    room = max((len(miss.label) * SMALL_W for miss in made.misses), default=0)
    return Panel(width + lanes + room, y - GAP, [*parts, *arrows])


def _cell_width(made: Scene) -> float:
    """Tell the width of a guest's box, the same for all of a lab."""
    boxes = [box for side in made.sides for box in side.boxes]
    names = [min(len(box.name), NAME) * BOLD_W for box in boxes]
    lines = [len(line) * SMALL_W for box in boxes for line in (f"{box.ip}  {box.state}".rstrip(), *box.more)]
    return max((*names, *lines, 60.0)) + 2 * GAP


def _side(side: Side, title: str, fill: str, *, columns: int, cell_w: float, width: float) -> Panel:
    """Draw a side: its guests in rows, each as high as what there is to tell."""
    y: float = GAP + (TEXT + 6 if title else 0)
    parts = [_text(GAP, GAP + TEXT - 1, title, "n")] if title else []
    for first in range(0, len(side.boxes), columns):
        row = side.boxes[first : first + columns]
        high = TEXT * max(2 + len(box.more) for box in row) + 10
        for at, box in enumerate(row):
            parts += _guest(box, GAP + at * (cell_w + GAP), y, cell_w, high)
        y += high + GAP
    return Panel(width, y, [f"<rect width='{width:g}' height='{y:g}' rx='6' fill='{fill}'/>", *parts])


def _guest(box: Box, x: float, y: float, width: float, height: float) -> Iterator[str]:
    """Draw a guest."""
    colour = LINE if not box.state else RED if box.state == "gone" else YELLOW
    look = {LINE: "g", RED: "r", YELLOW: "y"}[colour]
    name = box.name if len(box.name) <= NAME else f"{box.name[: NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
    yield (
        f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' rx='4' fill='white' stroke='{colour}'>"
        f"<title>{escape(box.name)}</title></rect>"
    )
    yield _text(x + GAP, y + TEXT + 2, name, "n")
    yield _text(x + GAP, y + 2 * TEXT + 1, f"{box.ip}  {box.state}".rstrip(), look)
    for at, line in enumerate(box.more, 3):
        yield _text(x + GAP, y + at * TEXT + 1, line)


def _arrows(made: Scene, spans: Sequence[tuple[float, float]], x: float) -> Iterator[str]:
    """Draw what does not arrive: each miss in a lane of its own, a cross on its way, how much was dropped beside."""
    for lane, miss in enumerate(made.misses):
        ends = []
        for at in (miss.source, miss.to):
            mine = [i for i, other in enumerate(made.misses) if at in (other.source, other.to)]
            y, height = spans[at]
            ends.append(y + height * (mine.index(lane) + 1) / (len(mine) + 1))
        right = x + PAD + LANE * lane + 4
        path = f"M{x + 3:g} {ends[0]:g}H{right:g}V{ends[1]:g}H{x + 3:g}"
        yield f"<path d='{path}' fill='none' stroke='{RED}' stroke-width='1.6' stroke-dasharray='5 3'/>"
        for y in ends if miss.both else ends[1:]:
            yield f"<path d='M{x + 9:g} {y - 4:g}L{x + 2:g} {y:g}L{x + 9:g} {y + 4:g}z' fill='{RED}'/>"
        middle = sum(ends) / 2
        yield f"<circle cx='{right:g}' cy='{middle:g}' r='7' fill='white'/>"
        yield f"<path d='M{right - 5:g} {middle - 5:g}l10 10m0 -10l-10 10' stroke='{RED}' stroke-width='2.4'/>"
        if miss.label:
            yield _text(right + 10, middle + 4, miss.label, "r")


def _matrices(made: Scene) -> Iterator[Panel]:
    """Draw who does not hear whom where a cut has too many sides for arrows, and what was probed."""
    each = made.lab
    names = [guest.name for guest in each.lab.guests]
    if each.cut is not None and not made.sides[0].letter:
        missed = frozenset(each.cut.standing.cut.drops())
        yield _matrix("from a row to a column: nothing arrives where it is red", names, names, missed)
    if each.probe is not None:
        yield _probed(each, names)


def _probed(each: LabStatus, names: Sequence[str]) -> Panel:
    """Draw what was probed."""
    reached, not_ = pairs(each)
    title = f"probed: {len(reached)} of {len(reached) + len(not_)} reached, from a row to a column"
    return _matrix(title, names, [*names, "bridge", "gateway"], frozenset((a, b) for a, b in not_))


def _matrix(title: str, rows: Sequence[str], columns: Sequence[str], missed: frozenset[tuple[str, str]]) -> Panel:
    """Draw a square for each pair: green got through, red did not."""
    label = max(min(len(name), NAME) for name in columns) * 5.4 + 6
    top = TEXT + 8 + label
    parts = [_text(0, TEXT - 3, title, "n")]
    for at, name in enumerate(columns):
        x = label + at * SQUARE + 9
        parts.append(
            f"<text class='s' transform='translate({x:g} {top - 4:g}) rotate(-90)'>{escape(name[:NAME])}</text>"
        )
    for row, name in enumerate(rows):
        y = top + row * SQUARE
        parts.append(_text(label - 4, y + 9, name[:NAME], "s e"))
        for column, other in enumerate(columns):
            fill = "#eceff1" if other == name else RED if (name, other) in missed else "#a9d9b5"
            parts.append(
                f"<rect x='{label + column * SQUARE:g}' y='{y:g}' width='{SQUARE - 1}' height='{SQUARE - 1}' fill='{fill}'>"
                f"<title>{escape(f'{name} to {other}')}</title></rect>"
            )
    width = max(label + len(columns) * SQUARE, len(title) * BOLD_W)
    return Panel(width, top + len(rows) * SQUARE, parts)


def _node(x: float, middle: float, title: str, lines: Sequence[str]) -> list[str]:
    """Draw host or gateway."""
    y = middle - NODE_H / 2
    frame = f"<rect x='{x:g}' y='{y:g}' width='{NODE_W}' height='{NODE_H}' rx='6' fill='{PLAIN_FILL}' stroke='{LINE}'/>"
    texts = [_text(x + 10, y + 36 + 15 * at, line, "" if at == 0 else "r") for at, line in enumerate(lines) if line]
    if title == "host":
        texts = [_text(x + 10, y + 36 + 14 * at, line, "g" if at else "") for at, line in enumerate(lines)]
    return [frame, _text(x + 10, y + 20, title, "h"), *texts]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Draw a link."""
    return f"<path d='M{x1:g} {y1:g}L{x2:g} {y2:g}' stroke='{LINE}' stroke-width='2'/>"


def _link(x1: float, y1: float, x2: float, y2: float) -> str:
    """Draw a link that may have to climb: halfway across, then up or down."""
    half = x1 + 20
    return f"<path d='M{x1:g} {y1:g}H{half:g}V{y2:g}H{x2:g}' fill='none' stroke='{LINE}' stroke-width='2'/>"


def _text(x: float, y: float, text: str, look: str = "") -> str:
    """Write a line."""
    return f"<text x='{x:g}' y='{y:g}'{f' class={chr(39)}{look}{chr(39)}' if look else ''}>{escape(text)}</text>"
