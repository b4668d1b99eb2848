"""The measuring side of the benchmark; it runs on a simulated machine: measure.py SECTION PROGRAMS PROFILE.

Each measurement is one line of JSON on stdout: what was done (`op`), by whom, how large, and the value. stderr tells what is going on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import many
import sections
from world import World


def main() -> int:
    """Run one section."""
    section, programs, profile = sys.argv[1:]
    for number in (
        signal.SIGINT,
        signal.SIGHUP,
    ):  # a job in the background may ignore them, and munet waits for what they end
        signal.signal(number, signal.SIG_DFL)
    _set("user/max_user_namespaces", "10000")  # this machine has them forbidden to begin with
    _set("net/bridge/bridge-nf-call-iptables", "0")  # as Mininet asks for, lest the machine's rules judge its guests
    started = time.monotonic()
    world = World(programs, json.loads(profile))
    getattr(many if section == "labs" else sections, section)(world)
    world.say(f"{section}: {time.monotonic() - started:.0f} s")
    return 0


def _set(key: str, value: str) -> None:
    """Set one of the machine's switches, where the kernel has it."""
    path = f"/proc/sys/{key}"
    if os.path.exists(path):
        with open(path, "w") as file:
            file.write(value)


if __name__ == "__main__":
    sys.exit(main())
