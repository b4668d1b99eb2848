"""Injects faults into vnet, one after the other, and counts what came of them: `make faults`.

python tests/faults/campaign.py [--way WAY] [--verb VERB] [--act ACT] [--every N] [--out FILE] [--seed N]
"""

from __future__ import annotations

import argparse
import errno
import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from faults import meddle
from faults.verbs import VERBS, Bench, Verb
from faults.world import WAYS

Fault = dict[str, Any]
#: Seconds after which a verb counts as hanging.
LIMIT_S = 30.0
SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "HUP": signal.SIGHUP}
#: What a tool says and ends with, in place of doing its work.
SHAMS = {
    "EPERM": "echo 'RTNETLINK answers: Operation not permitted' >&2; exit 2",
    "EEXIST": "echo 'RTNETLINK answers: File exists' >&2; exit 2",
    "EBUSY": "echo 'Device or resource busy' >&2; exit 1",
    "ENOSPC": "echo 'No space left on device' >&2; exit 4",
    "garbage": "head -c 3000 /dev/urandom; head -c 300 /dev/urandom >&2; exit 1",
    "liar": "head -c 3000 /dev/urandom; exit 0",
    "hang": "exec sleep 1000",
}
ERRNOS = ("EPERM", "EIO", "ENOSPC", "EROFS", "ENOENT")
ACTS = ("meddle", "kill", "main", "python", "random", *SIGNALS, "stop", *SHAMS, *(f"call {name}" for name in ERRNOS))
#: Only each N-th point of these: what they find depends less on the very point.
SHARES = {"main": 2, "TERM": 4, "INT": 6, "HUP": 6, "stop": 2, **{f"call {name}": 6 for name in ERRNOS}}
#: Where the runner's time limit of a process is set shorter for tools that hang.
SHORT_S = 0.4


@dataclass
class Tally:
    """What came of the faults of one kind in one verb, and what was wrong, in words."""

    points: int = 0
    runs: int = 0
    missed: int = 0
    leaks: int = 0
    broken: int = 0
    hangs: int = 0
    statuses: int = 0
    words: int = 0
    wrong: list[str] = field(default_factory=list)


