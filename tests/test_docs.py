"""The pages that users read say what the code does, and lead nowhere that is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from vnet import share
from vnet.cli import VERBS, docs
from vnet.cuts.cut import KINDS, cut
from vnet.cuts.observe import MATCHES
from vnet.cuts.step import BITS, PAIRS

REPO = Path(__file__).resolve().parent.parent
PAGES = [REPO / "README.md", *sorted(REPO.glob("docs/*.md")), *sorted(REPO.glob("examples/*/README.md"))]


def test_the_page_of_commands_is_up_to_date() -> None:
    """It is written from the parsers."""
    assert (REPO / "docs/commands.md").read_text(encoding="utf-8") == docs.document(), (
        "python -m vnet.cli.docs > docs/commands.md"
    )


def test_completions_and_man_pages_are_up_to_date() -> None:
    """They are written from the parsers."""
    root = REPO / "share"
    found = {
        str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in root.rglob("*") if path.is_file()
    }
    assert found == share.files(), "python -m vnet.share"


def test_the_readme_lists_every_command_once() -> None:
    """And bin/ has a program for each."""
    text = (REPO / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `vnet-(\w+)", text, re.MULTILINE) == list(VERBS)
    assert {path.name for path in (REPO / "bin").iterdir()} == {"vnet", *(f"vnet-{verb}" for verb in VERBS)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page is a file of the project, and each heading that is linked to is there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            path, _, heading = target.partition("#")
            to = page.parent / path if path else page
            assert to.exists(), target
            assert not heading or heading in headings(to), target


def headings(page: Path) -> set[str]:
    """List the anchors of a page's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in found}


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_printed(verb: str) -> None:
    """By each program, with status 0 and an example."""
    done = subprocess.run([sys.executable, REPO / f"bin/vnet-{verb}", "--help"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(f"vnet-{verb}") > 1


def test_the_page_of_splits_has_every_kind_and_what_it_does() -> None:
    """Each row of its table is what the code makes of the words in it, and each number and name in it is the code's."""
    text = (REPO / "docs/partition.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    assert tuple(words.split()[0] for words, _ in rows) == KINDS
    for words, does in rows:
        kind, _, seed = words.partition(" --seed ")
        made = cut(kind.split()[0], kind.split()[1:], tuple("abcde"), seed=int(seed) if seed else None)
        assert "; ".join(made.describe()[1:]) == does
    assert f"Up to {PAIRS:,} pairs" in text
    assert f"up to {BITS} sorts" in text
    assert all(match in text for match in MATCHES)
