"""What a step is: a frozen value with its way up and its way down side by side.

Both are pure functions to stages of commands, so the dry run, the tests and the real run share them. A way
down is called with a recorded step and may find anything missing.
"""

from __future__ import annotations

from typing import Protocol

from vnet.command import Stages


class Step(Protocol):
    """One thing that vnet makes."""

    def up(self) -> Stages:
        """Tell how to make it."""
        ...

    def down(self) -> Stages:
        """Tell how to take it away."""
        ...
