"""Man pages, for man(1): `vnet` and one of each verb."""

from __future__ import annotations

from collections.abc import Iterator

from vnet import __version__
from vnet.share.grammar import Option, Verb

STATUS = (
    ("0", "what was asked for holds now"), ("1", "it failed; what was half made was taken back"),
    ("2", "wrong usage or wrong settings; nothing was touched"), ("3", "the lab, or the guest, is not up"),
)  # fmt: skip
EXEC_STATUS = (
    ("the command's own", "or"), ("2", "wrong usage"), ("3", "the lab, or the node, is not up"),
    ("125", "vnet-exec failed"), ("126", "the command can't be run"), ("127", "the command was not found"),
)  # fmt: skip
ABOUT = """\
Networks to test distributed software on, built from kernel namespaces, and a way to break them. A lab is one bridge with its
guests, each of which is a network namespace with a fixed address; a gateway, shared by all labs of a user, leads to the host.
Nothing of vnet stays running: a lab is kernel state and costs no process."""
FILES = (
    ("vnet.toml", "the project's settings, here or above"), ("$XDG_CONFIG_HOME/vnet/settings.toml", "those of the user"),
    ("/etc/vnet/settings.toml", "those of the machine"), ("/run/vnet/UID/", "what is up, of one user"),
)  # fmt: skip
VARIABLES = (
    ("VNET_FILE, VNET_LAB", "what -f and -n say, where they do not"), ("VNET_HOST_IP", "the host's address"),
    ("NO_COLOR", "no colours, also on a terminal"),
)  # fmt: skip


def files(verbs: list[Verb]) -> dict[str, str]:
    """Write them, by name."""
    pages = {f"vnet-{verb.name}.1": _page(verb, verbs) for verb in verbs}
    return {"vnet.1": _first(verbs), **pages}


def _first(verbs: list[Verb]) -> str:
    """Write the page that leads to the others."""
    lines = [*_head("vnet", "networks of namespaces to test distributed software on, and to break")]
    lines += [
        ".SH SYNOPSIS",
        r".B vnet",
        r"\fIVERB\fR [\fIOPTION\fR ...] [\fIWORD\fR ...]",
        ".br",
        r".B vnet-\fIVERB\fR ...",
    ]
    lines += [".SH DESCRIPTION", *_plain(ABOUT), ".SH VERBS"]
    lines += [line for verb in verbs for line in _item(rf"\fBvnet\-{verb.name}\fR(1)", verb.does)]
    return _written(lines, _ends(verbs, "vnet", STATUS))


def _page(verb: Verb, verbs: list[Verb]) -> str:
    """Write the page of a verb."""
    name = f"vnet-{verb.name}"
    lines = [*_head(name, verb.does), ".SH SYNOPSIS", rf".B {_safe(name)}", *_synopsis(verb), ".SH DESCRIPTION"]
    text, examples = _parted(verb.text)
    lines += text
    lines += [".SH OPTIONS", *(line for option in verb.options for line in _option(option))]
    lines += [line for word in verb.words for line in _item(rf"\fI{_safe(word.name)}\fR", word.help)]
    if examples:
        lines += [".SH EXAMPLES", *(line for example in examples for line in _example(example))]
    return _written(lines, _ends(verbs, name, EXEC_STATUS if verb.name == "exec" else STATUS))


def _head(name: str, does: str) -> Iterator[str]:
    """Begin a page."""
    yield ".\\\" Written by `python -m vnet.share` from the commands' own parsers: change it there."
    yield f'.TH {_safe(name.upper())} 1 "" "vnet {__version__}" "vnet"'
    yield from (".SH NAME", f"{_safe(name)} \\- {_safe(does)}")


def _ends(verbs: list[Verb], name: str, statuses: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """End a page."""
    for title, rows in (("EXIT STATUS", statuses), ("ENVIRONMENT", VARIABLES), ("FILES", FILES)):
        yield f".SH {title}"
        for left, right in rows:
            yield from _item(rf"\fB{_safe(left)}\fR", right)
    yield ".SH SEE ALSO"
    names = [each for each in ("vnet", *(f"vnet-{verb.name}" for verb in verbs)) if each != name]
    yield ",\n".join(rf"\fB{_safe(each)}\fR(1)" for each in names)


def _synopsis(verb: Verb) -> Iterator[str]:
    """Write an option or a word a line."""
    for option in verb.options:
        yield f"[{_names(option, option.names[-1:])}]"
    for word in verb.words:
        name = rf"\fI{_safe(word.name)}\fR"
        if verb.name == "exec":
            yield f"{name} ..." if word.many else rf"{name} [\-\-]"
        else:
            yield f"[{name} ...]" if word.many else name


def _option(option: Option) -> list[str]:
    """Write an option."""
    return _item(_names(option, option.names), option.help)


def _names(option: Option, names: tuple[str, ...]) -> str:
    """Write an option's names, with the value it takes."""
    value = rf" \fI{_safe(option.value)}\fR" + (" ..." if option.many else "") if option.value else ""
    return ", ".join(rf"\fB{_safe(name)}\fR" for name in names) + value


def _item(head: str, text: str) -> list[str]:
    """Write a term, and what is said of it."""
    return [".TP", head, _safe(text)]


def _example(text: str) -> list[str]:
    """Write a command, and what it is good for, which more than one blank parts."""
    command, _, what = text.partition("  ")
    return [".TP", rf"\fB{_safe(command)}\fR", _safe(what.strip())]


def _parted(doc: str) -> tuple[list[str], list[str]]:
    """Part a verb's text into paragraphs and examples: lines that begin with a command's name, or are indented."""
    lines = doc.split("\n")
    examples = [line.strip() for line in lines if line.startswith(("  ", "vnet-"))]
    return _plain("\n".join(line for line in lines if not line.startswith(("  ", "vnet-")))), examples


def _plain(text: str) -> list[str]:
    """Write paragraphs."""
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    return [line for part in parts for line in (".PP", *map(_safe, part.split("\n")))][1:]


def _safe(text: str) -> str:
    """Write a text so that nothing in it is an order to the formatter (groff_man(7), man-pages(7))."""
    text = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha")
    )
    return f"\\&{text}" if text.startswith(".") else text.replace("~", "\\(ti")


def _written(lines: list[str], ends: Iterator[str]) -> str:
    """Put a page together."""
    return "\n".join([*lines, *ends]) + "\n"
