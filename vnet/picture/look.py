"""How a terminal wants it: its width, whether it draws boxes, whether it shows colours."""

from __future__ import annotations

import os
from collections.abc import Iterator
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

    def wrapped(self, text: str, before: int) -> list[str]:
        """Break a line at blanks, `before` columns being taken."""
        lines: list[str] = []
        for word in text.split(" "):
            if lines and (self.width is None or len(lines[-1]) + 1 + len(word) <= self.width - before):
                lines[-1] += f" {word}"
            else:
                lines.append(f"  {word}" if lines else word)
        return lines

    def ranged(self, text: str) -> str:
        """Write runs of numbered names as ranges, where the width counts: `n-1, n-2, n-3: x` as `n-1..n-3: x`."""
        return text if self.width is None else " ".join(_ranges(text.split(" ")))


def _ranges(words: list[str]) -> Iterator[str]:
    """Join words that count up; short runs stay as they are."""
    at = 0
    while at < len(words):
        end = at + 1
        while end < len(words) and words[end - 1][-1:] != ":" and _follows(words[end - 1], words[end]):
            end += 1
        if end - at > 2:
            yield f"{words[at].rstrip(',')}..{words[end - 1]}"
        else:
            yield from words[at:end]
        at = end


def _follows(word: str, other: str) -> bool:
    """Tell whether a name is the next one of another: the same but for the number at its end, which is one more."""
    word, other = word.rstrip(",:"), other.rstrip(",:")
    stem = word.rstrip("0123456789")
    return stem != word and other == f"{stem}{int(word[len(stem) :]) + 1}"


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
