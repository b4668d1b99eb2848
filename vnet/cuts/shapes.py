"""Jepsen's shapes of a cut, as sets: which guests share a side, or who hears whom.

The definitions are those of Jepsen's `jepsen/src/jepsen/nemesis.clj` (`bisect`, `split-one`,
`complete-grudge`, `bridge`, `majorities-ring`), of the partition targets in `nemesis/combined.clj`
(`grudge`), and of `majority` and `minority-third` in `util.clj`:

| kind | sides, of n guests | drawn |
| --- | --- | --- |
| `halves` | the first n // 2, the others (`partition-halves`: smaller half first, order as given) | no |
| `one` | one guest, the others (`:one`) | yes |
| `majority` | n // 2, the others: a clean majority and minority (`:majority`; `partition-random-halves`) | yes |
| `minority-third` | (n - 1) // 3, the others: less than a third is cut off (`:minority-third`) | yes |
| `bridge` | as `halves`, and the first guest of the second half hears and is heard by everyone | no |
| `majorities-ring` | none: each guest hears n // 2 + 1 guests, itself among them, and no two hear the same | yes |

What that gives for few guests, there as here:

- n = 1 cuts nothing, whatever the shape; n = 2 nothing in `bridge`, `minority-third` and
  `majorities-ring` (a majority of two is both), and both links in the others.
- n = 3: `minority-third` cuts nothing (0 of 3 is the largest minority below a third); `bridge` cuts the first
  guest from the third; `majorities-ring` goes one way round: each hears its predecessor and not its successor.
- n = 4: `bridge` cuts 1 and 2 from 4; `majorities-ring` is a ring, each hears its two neighbours.

All draws come from one stream of `random.Random.random`, the only one of that module's methods that Python
promises to repeat for a seed in every later version.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

Groups = tuple[tuple[str, ...], ...]
Draw = Callable[[], float]  # the next number of a stream, at least 0 and less than 1

_PERFECT = 5  # up to this many guests, Jepsen makes majorities-ring a ring
_CUT_OFF: dict[str, Callable[[int], int]] = {
    "one": lambda _: 1,
    "majority": lambda n: n // 2,
    "minority-third": lambda n: max(0, (n - 1) // 3),
}

RING = "majorities-ring"
RANDOM = frozenset((*_CUT_OFF, RING))
SHAPES = ("halves", *_CUT_OFF, "bridge", RING)


def sides(shape: str, nodes: Sequence[str]) -> Groups:
    """Give the two sides of `halves` or `bridge`, whose guest in the middle is in both; a side may be empty."""
    half = len(nodes) // 2
    first, second = tuple(nodes[:half]), tuple(nodes[half:])
    return (first + second[:1], second) if shape == "bridge" else (first, second)


def drawn_sides(shape: str, nodes: Sequence[str], draw: Draw) -> Groups:
    """Give the two sides of `one`, `majority` or `minority-third`, the one that is cut off first.

    Both are in the order of `nodes`, but drawn from the names as sorted: a seed outlives a
    reordered settings file. A side may be empty.
    """
    off = set(_shuffled(sorted(nodes), draw)[: _CUT_OFF[shape](len(nodes))])
    return tuple(n for n in nodes if n in off), tuple(n for n in nodes if n not in off)


def ring(nodes: Sequence[str], draw: Draw) -> dict[str, frozenset[str]]:
    """Map each guest to those that it hears, itself among them: a majority, and no two the same one.

    Up to 5 guests are a ring, as in Jepsen. Above, links are drawn at random until each guest has its majority
    (`majorities-ring-stochastic`). Jepsen says that no two guests then see the same majority, but does not
    check it; of its draws for 7 to 10 guests one in ten breaks that. Such a draw is drawn again here. Two guests can't
    differ: both hear both.
    """
    names = sorted(nodes)
    if len(names) <= _PERFECT:
        return _perfect_ring(_shuffled(names, draw))
    while True:
        heard = [frozenset(names[i] for i in links) for links in _stochastic_ring(len(names), draw)]
        if len(set(heard)) == len(names):
            return dict(zip(names, heard, strict=True))


def _shuffled(items: Sequence[str], draw: Draw) -> list[str]:
    """Put the items into a random order."""
    return sorted(items, key=lambda _: draw())


def _perfect_ring(order: Sequence[str]) -> dict[str, frozenset[str]]:
    """Let the middle one of each majority of neighbours hear just that majority."""
    majority = len(order) // 2 + 1
    windows = ([*order, *order][at : at + majority] for at in range(len(order)))
    return {window[majority // 2]: frozenset(window) for window in windows}


def _stochastic_ring(count: int, draw: Draw) -> list[set[int]]:
    """Link a guest with the fewest links to a stranger with the fewest, until each has a majority.

    250 guests take 16,000 links, so guests are kept by their number of links: 20 ms instead of a second.
    """
    linked = [{i} for i in range(count)]
    by_degree: list[list[int]] = [[] for _ in range(count + 1)]
    by_degree[1] = list(range(count))
    for degree in range(1, count // 2 + 1):
        while by_degree[degree]:
            one = _take(by_degree[degree], (), draw)
            higher, other = degree, _take(by_degree[degree], linked[one], draw)
            while other < 0:
                higher += 1
                other = _take(by_degree[higher], linked[one], draw)
            linked[one].add(other)
            linked[other].add(one)
            by_degree[degree + 1].append(one)
            by_degree[higher + 1].append(other)
    return linked


def _take(level: list[int], known: Collection[int], draw: Draw) -> int:
    """Take out a random member that is not in `known`; -1 where there is none.

    It shuffles from the end, and only as far as it must.
    """
    for last in range(len(level) - 1, -1, -1):
        at = int(draw() * (last + 1))
        chosen = level[at]
        level[at] = level[last]
        if chosen not in known:
            level[last] = level[-1]
            level.pop()
            return chosen
        level[last] = chosen
    return -1
