"""vnet-status --graph: every lab and cut gives a picture that its reader takes, with all that is up in it."""

from __future__ import annotations

import re
import shutil
import subprocess
from ipaddress import IPv4Address, IPv4Network
from xml.etree import ElementTree

import pytest
from conftest import Box
from lab_world import standing

from vnet.cuts.cut import classes, cut
from vnet.cuts.partition import Standing
from vnet.model import Gateway, Guest, Lab, Port
from vnet.picture import graph, scene, svg, tree
from vnet.picture.look import Look
from vnet.picture.status import CutStatus, LabStatus, Part, Status

GATEWAY = Gateway(
    0, 0, "root", "vnet", IPv4Address("172.18.255.1"), IPv4Network("172.18.192.0/19"), 1500, iptables=True
)
PORTS = (Port(8000, "tcp", 80), Port(5353, "udp", 53))
#: Cuts over 6 guests, and how many sides each has: over scene.SIDES they are too many to stand apart.
CUTS = {
    "isolate a": 2, "disjoint a b -- c d -- e f": 3, "split a b c d -- d e f": 3, "oneway a b -- c": 3, "halves": 2,
    "majorities-ring": 6, "isolate a b c d e f": 1,
}  # fmt: skip
#: A line of Mermaid, as its manual has it: knots, links, subgraphs, styles.
MERMAID = re.compile(
    r"""flowchart\ LR|\s*(?:
    \w+\["[^"]*"\](\ ---\ \w+\["[^"]*"\])?|\w+\ ---\ \w+|\w+\ --\ [\d.]+\ ---\ \w+|\w+\ x?-(\.\ "[^"]*"\ \.)?(?(2)|\.)-x\ \w+|
    subgraph\ \w+\["[^"]*"\]|end|style\ \w+\ fill:\#\w{6}|linkStyle\ [\d,]+\ stroke:\#\w{6},color:\#\w{6})""",
    re.VERBOSE,
)


def lab(names: str, words: str = "", *, number: int = 1, packets: int = 0, probe: bool = False) -> LabStatus:
    """Make up a lab whose first guest has ports and a process, and whose second one is gone."""
    guests = [
        Guest(name, IPv4Address("172.18.0.0") + at, PORTS if at == 1 else ())
        for at, name in enumerate(names.split(), 1)
    ]
    made = Lab(f"lab-{number}", number, None, GATEWAY, IPv4Network("172.18.0.0/24"), 1500, tuple(guests))
    parts = [
        Part(made.guest_netns(each), "gone" if at == 1 else "up", (7,) if at == 0 else ())
        for at, each in enumerate(guests)
    ]
    found = None
    if words:
        kind, *rest = words.split()
        wanted = cut(kind, rest, names.split(), seed=1)
        drops = ({"from": a, "to": b, "packets": packets} for a, b in wanted.drops())
        found = CutStatus(Standing(wanted, 1_800_000_000), tuple(drops))
    missed = found.standing.cut.drops() if found else ()
    heard = {a: [b for b in (*names.split(), "bridge", "gateway") if (a, b) not in missed] for a in names.split()}
    return LabStatus(made, Part(made.netns, "up"), tuple(parts), found, heard if probe else None)


def status(*labs: LabStatus) -> Status:
    """Put labs together."""
    return Status(GATEWAY, Part("vnet", "up"), labs)


def well_formed(picture: str) -> None:
    """Read XML."""
    ElementTree.fromstring(picture)  # noqa: S314 -- vnet's own


def drawn(found: Status) -> dict[str, str]:
    """Draw it in each form; each has to be what its reader takes."""
    made = {form: draw(found, "nginx{}".format) for form, draw in
            (("svg", svg.svg), ("dot", graph.dot), ("mermaid", graph.mermaid))}  # fmt: skip
    well_formed(made["svg"])
    wrong = [line for line in made["mermaid"].splitlines() if not MERMAID.fullmatch(line)]
    assert wrong == []
    assert made["mermaid"].count("subgraph ") == len(re.findall(r"^ *end$", made["mermaid"], re.MULTILINE))
    if shutil.which("dot"):
        read = subprocess.run(["dot", "-Tcanon"], input=made["dot"], capture_output=True, text=True)
        assert (read.returncode, read.stderr) == (0, "")
    return made


