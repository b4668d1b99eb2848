"""The pytest plugin: tests ask for a lab and get guests.

    @pytest.mark.vnet(guests=["a", "b", "c"])
    def test_leader_isolated(lab):
        server = lab.guest("a").popen(["./server"])

It is loaded with every pytest of an environment that has vnet, so it imports nothing of vnet before a test asks for it.
docs/pytest.md tells what it offers; the labs are those of `vnet.up` (docs/python.md).
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vnet.lab import Lab

__all__ = ["lab", "vnet_labs", "vnet_settings"]

SCOPES = ("function", "class", "module", "package", "session")
MARK = "vnet(guests=(), file=None, settings=None): the lab that the fixture `lab` gives; as for vnet.up"
Labs = Callable[..., AbstractContextManager["Lab"]]
_labs = pytest.StashKey["_Labs"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("vnet", "labs of vnet")
    group.addoption("--vnet-keep", choices=("failed", "all"), help="leave the labs of failed tests, or all, standing")
    group.addoption("--vnet-pcap", metavar="DIR", nargs="?", const="vnet-pcap",
                    help="record what passes each lab's bridge, in DIR/TEST.pcap; default DIR: vnet-pcap")  # fmt: skip
    group.addoption("--vnet-required", action="store_true", help="where no lab can be made, fail instead of skipping")
    parser.addini("vnet_scope", f"the scope of the fixture `lab`: {', '.join(SCOPES)}", default="function")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", MARK)
    if config.getini("vnet_scope") not in SCOPES:
        raise pytest.UsageError(f"vnet_scope: {config.getini('vnet_scope')!r}; allowed: {', '.join(SCOPES)}")
    config.stash[_labs] = _Labs(config)


def _scope(fixture_name: str, config: pytest.Config) -> Any:  # noqa: ARG001 (pytest gives both by name)
    """Tell the scope of the fixture `lab`."""
    return config.getini("vnet_scope")


@pytest.fixture(scope="session")
def vnet_settings() -> Mapping[str, Any]:
    """Give settings for all labs, as in vnet.toml; to be overridden. The mark's `settings` win over them."""
    return {}


@pytest.fixture(scope="session")
def vnet_labs(request: pytest.FixtureRequest) -> Labs:
    """Give what makes labs, for a fixture `lab` of any scope.

    `with vnet_labs(guests=["a"]) as lab: yield lab`. It takes what `vnet.up` takes, and does what the plugin's options
    ask for.
    """
    labs = request.config.stash[_labs]
    return lambda *guests, **given: labs.lab(_running(), *guests, **given)


@pytest.fixture(scope=_scope)
def lab(request: pytest.FixtureRequest, vnet_settings: Mapping[str, Any]) -> Iterator[Lab]:
    """Give the lab of the mark `vnet`, or without one, of the vnet.toml beside the test or above it."""
    with request.config.stash[_labs].lab(request.node.nodeid, **_given(request, vnet_settings)) as made:
        yield made


