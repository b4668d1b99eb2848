"""A line on a terminal that tells what takes longer than a second, and is gone at the end."""

from __future__ import annotations

import os
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from vnet.engine.context import Context

#: From the start to the first line, and from one to the next.
EVERY_S = 1.0
ERASE = b"\r\033[K"


@contextmanager
def shown(options: Namespace, context: Context, text: str) -> Iterator[None]:
    """Tell after a second, and each second from then on, what is being done and since when.

    Nobody is told who has no terminal, asked for silence or for each command, or is just being asked for a password.
    """
    if options.quiet or options.verbose or options.dry_run or not sys.stderr.isatty():
        yield
        return
    started_s, say = time.monotonic(), context.say

    def tick(*_: object) -> None:
        if not context.rights.asking():
            words = f"{text}{context.doing and ': '}{context.doing}, {time.monotonic() - started_s:.0f} s"
            os.write(2, ERASE + f"{options.prog}: {words}\r".encode())

    def say_over(words: str) -> None:
        os.write(2, ERASE)
        say(words)

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, EVERY_S, EVERY_S)
    context.say = say_over
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        context.say = say
        os.write(2, ERASE)
