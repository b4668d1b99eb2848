"""What the tests of hooks on real labs share: a hook file that notes each call, and what was there at that moment."""

from __future__ import annotations

import json
from typing import Any

from conftest import Box

#: All hooks with their arguments, in the order in which a lab of the guests web and app meets them, and for each call
#: the nodes in which `ip route` runs then. `vnet_failed` comes at the end: it needs a failure.
TIMELINE = (
    ("vnet_before_gateway_up", "gateway", ""),
    ("vnet_after_gateway_up", "gateway", "gateway"),
    ("vnet_before_bridge_up", "lab", "gateway"),
    ("vnet_after_bridge_up", "lab", "gateway bridge"),
    ("vnet_before_guest_up", "lab web", "gateway bridge"),
    ("vnet_before_guest_up", "lab app", "gateway bridge"),
    ("vnet_after_guest_up", "lab web", "gateway bridge guest"),
    ("vnet_after_guest_up", "lab app", "gateway bridge guest"),
    ("vnet_before_partition", "lab isolate", "gateway bridge"),
    ("vnet_after_partition", "lab isolate", "gateway bridge"),
    ("vnet_before_partition", "lab fullmesh", "gateway bridge"),
    ("vnet_after_partition", "lab fullmesh", "gateway bridge"),
    ("vnet_before_guest_down", "lab web", "gateway bridge guest"),
    ("vnet_before_guest_down", "lab app", "gateway bridge guest"),
    ("vnet_after_guest_down", "lab web", "gateway bridge"),
    ("vnet_after_guest_down", "lab app", "gateway bridge"),
    ("vnet_before_bridge_down", "lab", "gateway bridge"),
    ("vnet_after_bridge_down", "lab", "gateway"),
    ("vnet_before_gateway_down", "gateway", "gateway"),
    ("vnet_after_gateway_down", "gateway", ""),
)
FAILED = ("vnet_failed", "step error")
DOWN = tuple(hook for hook, *_ in TIMELINE if hook.endswith("_down"))
GUESTS = "[guests.web]\n[guests.app]\n"

_NOTE = '''\
"""Note each call: who runs it, with what, and where a command can be run at that moment; fail where FAIL says so."""
import json
import os

import vnet

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _answers(node, lab):
    """Tell whether the node has its route, and for a guest whether it gets through to the bridge."""
    if node.exec("ip", "route", check=False).returncode:
        return False
    return not hasattr(node, "ports") or "1 received" in node.exec("ping", "-c1", "-W2", str(lab.bridge.ip)).stdout


def _note(hook, look, given):
    lab, guest = given.get("lab"), given.get("guest")
    gateway = given.get("gateway") or (lab and lab.gateway)
    nodes = {"gateway": gateway, "bridge": lab and lab.bridge, "guest": guest} if look else {}
    there = [name for name, node in nodes.items() if node and _answers(node, lab)]
    shown = {name: str(getattr(value, "kind", getattr(value, "name", value))) for name, value in given.items()}
    call = {"hook": hook, "by": os.path.basename(__file__), "given": shown, "there": " ".join(there),
            "ids": [*os.getresuid(), *os.getresgid()], "sudo": [name for name in os.environ if "SUDO" in name],
            "node": os.environ.get("VNET_NODE", "")}
    with open(f"{FOLDER}/calls", "a") as file:
        file.write(json.dumps(call) + "\\n")
    if hook in os.environ.get("FAIL", "").split():
        raise ValueError(f"no {hook}")

'''


def note(hooks: dict[str, str], *, look: bool = True) -> str:
    """Write a hook file that notes calls of these hooks (name: arguments); `look`: with what is there then."""
    functions = (
        f"\n@vnet.hookimpl\ndef {hook}({', '.join(words.split())}):\n    _note('{hook}', {look}, locals())\n"
        for hook, words in hooks.items()
    )
    return _NOTE + "\n".join(functions)


def arguments(words: str) -> str:
    """Name the arguments of a call in the timeline."""
    first, *more = words.split()
    kinds = {"web": "guest", "app": "guest", "isolate": "cut", "fullmesh": "cut"}
    return " ".join((first, *(kinds.get(word, word) for word in more)))


def all_hooks() -> dict[str, str]:
    """Give every hook with its arguments."""
    return {hook: arguments(words) for hook, words, *_ in (*TIMELINE, FAILED)}


def calls(box: Box) -> list[dict[str, Any]]:
    """Read what was noted, and forget it."""
    text = box.run("sh", "-c", "cat calls 2>/dev/null; rm -f calls").stdout
    return [json.loads(line) for line in text.splitlines()]


def project(box: Box, toml: str = GUESTS, **files: str) -> None:
    """Write a project that loads these hook files: `a="text"` is hooks/a.py."""
    for name, text in files.items():
        box.write(f"hooks/{name}.py", text)
    box.write("vnet.toml", f'[hooks]\nload = ["hooks/*.py"]\n{toml}')
