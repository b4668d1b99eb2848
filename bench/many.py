"""Many labs: side by side with the others up to what one has patience for, and then as many as there can be."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

from contenders import Contender, Floor, Pasted, Script, Vnet, ready
from world import Failed, World


def labs(world: World) -> None:
    """Many labs of one guest, one at a time and eight at once."""
    with ready(world, (Vnet, Pasted, Script, Floor)) as all_:
        for contender in all_:
            contender.prepare(1, max(world.profile.labs))
        for count in world.profile.labs:
            for _ in range(world.profile.runs):
                for contender in all_:
                    for at_once in (1, 8):
                        _tell(contender, count, at_once, _many(contender, range(1, count + 1), at_once))
                        down_s = world.timed(lambda each=contender, last=count: each.all_down(last))
                        world.emit("labs down", contender.name, count, down_s)
                        time.sleep(0.1)
    if world.profile.many:
        scale(world)


def _many(contender: Contender, numbers: range, at_once: int) -> float:
    """Bring labs up, some at a time; the seconds until all answer."""
    with ThreadPoolExecutor(at_once) as pool:
        return contender.world.timed(lambda: list(pool.map(lambda lab: contender.ready(lab, 1), numbers)))


def _tell(contender: Contender, count: int, at_once: int, took_s: float) -> None:
    """Note how long so many labs took."""
    contender.world.emit(f"labs, {at_once} at once", contender.name, count, took_s)
    contender.world.say(f"{count:5} labs    {contender.name:14} {at_once} at a time {took_s:7.3f} s")


def scale(world: World) -> None:
    """Grow to as many labs as there can be; one at a time lab by lab, then eight at once."""
    most = max(world.profile.many)
    with ready(world, (Vnet, Floor, Script)) as all_:
        for contender in all_[:2]:
            contender.prepare(1)
            for at_once in (1, 8):
                try:
                    _grow(contender, at_once)
                    if contender.name == "vnet" and at_once == 1:
                        _full(contender, most)
                except Failed as error:
                    world.say(f"{contender.name}: {error}")
                    world.emit(f"labs, {at_once} at once", contender.name, most, str(error))
                contender.all_down(most)


def _grow(contender: Contender, at_once: int) -> None:
    """Bring labs up until there are as many as there can be."""
    world, total_s, done = contender.world, 0.0, 0
    for mark in sorted(world.profile.many):
        if at_once == 1:
            for lab in range(done + 1, mark + 1):
                took_s = world.timed(lambda lab=lab: contender.ready(lab, 1))
                total_s += took_s
                world.emit("lab number", contender.name, lab, took_s)
        else:
            total_s += _many(contender, range(done + 1, mark + 1), at_once)
        _tell(contender, mark, at_once, total_s)
        done = mark


def _full(contender: Contender, most: int) -> None:
    """With all labs up: every guest answers, and one lab more is refused."""
    world = contender.world
    answering = 0
    for lab in range(1, most + 1):
        with contextlib.suppress(Failed):
            contender.ask(lab, 1)
            answering += 1
    world.emit("labs that answer", contender.name, most, answering)
    if most == 2048:
        try:
            contender.up(most + 1, 1)
            world.emit("one lab too many", contender.name, most + 1, "it was made")
        except Failed as error:
            world.say(f"one lab too many: {error}")
            world.emit("one lab too many", contender.name, most + 1, 1)