def _given(request: pytest.FixtureRequest, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Read the mark, and lay its settings over those for all labs."""
    from vnet.config.written import merged

    mark, here = request.node.get_closest_marker("vnet"), _folder(request)
    given = dict(mark.kwargs) if mark else {}
    given["settings"] = merged(settings, given.get("settings") or {})
    if mark and mark.args:
        given["guests"] = mark.args[0] if len(mark.args) == 1 and not isinstance(mark.args[0], str) else mark.args
    if given.keys() - {"guests", "file", "settings"}:
        raise pytest.UsageError(f"@pytest.mark.{MARK}; not: {', '.join(given.keys() - {'guests', 'file', 'settings'})}")
    if "file" in given:
        given["file"] = here / given["file"]
    elif "guests" not in given and not given["settings"].get("guests"):
        given["file"] = _project(here, request.config.rootpath)
    return given


def _folder(request: pytest.FixtureRequest) -> Path:
    """Find the folder that the mark speaks of: the test's own, or that of its module, package or session."""
    path: Path = request.node.path
    return path if path.is_dir() else path.parent


def _project(here: Path, root: Path) -> Path:
    """Find the vnet.toml of the project that is tested."""
    from vnet.project import find_project

    found = find_project(str(here))
    if found is None or not Path(found).is_relative_to(root):
        raise pytest.UsageError(
            'which lab? no mark says it, as in @pytest.mark.vnet(guests=["a", "b"]), and no vnet.toml'
        )
    return Path(found)


class _Labs:
    """The labs of one pytest process (under pytest-xdist, of a worker)."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.failed = 0
        self.made = 0
        self.recorded: list[str] = []
        self.standing: dict[str, int] = {}
        self.cannot: str | None = None

    @contextmanager
    def lab(self, test: str, *guests: Any, **given: Any) -> Iterator[Lab]:
        """Make a lab for a while."""
        made = self._up(_name(test, self.made), *guests, **given)
        self.made += 1
        self.standing[made.name] = self.failed
        try:
            with self._pcap(made, test):
                yield made
        finally:
            failed = self.failed > self.standing.pop(made.name)
            if self._keeps(failed=failed):
                made.keep()
            else:
                made.down()

    def _up(self, name: str, *guests: Any, **given: Any) -> Lab:
        """Bring a lab up; skip the test where none can be made here."""
        import vnet

        if sys.platform != "linux":
            self.cannot = f"it is made of Linux namespaces, and this is {sys.platform}"
        if self.cannot:
            self._skip()
        try:
            return vnet.up(*guests, name=name, **given)
        except vnet.VnetError:
            self.cannot = self._trial()
            if self.cannot:
                self._skip()
            raise

    def _trial(self) -> str | None:
        """Tell whether it is the machine that stands in the way, by trying a lab of one guest; gives back how."""
        import vnet

        try:
            with vnet.up(["a"]):
                return None
        except vnet.VnetError as problem:
            return str(problem)

    def _skip(self) -> None:
        """Skip, or where labs are required, fail."""
        reason = f"vnet can't make a lab here: {self.cannot}"
        if self.config.getoption("vnet_required"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    def _keeps(self, *, failed: bool) -> bool:
        """Tell whether a lab is to be left standing."""
        keep = self.config.getoption("vnet_keep")
        return keep == "all" or (keep == "failed" and failed)

    @contextmanager
    def _pcap(self, made: Lab, test: str) -> Iterator[None]:
        """Record the lab's packets, if that is asked for."""
        folder = self.config.getoption("vnet_pcap")
        if folder is None:
            yield
            return
        target = self.config.invocation_params.dir / folder
        target.mkdir(parents=True, exist_ok=True)
        self.recorded.append(_slug(test))
        number = self.recorded.count(_slug(test))  # a test may make more than one
        with made.capture(target / f"{_slug(test)}{f'-{number}' if number > 1 else ''}.pcap"):
            yield

    def note(self, report: pytest.TestReport) -> None:
        """Count failures, and tell in a failed test's report how to enter the labs that are left standing for it."""
        self.failed += report.failed
        if report.failed and self._keeps(failed=True):
            kept = {name: way for name in self.standing if (way := _way(name))}
            report.vnet_kept = kept  # type: ignore[attr-defined]
            report.sections += [("vnet", f"lab {name} is left standing: {way}") for name, way in kept.items()]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Look at each report of a test."""
    report = yield
    item.config.stash[_labs].note(report)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the labs that were left standing, also those of pytest-xdist's workers."""
    reports = (report for each in terminalreporter.stats.values() for report in each)
    kept = {name: way for each in reports for name, way in getattr(each, "vnet_kept", {}).items()}
    if kept:
        terminalreporter.section("labs left standing")
        for name, way in sorted(kept.items()):
            terminalreporter.line(f"{name}: {way}")


def _way(name: str) -> str:
    """Tell how to enter a lab, and how to take it away; nothing where the test has done that."""
    from vnet.errors import NotUpError
    from vnet.lab import find

    try:
        node = next((guest.name for guest in find(name).guests), "bridge")
    except NotUpError:
        return ""
    return f"vnet-exec -n {name} {node} bash; vnet-down -n {name}"


def _running() -> str:
    """Name the test that is running (pytest says it there, with the phase behind)."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]


def _slug(test: str) -> str:
    """Write a test's id so that it can be a file's name."""
    return re.sub(r"\W+", "-", test, flags=re.ASCII)[-100:].strip("-_") or "session"


def _name(test: str, number: int) -> str:
    """Name a test's lab: for people, and unlike that of any other test, worker or run."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    digest = hashlib.sha256(f"{test} {number} {worker}".encode()).hexdigest()[:6]
    words = _slug(test.rpartition("::")[2] or test)[:30].strip("-_")
    return "-".join(word for word in (words, worker, str(os.getpid()), digest) if word)
