"""Fixtures: simulated machines, and the three ways in which vnet gets its rights on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from inside import Process, as_root, wait_for
from machine import Completed, Machine

__all__ = ["Box", "wait_for"]

WAYS = {
    "root": ("root", {"userns": True, "sudo": False}),
    "userns": ("alice", {"userns": True, "sudo": True}),
    "sudo": ("alice", {"userns": False, "sudo": True}),
}
"""The user and the machine of each way: see docs/architecture.md."""


@dataclass(frozen=True)
class Box:
    """A machine, a user on it, and the folder of that user's project."""

    machine: Machine
    user: str
    way: str

    @property
    def project(self) -> str:
        """The folder in which commands run."""
        return "/root/project" if self.user == "root" else f"/home/{self.user}/project"

    def run(self, *argv: str, **kwargs: Any) -> Completed:
        """Run a command as the user, in the project; see Machine.run."""
        return self.machine.run(*argv, **{"user": self.user, "cwd": self.project, **kwargs})

    def popen(self, *argv: str, **kwargs: Any) -> Process:
        """Start a command as the user, in the project; see Machine.popen."""
        return self.machine.popen(*argv, **{"user": self.user, "cwd": self.project, **kwargs})

    def vnet(self, verb: str, *args: str, **kwargs: Any) -> Completed:
        """Run bin/vnet-VERB as the user, in the project."""
        return self.machine.vnet(verb, *args, **{"user": self.user, "cwd": self.project, **kwargs})

    def write(self, name: str, text: str, **kwargs: Any) -> None:
        """Write a file of the project."""
        self.machine.write(f"{self.project}/{name}", text, **{"user": self.user, **kwargs})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the ways that a test's `quick_in` does not name to the long run."""
    for item in items:
        mark, call = item.get_closest_marker("quick_in"), getattr(item, "callspec", None)
        if mark and call and call.params["box"] not in mark.args:
            item.add_marker(pytest.mark.long)


def need_root() -> None:
    """Skip a test where no machine can be simulated."""
    if as_root() is None:
        pytest.skip("simulated machines need root, or sudo without a password")


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Give a fresh machine with sudo and user namespaces."""
    need_root()
    with Machine() as fresh:
        yield fresh


@contextmanager
def box_of(way: str) -> Iterator[Box]:
    """Give a fresh machine for one of the ways."""
    need_root()
    user, options = WAYS[way]
    with Machine(**options) as fresh:
        fresh.run("mkdir", "project", user=user)
        yield Box(fresh, user, way)


@pytest.fixture(params=WAYS)
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    """Give a fresh machine for each of the ways."""
    with box_of(request.param) as made:
        yield made


@pytest.fixture(name="wait_for")
def _wait_for() -> Any:
    """Give the function wait_for(condition, what, timeout_s=10)."""
    return wait_for
