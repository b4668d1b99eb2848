"""A storm: many processes of vnet at once, up, down, partition and status at random, over few labs and over many.

python tests/faults/storm.py [--way WAY] [--processes N] [--seconds S]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from faults.world import WAYS, World
from inside import Process

GUESTS = ("a", "b", "c")
#: Statuses that a verb may end with while others pull at the same lab: 0; 3 where it is not up just now; 2 where it is up with
#: other guests.
ALLOWED = {"up": (0,), "down": (0,), "partition": (0, 2, 3), "status": (0,)}


def words(chance: random.Random) -> tuple[str, ...]:
    """Choose what one process does."""
    lab = chance.choice(("one", "one", "one", *(f"lab{number}" for number in range(12))))
    choice = chance.random()
    if choice < 0.4:
        return ("up", "-q", "-n", lab, *chance.sample(GUESTS, 2))
    if choice < 0.65:
        return ("down", "-n", lab)
    if choice < 0.9:
        return ("partition", "-q", "-n", lab, *chance.choice((("isolate", "a"), ("fullmesh",), ("halves",))))
    return ("status", "--json")


def storm(world: World, processes: int, seconds: float, seed: int) -> tuple[Counter[str], list[str]]:
    """Keep so many processes running for so long; gives what they ended with, and what was wrong."""
    chance, ends, wrong = random.Random(seed), Counter[str](), list[str]()  # noqa: S311
    running: dict[Process, tuple[tuple[str, ...], float]] = {}
    until = time.monotonic() + seconds
    while running or time.monotonic() < until:
        while len(running) < processes and time.monotonic() < until:
            argv = words(chance)
            running[_start(world, argv)] = (argv, time.monotonic())
        for process, (argv, began) in list(running.items()):
            if process.poll() is not None:
                said = process.communicate()
                del running[process]
                ends[f"{argv[0]} {process.returncode}"] += 1
                if process.returncode not in ALLOWED[argv[0]] or "Traceback" in said[1]:
                    wrong.append(f"{' '.join(argv)}: status {process.returncode}: {said[1][-500:]}")
            elif time.monotonic() - began > 150:
                wrong.append(f"{' '.join(argv)}: hangs")
                process.kill()
        wrong += duplicates(world) if chance.random() < 0.05 else []
        time.sleep(0.01)
    return ends, wrong + duplicates(world)


def _start(world: World, argv: tuple[str, ...]) -> Process:
    return world.machine.popen(
        f"/opt/vnet/bin/vnet-{argv[0]}", *argv[1:], user=world.user, cwd=f"{world.home}/project", stdout=-1, stderr=-1
    )


def duplicates(world: World) -> list[str]:
    """Tell which number or subnet two labs have, and which rule of the host is there twice."""
    told = world.machine.vnet("status", "--json", user=world.user, cwd=f"{world.home}/project", check=False)
    labs: list[dict[str, Any]] = json.loads(told.stdout)["labs"] if told.returncode == 0 else []
    uplinks = Counter(lab["bridge"]["uplink"] for lab in labs)
    rules = Counter(line for line in world.sh("iptables-save").splitlines() if line.startswith("-A"))
    return [f"twice: {each}" for counter in (uplinks, rules) for each, times in counter.items() if times > 1]


def clean(world: World) -> list[str]:
    """Take all away, and tell what is left."""
    told = world.verb("down", "--all", "--gateway", limit_s=120)
    wrong = [f"vnet-down: status {told['status']}: {told['said'][-500:]}"] if told["status"] else []
    return wrong + [f"left: {line[:200]}" for line in world.do("same")]


def main() -> int:
    """Raise a storm in each way, and tell what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    bad = 0
    for way in options.way or WAYS:
        world = World(way)
        try:
            ends, wrong = storm(world, options.processes, options.seconds, options.seed)
            wrong += clean(world)
        finally:
            world.close()
        print(f"{way}: {sum(ends.values())} ended: {dict(sorted(ends.items()))}; wrong: {len(wrong)}")
        print(*dict.fromkeys(wrong), sep="\n", flush=True)
        bad += len(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