def faults(act: str, events: list[list[str]], seed: int) -> Iterator[Fault]:
    """List the faults of one kind for a verb that does these events."""
    counts = {kind: sum(each[0] == kind for each in events) for kind in ("exec", "exit", "sys", "try")}
    changes = counts["exit"] + counts["sys"]
    if act in ("kill", "main"):
        yield from ({"act": act, "kind": "change", "n": n} for n in range(changes))
    elif act == "python":
        yield from ({"act": act, "kind": "exec", "n": n, "hold_ms": 250} for n in range(counts["exec"]))
    elif act == "random":
        chance = random.Random(seed)  # noqa: S311
        yield from ({"act": "kill", "after_us": chance.randrange(1000, 250_000)} for _ in range(max(10, changes // 2)))
    elif act in SIGNALS:
        yield from ({"act": "signal", "kind": "change", "n": n, "number": int(SIGNALS[act])} for n in range(changes))
    elif act == "stop":
        yield from ({"act": act, "kind": "change", "n": n, "hold_ms": 40} for n in range(0, changes, 2))
    elif act in SHAMS:
        yield from ({"act": "sham", "n": n, "sham": f"/home/shams/{act}"} for n in range(counts["exec"]))
    else:
        number = getattr(errno, act.removeprefix("call "))
        yield from ({"act": "errno", "n": n, "number": number} for n in range(counts["try"]))


def prepare(bench: Bench, *, short: bool = False) -> None:
    """Put the sham tools on the machine; `short`: and give processes little time."""
    lines = [f"printf '%s\\n' '#!/bin/sh' {quoted(text)} > /home/shams/{name}" for name, text in SHAMS.items()]
    bench.world.sh(
        "mkdir -p /home/shams; " + "; ".join(lines) + "; chmod 755 /home/shams /home/shams/*; chmod 1777 /home"
    )
    if short:
        runner = "/opt/vnet/vnet/kernel/runner.py"
        sed = f"sed 's/^LIMIT_S = 60.0/LIMIT_S = {SHORT_S}/' {runner} > /home/runner.py"
        bench.world.sh(f"{sed}; ! cmp -s {runner} /home/runner.py && mount --bind /home/runner.py {runner}")
        bench.world.do("anew")


def quoted(text: str) -> str:
    """Quote for sh."""
    return "'" + text.replace("'", "'\\''") + "'"


def one(bench: Bench, verb: Verb, act: str, fault: Fault, tally: Tally, *, down: bool) -> None:
    """Inject one fault, recover, and count what was wrong."""
    wrong: list[str] = []
    bench.go(verb.state)
    if act == "python":
        told, beside = overlapping(bench, verb, fault)
        wrong += beside
        tally.broken += bool(beside)
    else:
        told = bench.world.verb(*verb.argv, fault=fault, limit_s=LIMIT_S)
    tally.runs += 1
    tally.missed += not told["fired"]
    wrong += verdict(bench, verb, act, told, tally)
    if wrong and told["hung"]:
        bench.state = "?"
    recovered = bench.recover_down() if down or act == "python" else bench.recover_up()
    if recovered:
        kind = "leaks" if any(line.startswith("left") for line in recovered) else "broken"
        setattr(tally, kind, getattr(tally, kind) + 1)
        wrong += recovered
    if wrong:
        how = "down" if down else "up"
        tally.wrong.append(
            f"{bench.way}: {verb.name}: {act} {fault} at {told['at']!r}, then {how}:\n    " + "\n    ".join(wrong)
        )
        bench.renew()
        prepare(bench, short=act == "hang")


def overlapping(bench: Bench, verb: Verb, fault: Fault) -> tuple[dict[str, Any], list[str]]:
    """Kill all Pythons while their last command goes on, and call vnet-up at once, beside it."""
    told, after = bench.world.do("beside", argv=list(verb.argv), fault=fault, then=["up"])
    if not told["fired"]:
        return told, []
    if after["status"]:
        return told, [f"vnet-up beside the last command: status {after['status']}: {after['said'][-600:]}"]
    return told, bench.cut_is_true() or bench.works()


def verdict(bench: Bench, verb: Verb, act: str, told: dict[str, Any], tally: Tally) -> list[str]:
    """Judge how the harmed verb itself ended; gives back what was wrong."""
    wrong: list[str] = []
    status, said = told["status"], told["said"]
    allowed = {*verb.statuses}
    if told["fired"] and act in ("kill", "main", "python", "random"):
        allowed = {-9, *verb.statuses}
    elif told["fired"] and act in SIGNALS:
        number = int(SIGNALS[act])
        allowed = {128 + number, -number, 0} if verb.argv[0] != "exec" else {128 + number, -number, 0, 130}
    elif act == "stop" or not told["fired"]:
        allowed = {0}
    elif act == "call ENOENT":
        allowed = {3, *verb.statuses}  # a folder that is gone: as if another vnet had taken all down meanwhile
    own = verb.argv[0] == "exec" and told["at"] == "true"  # the user's own command takes as long as it likes
    if told["hung"] and not own:
        tally.hangs += 1
        wrong.append(f"it hung: {said[-300:]}")
    elif status not in allowed and not told["hung"]:
        tally.statuses += 1
        wrong.append(f"status {status}, allowed {sorted(allowed)}: {said[-600:]}")
    if "Traceback" in said or (status == 1 and not said.strip()):
        tally.words += 1
        wrong.append(f"words: {said[-900:]}")
    if status == 0 and told["fired"] and act not in ("liar",) and verb.wants and (troubles := bench.works()):
        tally.statuses += 1
        wrong += ["status 0, but", *troubles]
    return wrong


def events_of(bench: Bench, verb: Verb) -> list[list[str]]:
    """Run a verb unharmed, and list what it does."""
    bench.go(verb.state)
    told = bench.world.verb(*verb.argv)
    assert told["status"] == 0, (verb.name, told)
    bench.state = "?"
    bench.recover_up()
    return list(told["events"])


def run(way: str, options: argparse.Namespace, log: TextIO) -> None:
    """Run the campaign of one way."""
    bench = Bench(way)
    seed = options.seed
    try:
        for act in options.act or ACTS:
            bench.renew()
            if act == "meddle":
                prepare(bench)
                runs, wrong = meddle.campaign(bench, options.every)
                tally = Tally(points=runs, runs=runs, broken=len(wrong), wrong=wrong)
                print(json.dumps({"way": way, "verb": "", "act": act, **asdict(tally)}), file=log, flush=True)
                continue
            prepare(bench, short=act == "hang")
            every = options.every * SHARES.get(act, 1)
            for verb in (VERBS[name] for name in options.verb or VERBS):
                if act == "liar" and verb.argv[0] == "down":
                    continue  # what a tool says is gone is forgotten: see docs/reliability.md, not promised
                tally = Tally()
                planned = list(faults(act, events_of(bench, verb), seed))
                tally.points = len(planned)
                for number, fault in enumerate(planned):
                    if (number + seed) % every == 0:
                        one(bench, verb, act, fault, tally, down=(number // every + seed) % 2 == 1)
                print(json.dumps({"way": way, "verb": verb.name, "act": act, **asdict(tally)}), file=log, flush=True)
                for text in tally.wrong:
                    print(text, file=sys.stderr, flush=True)
    finally:
        bench.world.close()


def table(rows: list[dict[str, Any]]) -> str:
    """Write what was counted, a line for each way and kind of fault."""
    heads = ("points", "runs", "missed", "leaks", "broken", "hangs", "statuses", "words")
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        for key in ((row["act"], row["way"]), ("all", "all")):
            into = sums.setdefault(key, dict.fromkeys(heads, 0))
            for head in heads:
                into[head] += row[head]
    lines = [f"{'fault':<12} {'way':<7}" + "".join(f"{head:>9}" for head in heads)]
    order = {act: number for number, act in enumerate((*ACTS, "all"))}
    for (act, way), into in sorted(sums.items(), key=lambda item: (order[item[0][0]], item[0][1])):
        lines.append(f"{act:<12} {way:<7}" + "".join(f"{into[head]:>9}" for head in heads))
    return "\n".join(lines)


def main() -> int:
    """Run what is asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--verb", action="append", choices=VERBS)
    parser.add_argument("--act", action="append", choices=ACTS)
    parser.add_argument("--every", type=int, default=1, help="only each N-th point")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1000)
    parser.add_argument("--out", default="faults.jsonl", help="where the counts go, a line a verb and kind")
    options = parser.parse_args()
    with open(options.out, "w", encoding="utf-8") as log:
        for way in options.way or WAYS:
            run(way, options, log)
    with open(options.out, encoding="utf-8") as log:
        rows = [json.loads(line) for line in log]
    print(table(rows))
    bad = sum(row[head] for row in rows for head in ("leaks", "broken", "hangs", "statuses", "words"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
