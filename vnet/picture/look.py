"""How a terminal wants it: its width, whether it draws boxes, whether it shows colours."""

from __future__ import annotations

import os
from typing import NamedTuple, TextIO

COLOURS = {"bold": "1", "red": "31", "yellow": "33"}


class Look(NamedTuple):
    """How to draw. `width` None: never break or shorten a line. `home` is written as ~."""

    width: int | None = None
    box: bool = False
    colour: bool = False
    home: str = ""

    def paint(self, text: str, colour: str) -> str:
        """Colour a text, where there are colours."""
        return f"\033[{COLOURS[colour]}m{text}\033[0m" if self.colour and text else text


#: For a pipe.
PLAIN = Look()


def of(stream: TextIO) -> Look:
    """Tell how to draw on a stream."""
    if not stream.isatty():
        return PLAIN
    box = (stream.encoding or "").lower().replace("-", "") == "utf8"
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = os.get_terminal_size(stream.fileno()).columns or 80  # 0: a terminal that nobody told its size
    return Look(width, box=box, colour=colour, home=os.path.expanduser("~"))