@pytest.mark.parametrize(("words", "sides"), CUTS.items())
def test_a_cut_is_shown_by_its_sides(words: str, sides: int) -> None:
    """Each guest once, each pair of sides that is cut by one arrow, in all three forms."""
    each = lab("a b c d e f", words, packets=2)
    made, cut_ = scene.scene(each, str), each.cut.standing.cut
    assert len(made.sides) == sides == len(classes(cut_))
    assert sorted(box.name for side in made.sides for box in side.boxes) == list("abcdef")
    members = [[box.name for box in side.boxes] for side in made.sides]
    shown = {(a, b) for miss in made.misses for source, to in ((miss.source, miss.to), (miss.to, miss.source))
             if miss.both or source == miss.source for a in members[source] for b in members[to]}  # fmt: skip
    mute = {(a, b) for side in made.sides if re.search("nobody|each other", side.words)
            for a in (box.name for box in side.boxes) for b in (box.name for box in side.boxes) if a != b}  # fmt: skip
    assert shown | (mute & set(cut_.drops())) == set(cut_.drops())
    assert shown <= set(cut_.drops())
    total = sum(miss.packets for miss in made.misses)
    assert total == 2 * len(shown)
    for form, text in drawn(status(each)).items():
        assert f"cut {cut_.kind}" in text, form
        assert "heals by itself at 2027-01-15T08:00:00Z" in text, form
        assert text.count("dropped") == len(made.misses), form
        assert all(f"172.18.0.{at}" in text for at in range(1, 7)), form


def test_many_guests_many_labs_and_nothing() -> None:
    """Every name is in every form; a cut with a side for each guest becomes a matrix; what is not up is red."""
    many = " ".join(f"node-{at}" for at in range(1, 51))
    found = status(lab(many, "halves"), lab("a b", number=2), lab(many, "majorities-ring", number=3, probe=True))
    for form, text in drawn(found).items():
        assert all(re.search(rf"\bnode-{at}\b", text) for at in range(1, 51)), form
        for word in ("lab-1", "lab-2", "lab-3", "172.18.255.1/30", "172.18.192.10", "gone", ":5353/udp", "nginx7"):
            assert word in text, (form, word)
    ring = found.labs[2].cut.standing.cut
    picture = svg.svg(found, str)
    pairs = 50 * 50 + 50 * 52
    assert picture.count(f"fill='{scene.RED}'><title>") == 2 * len(ring.drops()), "the cut, and what was probed of it"
    assert picture.count("<title>node-") - 100 == pairs
    for text in drawn(Status()).values():
        assert "nothing is up" in text


def test_a_terminal_shows_a_cut_of_many_guests_in_few_lines() -> None:
    """Whole where that is short, else the first of it; a pipe gets every sort of guest."""
    many, look = " ".join(f"node-{at}" for at in range(1, 51)), Look(width=100)
    halves = tree.tree(status(lab(many, "halves")), look, str)
    assert "node-1..node-25: hear nothing from node-26..node-50\n" in halves
    ring = status(lab(many, "majorities-ring"))
    assert "and 45 more sorts of guests (vnet-partition show has all)" in tree.tree(ring, look, str)
    assert len(tree.tree(ring, look, str).splitlines()) < 45
    assert tree.tree(ring, name_of=str).count("hears nothing from") == 50


def test_text_of_others_is_no_markup() -> None:
    """The name of a process can be anything."""
    named = status(lab("a b"))
    for draw in (svg.svg, graph.dot, graph.mermaid):
        text = draw(named, lambda pid: """<b>"&]-->'""")
        assert '<b>"' not in text
        assert '"&]' not in text
    well_formed(svg.svg(named, lambda pid: """<b>"&]-->'"""))


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_the_picture_of_a_real_lab(box: Box) -> None:
    """With its cut; the other forms are imported only where they are asked for."""
    with standing(box, "[guests.web]\nports = { 8000 = 80 }\n[guests.app]\n[guests.db]\n"):
        box.vnet("partition", "isolate", "db")
        made = {
            form: box.vnet("status", "--graph", form, env={"LC_ALL": "C"}).stdout for form in ("svg", "dot", "mermaid")
        }
        for form, text in made.items():
            for word in ("project", "172.18.0.254/24", "web", "app", "db", "8000", "cut isolate: db", "hears nobody"):
                assert word in text, (form, word)
        well_formed(made["svg"])
        well_formed(box.vnet("status", "--graph", "svg", "--probe").stdout)
        done = box.vnet("status", "--graph", "png", check=False)
        assert (done.returncode, done.stdout) == (2, "")
        loaded = box.run("python3", "-X", "importtime", "/opt/vnet/bin/vnet-status").stderr
        assert "vnet.picture.tree" in loaded
        assert not re.search(r"vnet\.picture\.(svg|graph|scene)", loaded)
