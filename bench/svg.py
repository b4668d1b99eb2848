"""Curves on two logarithmic axes, as SVG. Each curve is named at its end; a name that would cover another is moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 64, 150, 44, 52
LINE_PX = 15
STYLE = "font-family='system-ui, sans-serif' font-size='12'"


@dataclass(frozen=True)
class Curve:
    """Some points, in order, and what they are of."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    dashed: bool = False


def curves(title: str, x_name: str, y_name: str, all_: Sequence[Curve]) -> str:
    """Draw curves; those without points are left out."""
    drawn = [curve for curve in all_ if curve.points]
    xs = [x for curve in drawn for x, _ in curve.points] or [1, 10]
    ys = [y for curve in drawn for _, y in curve.points] or [1, 10]
    x_from, x_to = log10(min(xs)), max(log10(max(xs)), log10(min(xs)) + 0.3)
    y_from, y_to = floor(log10(min(ys))), ceil(log10(max(ys)) + 1e-9)

    def at(x: float, y: float) -> tuple[float, float]:
        right = (log10(x) - x_from) / (x_to - x_from) * (WIDTH - LEFT - RIGHT)
        up = (log10(y) - y_from) / (y_to - y_from) * (HEIGHT - TOP - BOTTOM)
        return LEFT + right, HEIGHT - BOTTOM - up

    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' {STYLE} fill='#333'>",
        "<rect width='100%' height='100%' fill='white'/>",
        f"<text x='{LEFT}' y='24' font-size='15' font-weight='600'>{escape(title)}</text>",
        f"<text x='{(LEFT + WIDTH - RIGHT) / 2}' y='{HEIGHT - 12}' text-anchor='middle'>{escape(x_name)}</text>",
        f"<text x='16' y='{HEIGHT / 2}' text-anchor='middle' transform='rotate(-90 16 {HEIGHT / 2})'>{escape(y_name)}</text>",
    ]
    for power in range(y_from, y_to + 1):
        _, y = at(min(xs), 10**power)
        parts.append(f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='#ddd'/>")
        parts.append(f"<text x='{LEFT - 8}' y='{y + 4:.1f}' text-anchor='end'>{10**power:,g}</text>")
    for tick in sorted(set(xs)):
        x, _ = at(tick, 10**y_from)
        parts.append(f"<path d='M{x:.1f} {TOP}V{HEIGHT - BOTTOM + 4}' stroke='#eee'/>")
        parts.append(f"<text x='{x:.1f}' y='{HEIGHT - BOTTOM + 18}' text-anchor='middle'>{tick:,g}</text>")
    names = []
    for curve in drawn:
        colour = curve.colour
        dots = [at(*point) for point in curve.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in dots)
        dash = " stroke-dasharray='6 4'" if curve.dashed else ""
        parts.append(f"<path d='M{path}' fill='none' stroke='{colour}' stroke-width='2'{dash}/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>" for x, y in dots]
        names.append((dots[-1], curve.name, colour))
    placed: list[tuple[float, float]] = []
    for (x, wanted_y), name, colour in sorted(names, key=lambda each: each[0][1]):
        y = wanted_y
        while any(abs(y - other) < LINE_PX and abs(x - beside) < RIGHT for beside, other in placed):
            y += 1
        placed.append((x, y))
        halo = "paint-order='stroke' stroke='white' stroke-width='4'"  # lest a line strikes the name through
        parts.append(f"<text x='{x + 8:.1f}' y='{y + 4:.1f}' fill='{colour}' {halo}>{escape(name)}</text>")
    return "\n".join((*parts, "</svg>", ""))
