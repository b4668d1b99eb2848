"""What is measured, section by section; `many.py` has one more. `world.profile` says how much of it: see run.py."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from contenders import OWN, Contender, Pasted, Script, Vnet, ready
from rivals import RIVALS
from world import BIN, Failed, World, guest_ip, names

PYTHON = ("python3", "-c", "pass")


def up(world: World) -> None:
    """One lab, up until every guest answers, and down until the kernel is done."""
    with ready(world, (*OWN, *(RIVALS if world.profile.rivals else ()))) as all_:
        for guests in (*world.profile.guests, *world.profile.wide):
            field = {each: world.profile.runs for each in all_ if each.most >= guests}
            while field := {each: left for each, left in field.items() if left > 0}:
                for contender in field:  # one that fails on a slow machine gets another try, at the cost of two runs
                    field[contender] -= 1 if _round(contender, guests) else 3


def _round(contender: Contender, guests: int) -> bool:
    """Take one contender up and down once; tell whether it could."""
    world, before = contender.world, contender.world.processes()
    contender.prepare(guests)
    try:
        up_s = world.timed(lambda: contender.ready(1, guests))
        world.emit("processes", contender.name, guests, world.processes() - before)

        def down() -> None:
            contender.down(1, guests)
            world.gone(contender.uid)

        down_s = world.timed(down)
    except Failed as error:
        world.say(f"{contender.name}, {guests} guests: {error}")
        world.emit("up", contender.name, guests, str(error))
        with contextlib.suppress(Failed):
            contender.down(1, guests)
        return False
    world.emit("up", contender.name, guests, up_s)
    world.emit("down", contender.name, guests, down_s)
    world.say(f"{guests:5} guests  {contender.name:14} up {up_s:7.3f} s  down {down_s:7.3f} s")
    time.sleep(0.1)
    return True


def first(world: World) -> None:
    """Time the first lab on a machine, gateway and all, and the last one down."""
    world.settle()
    for _ in range(world.profile.runs):
        for kind in (Vnet, Pasted, Script):
            contender = kind(world)
            if isinstance(contender, Pasted):
                contender.prepare(3, whole=True)
            else:
                contender.prepare(3)
            world.gone(0)

            def all_up(each: Contender = contender) -> None:
                if isinstance(each, Script):
                    each.gateway("up")
                each.ready(1, 3)

            def all_down(each: Contender = contender) -> None:
                if type(each) is Vnet:
                    each.vnet("down", "-q", "--all", "--gateway")
                else:
                    each.down(1, 3)
                    each.gateway("down")
                each.world.gone(0)

            world.emit("first up", contender.name, 3, world.timed(all_up))
            world.emit("last down", contender.name, 3, world.timed(all_down))
            time.sleep(0.1)


def change(world: World) -> None:
    """Time what is done with a lab that stands: up again, one guest more, status, exec."""
    runs = world.profile.runs
    with ready(world, (Vnet, Script)) as (vnet, script):
        assert isinstance(vnet, Vnet)
        assert isinstance(script, Script)
        for guests in (3, max(world.profile.guests)):
            vnet.prepare(guests)
            vnet.up(1, guests)
            tasks: dict[str, Callable[[], object]] = {"vnet": lambda size=guests: vnet.up(1, size)}
            world.repeat("no-op up", guests, 2 * runs, {**tasks, "python3 -c pass": lambda: world.run(*PYTHON)})
            world.repeat("status", guests, runs, {"vnet": lambda: vnet.vnet("status", "-n", "lab1")})
            vnet.down(1, guests)
        guests = min(max(world.profile.guests), 250)
        vnet.prepare(guests)
        for each in (vnet, script):
            each.ready(1, guests)
        for _ in range(runs):
            _one_more(vnet, script, guests)
        _exec(vnet, runs)
        for each in (vnet, script):
            each.down(1, guests)


def _one_more(vnet: Vnet, script: Script, guests: int) -> None:
    """Add a guest to a lab, and remove it."""
    world = vnet.world
    for op, size in (("one more", guests + 1), ("one less", guests)):
        vnet.write(names(size))
        words = (1, guests + 1, 24) if op == "one more" else (1, guests + 1)
        verb = "add" if op == "one more" else "remove"
        world.emit(op, vnet.name, guests, world.timed(lambda size=size: vnet.ready(1, size)))
        world.emit(op, script.name, guests, world.timed(lambda verb=verb, words=words: script.script(verb, *words)))


def _exec(vnet: Vnet, runs: int) -> None:
    """Compare a command in a guest with the command alone, and with Python alone."""
    world = vnet.world
    inside: dict[str, Callable[[], object]] = {
        "vnet-exec true": lambda: vnet.vnet("exec", "-n", "lab1", "g1", "--", "true"),
        "true": lambda: world.run("true"),
        "python3 -c pass": lambda: world.run(*PYTHON),
    }
    world.repeat("exec", 1, 4 * runs, inside)


def partition(world: World) -> None:
    """Cut a whole lab, beside one iptables-restore in each guest."""
    with ready(world, (Vnet, Script)) as (vnet, script):
        assert isinstance(vnet, Vnet)
        assert isinstance(script, Script)
        for guests in world.profile.cut:
            vnet.prepare(guests)
            for each in (vnet, script):
                each.ready(1, guests)

            def cut(*words: str) -> Callable[[], object]:
                return lambda: vnet.vnet("partition", "-q", "-n", "lab1", *words)

            for _ in range(world.profile.runs):
                for op, alone in (("cut", 1), ("cut to another", 2)):
                    world.repeat(op, guests, 1, {
                        "vnet": cut("isolate", f"g{alone}"),
                        "restore in each guest": lambda n=guests, alone=alone: script.script("cut", 1, n, alone),
                    })  # fmt: skip
                world.repeat("heal", guests, 1, {"vnet": cut("fullmesh"),
                                                 "restore in each guest": lambda n=guests: script.script("heal", 1, n)})  # fmt: skip
                world.repeat("cut in halves", guests, 1, {"vnet": cut("halves", "--seed", "1")})
                world.run(f"{BIN}/vnet-partition", "-q", "-n", "lab1", "fullmesh", cwd="/root/lab")
            for each in (vnet, script):
                each.down(1, guests)


def memory(world: World) -> None:
    """Weigh what a guest and a lab cost the kernel, in kB."""
    guests, many = max(world.profile.guests), min(max(world.profile.labs), 32)
    with ready(world, (Vnet,)) as (vnet,):
        for _ in range(world.profile.runs):
            time.sleep(0.5)
            vnet.prepare(guests)
            before = world.kernel_kb()
            vnet.ready(1, guests)
            world.emit("kB a guest", vnet.name, guests, (world.kernel_kb() - before) / guests)
            vnet.down(1, guests)
            world.gone(0)
            time.sleep(0.5)
            vnet.prepare(1)
            before = world.kernel_kb()
            for lab in range(1, many + 1):
                vnet.ready(lab, 1)
            world.emit("kB a lab of one guest", vnet.name, many, (world.kernel_kb() - before) / many)
            vnet.all_down(many)


def data(world: World) -> None:
    """One TCP stream, and request and response, along each path."""
    seconds = str(world.profile.seconds)
    for mtu in (1500, 65535):
        with ready(world, (Vnet,)) as (vnet,):
            assert isinstance(vnet, Vnet)
            vnet.gateway("down")  # its links have the MTU as well
            forward = "[guests.b]\nports = { 5000 = 5000 }\n"
            vnet.write(["a"], f"[networks]\nmtu = {mtu}\n{forward}")
            vnet.vnet("up", "-q", "-n", "lab1")
            guest = (f"{BIN}/vnet-exec", "-n", "lab1", "a", "--")
            other = (f"{BIN}/vnet-exec", "-n", "lab1", "b", "--")
            paths = {
                "loopback": (guest, "127.0.0.1"),
                "guest to guest": (guest, guest_ip(1)),
                "guest to host": (guest, "172.18.255.1"),
                "host to forwarded port": ((), "172.18.255.2"),
            }
            with world.serving(*guest), world.serving(*other), world.serving():
                for _ in range(world.profile.runs):
                    for who, (before, address) in paths.items():
                        for op in ("stream", "echo"):
                            said = world.run(*before, f"{world.programs}/probe", op, address, "5000", seconds)
                            world.emit(op, who, mtu, float(said))
            vnet.down(1, 2)
