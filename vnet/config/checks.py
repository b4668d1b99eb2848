"""What a value in the settings may be: each check returns it typed, or raises `Wrong`.

A text says what is wrong only; what is allowed stands in the table of keys (`vnet.config.schema`) and is put
behind it there. Values come from a parser, so any type may come in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal, TypeVar

from vnet.config.words import Wrong, not_a, show
from vnet.model import GATEWAY_LINK, GUEST_LINK, Port, Protocol

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
DIGITS = frozenset("0123456789")
ALNUM = LETTERS | DIGITS
NODES = ("bridge", "gateway", "host", "localhost")
INTERFACES = ("lo", "all", "default", "uplink", "bridge", GATEWAY_LINK, GUEST_LINK)
UNFIT = (
    ("0.0.0.0/8", "unspecified"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
T = TypeVar("T")


def string(value: Any) -> str:
    """Check for text that can be handed to the kernel: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        raise not_a(value, "a string")
    if "\0" in value:
        raise Wrong(f"{show(value)} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Wrong(f"{show(value)} holds a character that UTF-8 can't carry") from None
    return value


def boolean(value: Any) -> bool:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise not_a(value, "a boolean")
    return value


def number(value: Any, low: int, high: int) -> int:
    """Check for a whole number in a range; to Python a boolean is one, to us it is not."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise not_a(value, "a whole number")
    if not low <= value <= high:
        raise Wrong(f"{show(value)} is too {'small' if value < low else 'large'}")
    return value


def _word(value: Any, signs: str, longest: int) -> str:
    """Check for ASCII letters, digits and some signs, and not too many of them."""
    text = string(value)
    strange = next((char for char in text if char not in ALNUM and char not in signs), None)
    if strange is not None:
        raise Wrong(f"{show(text)} holds the character {show(strange)}")
    if not 1 <= len(text) <= longest:
        raise Wrong(f"{show(text)} is {len(text)} characters long")
    return text


def label(value: Any) -> str:
    """Check the characters of a name or a tag."""
    text = _word(value, "-_.", 63)
    if text[0] not in ALNUM or text[-1] not in ALNUM:
        raise Wrong(f"{show(text)} {'begins' if text[0] not in ALNUM else 'ends'} with a sign")
    return text


def name(value: Any) -> str:
    """Check a lab's name: what resolvers take for an address, as they do 1.2 and 0x7f, is none."""
    text = label(value)
    parts = text.split(".")
    if len(parts) <= 4 and all(_is_number(part) for part in parts):
        raise Wrong(f"{show(text)} reads as {'a number' if len(parts) == 1 else 'an IPv4 address'}")
    return text


def _is_number(part: str) -> bool:
    """Tell whether inet_aton(3) takes it for a part of an address."""
    if part[:2] in ("0x", "0X"):
        return len(part) > 2 and set(part[2:]) <= DIGITS | set("abcdefABCDEF")
    return bool(part) and set(part) <= DIGITS


def guest_name(value: Any) -> str:
    """Check a guest's name: a lab's rules, and none of the nodes that every lab has."""
    text = name(value)
    if text.lower() in NODES:
        raise Wrong(f"{show(text)} is the name of another node")
    return text


def interface(value: Any) -> str:
    """Check the name of the host's interface, for ip(8) and for the namespaces named after it: a-x1 is a lab of a's."""
    text = _word(value, "-_", 15)
    if text[0] not in LETTERS:
        raise Wrong(f"{show(text)} does not begin with a letter")
    if text in INTERFACES or _is_label(text.rpartition("-")[2]):
        raise Wrong(f"{show(text)} is a name that the kernel or vnet itself uses")
    return text


def _is_label(part: str) -> bool:
    """Tell whether a part of a name reads as `xN` or `xNxM`, as labs and guests are called (`vnet.model`)."""
    return part[:1] == "x" and all(map(_is_number, part[1:].split("x")))


def address(value: Any) -> IPv4Address:
    """Check for an IPv4 address alone."""
    text = string(value)
    try:
        return IPv4Address(text)
    except ValueError:
        hint = ": leave out the prefix length" if "/" in text else ""
        raise Wrong(f"{show(text)} is not an IPv4 address{hint}") from None


def _fit(network: IPv4Network, shown: object, *but: str) -> None:
    """Refuse what the kernel never routes between two hosts."""
    for unfit, why in UNFIT:
        if why not in but and network.overlaps(IPv4Network(unfit)):
            raise Wrong(f"{shown} is {why} ({unfit})")


def host_ip(value: Any) -> IPv4Address:
    """Check the host's address: one of the two that can be used in its /30."""
    ip = address(value)
    _fit(IPv4Network(ip), ip)
    around = IPv4Network((int(ip) & ~3, 30))
    if ip not in (around[1], around[2]):
        what = "network" if ip == around[0] else "broadcast"
        raise Wrong(f"{ip} is the {what} address of {around}, use {around[1]} or {around[2]}")
    return ip


def dns(value: Any) -> Literal["auto", "off"] | IPv4Address:
    """Check what guests resolve with; clouds do have their servers at link-local addresses."""
    if value == "auto":
        return "auto"
    if value == "off":
        return "off"
    ip = address(value)
    _fit(IPv4Network(ip), ip, "link-local")
    return ip


def network(value: Any, shortest: int, longest: int) -> IPv4Network:
    """Check an IPv4 network, written with its prefix length and no more."""
    text = string(value)
    first, _, length = text.partition("/")
    try:
        wide = IPv4Network(text, strict=False)
    except ValueError:
        raise Wrong(f"{show(text)} is not an IPv4 network") from None
    if not 1 <= len(length) <= 2:
        raise Wrong(f"{show(text)} has no prefix length, such as /24")
    if str(wide.network_address) != first:
        raise Wrong(f"{show(text)} has host bits set, the network is {wide}")
    if not shortest <= wide.prefixlen <= longest:
        raise Wrong(f"{wide} is too {'wide' if wide.prefixlen < shortest else 'narrow'}")
    _fit(wide, wide)
    return wide


def port(key: str, value: Any) -> Port:
    """Check one forwarded port: `8000`, `8000/tcp` or `5353/udp`, and where it leads to."""
    digits, slash, given = key.partition("/")
    protocols: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp"}
    protocol = protocols.get(given) if slash else "tcp"
    if protocol is None or not _is_port(digits):
        raise Wrong(f"{show(key)} is not a port")
    try:
        return Port(int(digits), protocol, number(value, 1, 65535))
    except Wrong as wrong:
        raise Wrong(*(f"{key} leads to a wrong port: {text}" for text in wrong.texts)) from None


def _is_port(text: str) -> bool:
    """Tell whether it is a number from 1 to 65535, written the one way."""
    return len(text) <= 5 and text[:1] in set("123456789") and set(text) <= DIGITS and int(text) <= 65535


def ports(value: Any) -> tuple[Port, ...]:
    """Check a table of forwarded ports, all of it; `8000` and `8000/tcp` are one."""
    if not isinstance(value, dict):
        raise not_a(value, "a table")
    return _each(value.items(), lambda item: port(*item), lambda new: f"{new.outside}/{new.protocol}")


def strings(value: Any, check: Callable[[Any], str]) -> tuple[str, ...]:
    """Check a list of strings, all of it."""
    if not isinstance(value, list):
        raise not_a(value, "a list of strings")
    return _each(value, check, str)


def filled(value: Any) -> str:
    """Check for text that is more than blanks."""
    text = string(value)
    if not text.strip():
        raise Wrong(f"{show(text)} is empty")
    return text


def words(value: Any) -> str:
    """Check for a command: text that splits into words as a shell would do it, the first of them a program."""
    text = filled(value)
    try:
        program = split(text)[0]
    except ValueError as error:
        raise Wrong(f"{show(text)} can't be split into words: {str(error).lower()}") from None
    if not program.strip():
        raise Wrong(f"{show(text)} names no program")
    return text


def split(command: str) -> list[str]:
    """Split a command into words; ValueError where a quote or a backslash is left open."""
    import shlex

    return shlex.split(command)


def ready(value: Any) -> str:
    """Check how readiness is told: `tcp:PORT`, or a command."""
    text = words(value)
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "tcp" and not _is_port(rest):
        raise Wrong(f"{show(text)} is not a port")
    if colon and scheme != "tcp" and _is_port(rest):
        raise Wrong(f"{show(text)} is not a way to try a port")
    return text


def _each(values: Iterable[Any], check: Callable[[Any], T], key: Callable[[T], str]) -> tuple[T, ...]:
    """Check every value, and that none is there twice; tell of all that is wrong."""
    found: list[T] = []
    wrong: list[str] = []
    for value in values:
        try:
            found.append(check(value))
        except Wrong as error:
            wrong += error.texts
    times = Counter(map(key, found))
    wrong += [f"{show(text)} is there twice" for text in times if times[text] > 1]
    if wrong:
        raise Wrong(*wrong)
    return tuple(found)
