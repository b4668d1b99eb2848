"""Named tuples to plain JSON data and back, by their annotations.

Records and the worker's requests go through here. `decode` trusts nothing: a field that is missing,
unknown or of another type is a ValueError, and a class with a method `check` has the last word.
"""

from __future__ import annotations

from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv4Network
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

#: The data that was decoded last, of each kind, and what came of it.
_last: dict[Any, tuple[Any, Any]] = {}


def encode(value: Any) -> Any:
    """Turn a named tuple, a tuple of them, an address or a plain value into JSON data."""
    if hasattr(value, "_fields"):
        return _encoded(value)
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


@lru_cache(maxsize=8)
def _encoded(value: Any) -> Any:
    """Turn a named tuple into JSON data; the last ones are remembered, as one call asks much about one lab."""
    return {name: encode(item) for name, item in zip(value._fields, value, strict=True)}


def decode_again(kind: Any, data: Any) -> Any:
    """Do as `decode`, and remember the last value of a kind: a lab of 250 guests takes 8 ms."""
    if kind not in _last or _last[kind][0] != data:
        _last[kind] = data, decode(kind, data)
    return _last[kind][1]


def decode(kind: Any, data: Any) -> Any:
    """Turn JSON data back into `kind`; raises ValueError where it does not fit."""
    origin = get_origin(kind)
    if origin is tuple:
        return _tuple(get_args(kind), data)
    if origin is Literal:
        return _expect(data in get_args(kind), data, kind)
    if origin is UnionType:
        return _union(get_args(kind), data)
    if hasattr(kind, "_fields"):
        return _object(kind, data)
    if kind in (IPv4Address, IPv4Network):
        return kind(_expect(isinstance(data, str), data, kind))
    return _expect(type(data) is kind, data, kind)


def _expect(holds: bool, data: Any, kind: Any) -> Any:
    """Give `data` back if `holds`, else raise."""
    if not holds:
        raise ValueError(f"{data!r:.80} is not {kind}")
    return data


def _tuple(kinds: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    """Decode a list into `tuple[X, ...]` or a tuple of fixed length."""
    _expect(isinstance(data, list), data, kinds)
    if kinds[-1] is Ellipsis:
        return tuple(decode(kinds[0], item) for item in data)
    _expect(len(data) == len(kinds), data, kinds)
    return tuple(decode(kind, item) for kind, item in zip(kinds, data, strict=True))


def _union(kinds: tuple[Any, ...], data: Any) -> Any:
    """Decode `X | None`."""
    if data is None and type(None) in kinds:
        return None
    return decode(next(kind for kind in kinds if kind is not type(None)), data)


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Look up a class's annotations once."""
    return get_type_hints(kind)


def _object(kind: type, data: Any) -> Any:
    """Decode a named tuple; its fields must be there, all and no others."""
    hints = _hints(kind)
    _expect(isinstance(data, dict) and data.keys() == hints.keys(), data, kind.__name__)
    made = kind(**{name: decode(hints[name], data[name]) for name in hints})
    if hasattr(made, "check"):
        made.check()
    return made
