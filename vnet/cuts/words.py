"""The words that follow a kind of cut, read into groups of guests; each mistake is one clear line."""

from __future__ import annotations

from collections.abc import Sequence

from vnet.cuts.shapes import Groups
from vnet.errors import UsageError, hint

_USAGE = {
    "disjoint": "disjoint A B -- C D",
    "split": "split A B -- B C",
    "isolate": "isolate A B",
    "oneway": "oneway A -- B C",
}
TYPED = tuple(_USAGE)
_SHOWN = 12  # names of a list that people read before the rest is only counted


def read(kind: str, words: Sequence[str], nodes: Sequence[str]) -> Groups:
    """Split the words at `--` into groups, and check them for one of the kinds in `TYPED`.

    `UsageError`: what is wrong, and what to write instead. A guest twice in one group is refused too: where
    a name was meant that is not there, the cut would be another one than its author believes.
    """
    usage = f"write it as `{_USAGE[kind]}`"
    if not words:
        raise UsageError(f"{kind}: names no guest; {usage}")
    _check_known(kind, words, nodes)
    groups = _at_dashes(words)
    if kind == "isolate" and len(groups) > 1:
        raise UsageError(f"{kind}: takes one list of guests, without --; {usage}")
    if kind == "oneway" and len(groups) != 2:
        raise UsageError(f"{kind}: takes two groups with one -- between them, got {len(groups)}; {usage}")
    if () in groups:
        raise UsageError(f"{kind}: group {groups.index(()) + 1} is empty; {usage}")
    for group in groups if kind == "split" else [sum(groups, ())]:
        _check_once(kind, group)
    left_out = [node for node in nodes if node not in words]
    if kind == "disjoint" and left_out:
        raise UsageError(f"{kind}: leaves out {', '.join(left_out)}; put each guest into one group, or use split")
    return groups


def listed(names: Sequence[str], *, whole: bool = False) -> str:
    """Join names for people; of a long list, unless it is wanted `whole`, the first ones, and how many more there are."""
    if whole or len(names) <= _SHOWN:
        return ", ".join(names) or "none"
    return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"


def _at_dashes(words: Sequence[str]) -> Groups:
    """Split at each `--`."""
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            groups.append([])
        else:
            groups[-1].append(word)
    return tuple(tuple(group) for group in groups)


def _check_known(kind: str, words: Sequence[str], nodes: Sequence[str]) -> None:
    """Refuse words that are no guests, all at once."""
    unknown = [word for word in dict.fromkeys(words) if word not in nodes and word != "--"]
    if not unknown:
        return
    if len(unknown) == 1 and unknown[0] in {"host", "gateway", "bridge"}:
        raise UsageError(f"{kind}: {unknown[0]!r} is not a guest, and a cut concerns guests only: {listed(nodes)}")
    names = "; ".join(f"no guest {word!r}{hint(word, nodes)}" for word in unknown)
    raise UsageError(f"{kind}: {names}; guests: {listed(nodes)}")


def _check_once(kind: str, names: Sequence[str]) -> None:
    """Refuse a guest that is named twice where once is all that makes sense."""
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        instead = {
            "disjoint": "; a guest in several groups takes split",
            "split": " in one group",
            "oneway": "; no guest can be on both sides",
        }.get(kind, "")
        raise UsageError(f"{kind}: {', '.join(twice)} {'is' if len(twice) == 1 else 'are'} named twice{instead}")
