"""vnet-partition as people call it, in the three ways: from inside and outside, twice, refused, shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Box
from lab_world import as_root, inside, pings, standing
from partition_world import saved

A, B, C = "172.18.0.1", "172.18.0.2", "172.18.0.3"
THREE = "[guests.a]\n[guests.b]\n[guests.c]\n"
REFUSED = (
    ("isolate", "x"),
    ("disjoint", "a", "--", "b"),
    ("oneway", "a"),
    ("rings",),
    ("halves", "a"),
    ("--for", "0", "halves"),
)


def shown(box: Box) -> dict[str, Any]:
    """Read `show --json`."""
    return dict(json.loads(box.vnet("partition", "show", "--json").stdout)["cut"])


def lost(box: Box, node: str, address: str) -> bool:
    """Tell whether a ping from a node gets no answer within a moment."""
    return inside(box, node, "ping", "-c1", "-W0.3", address, check=False).returncode == 1


@pytest.mark.quick_in("userns", "sudo")
def test_from_inside_as_from_outside(box: Box) -> None:
    """Without a path and without more rights: from a guest, from a script in the bridge, as the lab's root."""
    with standing(box, THREE):
        inside(box, "a", "vnet-partition", "isolate", "a")
        assert lost(box, "a", B)
        assert pings(box, "b", C) == []
        _twice_or_refused(box)
        box.write("nemesis.sh", "vnet-partition oneway a -- b && vnet-partition isolate b\n")
        inside(box, "bridge", "sh", "nemesis.sh")
        assert lost(box, "a", B)
        assert pings(box, "a", C) == []
        as_root(box, "c", "vnet-partition", "fullmesh")
        assert pings(box, "a", B, C) == []


def _twice_or_refused(box: Box) -> None:
    """Ask for what changes nothing: neither the rules nor what they have counted; and `run` is vnet-exec."""
    before, rules = saved(box, "iptables", "-c"), saved(box, "ip6tables")
    told = shown(box)
    pairs = [("a", "b"), ("a", "c"), ("b", "a"), ("c", "a")]
    assert [(each["from"], each["to"]) for each in told["drops"]] == pairs
    assert told["drops"][0]["packets"] > 0
    box.vnet("partition", "isolate", "a")
    assert [box.vnet("partition", *words, check=False).returncode for words in REFUSED] == [2] * len(REFUSED)
    assert _counted(saved(box, "iptables", "-c")) == _counted(before)
    assert _counted(saved(box, "ip6tables")) == _counted(rules)
    done = inside(box, "a", "vnet-partition", "run", "b", "sh", "-c", "echo $VNET_NODE; exit 7", check=False)
    assert (done.stdout, done.returncode) == ("b\n", 7)
    status = json.loads(box.vnet("status", "--json").stdout)["labs"][0]["cut"]
    assert {key: status[key] for key in ("kind", "groups", "until")} == {
        "kind": "isolate",
        "groups": [["a"]],
        "until": None,
    }
    assert status["deaf"] == told["deaf"] == {"a": ["b", "c"], "b": ["a"], "c": ["a"]}
    assert "isolate" in box.vnet("status").stdout


def _counted(text: str) -> list[str]:
    """List the rules, without the comments, which hold the time."""
    return [line for line in text.splitlines() if "-A " in line]
