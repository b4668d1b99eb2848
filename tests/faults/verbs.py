"""The verbs that harm is done to: how the machine stands before each, and what has to hold afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from faults.world import World

BASE = "[guests.a]\nports = { 8000 = 8000 }\n[guests.b]\n[guests.c]\n"
EDITED = '[guests.a]\nports = { 8000 = 8000, 8001 = 8001 }\n[guests.c]\nip = "172.18.0.9"\n[guests.d]\n'
NAMES = {BASE: ["a", "b", "c"], EDITED: ["a", "c", "d"]}
PORTS = {BASE: [8000], EDITED: [8000, 8001]}
#: What a verb may end with when a tool fails it: see the contract.
STATUSES = (0, 1)


@dataclass(frozen=True)
class Verb:
    """One verb in one situation. `state`: how the machine stands before. `wants`: whether its success means a lab."""

    name: str
    argv: tuple[str, ...]
    state: str
    wants: bool = False
    statuses: tuple[int, ...] = STATUSES


VERBS = {verb.name: verb for verb in (
    Verb("first up", ("up",), "clean", wants=True),
    Verb("up", ("up",), "gateway", wants=True),
    Verb("up, no change", ("up",), "lab", wants=True),
    Verb("up, converging", ("up",), "edited", wants=True),
    Verb("up, mending", ("up",), "damaged", wants=True),
    Verb("down", ("down",), "busy"),
    Verb("down GUEST", ("down", "b"), "lab"),
    Verb("partition", ("partition", "isolate", "a"), "lab"),
    Verb("heal", ("partition", "fullmesh"), "cut"),
    Verb("status", ("status", "--probe"), "lab"),
    # what is run there may be a sham itself, and its status is vnet-exec's
    Verb("exec", ("exec", "a", "--", "true"), "lab", statuses=(0, 1, 2, 4, 125, 126, 127)),
    Verb("down --gateway", ("down", "--all", "--gateway"), "busy"),
)}  # fmt: skip


class Bench:
    """A world, and how it stands: brought to where a verb begins, with as little work as possible."""

    def __init__(self, way: str) -> None:
        self.way, self.state, self.text = way, "clean", ""
        self.world = World(way)

    def renew(self) -> None:
        """Take another machine: what went wrong on this one is not to go on."""
        self.world.close()
        self.__init__(self.way)  # type: ignore[misc]

    def go(self, state: str) -> None:
        """Bring the machine to a state."""
        steps: dict[str, Callable[[], None]] = {
            "clean": self._clean, "gateway": self._gateway, "lab": self._lab, "edited": self._edited,
            "damaged": self._damaged, "busy": self._busy, "cut": self._cut,
        }  # fmt: skip
        steps[state]()
        self.state = "?"

    def _settings(self, text: str) -> None:
        if text != self.text:
            self.world.settings(text)
            self.text = text

    def _must(self, *argv: str) -> dict[str, Any]:
        told = self.world.verb(*argv)
        assert told["status"] == 0, f"{argv}: {told['status']} {told['said']}"
        return told

    def _clean(self) -> None:
        if self.state != "clean":
            self._must("down", "--all", "--gateway")
        self._settings(BASE)

    def _gateway(self) -> None:
        if self.state == "clean":
            self._lab()
        if self.state != "gateway":
            self._must("down")
        self._settings(BASE)

    def _lab(self) -> None:
        standing = self.state == "lab" and self.text == BASE
        self._settings(BASE)
        if not standing:
            self._must("up")

    def _edited(self) -> None:
        """Edit the file of a standing lab; where it stands as edited, the other way round."""
        if self.state != "lab":
            self._lab()
        self._settings(EDITED if self.text == BASE else BASE)

    def _damaged(self) -> None:
        self._lab()
        self.world.sh("iptables -F; iptables -t nat -F")
        self.world.do("inside", name="b", script="ip link del eth0")

    def _busy(self) -> None:
        self._lab()
        self.world.do("busy", name="a")

    def _cut(self) -> None:
        self._lab()
        self._must("partition", "isolate", "a")

    # What has to hold afterwards.

    def works(self) -> list[str]:
        """Tell what does not work in the lab that the settings describe."""
        return list(self.world.do("works", names=NAMES[self.text], ports=PORTS[self.text]))

    def recover_up(self) -> list[str]:
        """Bring it up again, and tell what does not work then."""
        told = self.world.verb("up")
        if told["status"] or told["hung"]:
            return [f"vnet-up after it: status {told['status']}: {told['said'][-600:]}"]
        wrong = self.cut_is_true() or self.works()
        self.state = "lab"
        return wrong

    def cut_is_true(self) -> list[str]:
        """See that the cut that vnet tells is the one that packets meet; then heal."""
        names = NAMES[self.text]
        cut = self.world.do("cut")
        if cut is None:
            return []
        reach = {tuple(pair) for pair in self.world.do("reach", names=names)}
        deaf = {(to, source) for to, sources in cut["deaf"].items() for source in sources}
        wanted = {(x, y) for x in names for y in names if x != y and not {(x, y), (y, x)} & deaf}
        healed = self.world.verb("partition", "fullmesh")
        wrong = [] if reach == wanted else [f"the cut {deaf} is told, but answers come: {sorted(reach)}"]
        return wrong + ([f"heal: {healed['said'][-300:]}"] if healed["status"] else [])

    def recover_down(self) -> list[str]:
        """Take all away, and tell what is left."""
        told = self.world.verb("down", "--all", "--gateway")
        wrong = [f"vnet-down after it: status {told['status']}: {told['said'][-600:]}"] if told["status"] else []
        left = [f"left: {line[:160]}" for line in self.world.do("same")]
        left = [*left[:8], f"left: and {len(left) - 8} more"] if len(left) > 8 else left
        self.state = "clean"
        return wrong + left
