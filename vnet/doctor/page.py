"""How the findings are shown: what is wrong first, each with what mends it; what is well, a line each."""

from __future__ import annotations

import json
from textwrap import wrap

from vnet.doctor.checks import CHECKS, Finding, can
from vnet.doctor.said import LEVELS
from vnet.picture.look import Look

WORDS = {"fail": "problem", "warn": "warning", "note": "unknown", "ok": "ok"}
COLOURS = {"fail": "red", "warn": "yellow", "note": "bold"}
#: Columns in front of what is said.
LEFT = 2 + max(map(len, WORDS.values())) + 2 + max(map(len, CHECKS)) + 2


def text(findings: tuple[Finding, ...], look: Look) -> str:
    """Write them for a person."""
    shown = sorted(findings, key=lambda finding: LEVELS.index(finding.said.level))
    counts = [(sum(each.said.level == level for each in findings), WORDS[level]) for level in LEVELS[:3]]
    rest = ", ".join(
        f"{count} {word}{'s' if count > 1 and word != 'unknown' else ''}" for count, word in counts if count
    )
    head = "a lab can be made here" if can(findings) else "no lab can be made here"
    return "\n".join(
        (look.paint(head, "bold") + (f": {rest}" if rest else ""), *(_entry(each, look) for each in shown))
    )


def _entry(finding: Finding, look: Look) -> str:
    """Write one."""
    name, said = finding
    word = WORDS[said.level].ljust(max(map(len, WORDS.values())))
    word = look.paint(word, COLOURS[said.level]) if said.level in COLOURS else word
    lines = wrap(said.what, max(look.width - LEFT, 30), break_long_words=False) if look.width else [said.what]
    what = f"\n{'':{LEFT}}".join(lines)
    first = f"  {word}  {name:<{max(map(len, CHECKS))}}  {what}"
    return (
        f"{first}\n{'':{LEFT}}{look.paint('$' if _is_command(said.mend) else '->', 'bold')} {said.mend}"
        if said.mend
        else first
    )


def _is_command(mend: str) -> bool:
    """Tell a command from advice."""
    return mend.split(maxsplit=1)[0] in ("sudo", "su", "pip", "export", "vnet-down", "for")


def to_json(findings: tuple[Finding, ...], way: str) -> str:
    """Write them for a program; see doctor.schema.json."""
    checks = [
        {"check": name, "level": said.level, "what": said.what, "mend": said.mend or None} for name, said in findings
    ]
    return json.dumps({"schema": 1, "can": can(findings), "way": way, "checks": checks}, indent=1)
