"""Hooks: load the files that the settings name, and run what they hold around each step.

Where there are none, and that is nearly always, nothing is imported for them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vnet.errors import HookError, SettingsError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from pluggy import HookImpl, PluginManager

#: The entry-point group in which installed packages declare hooks.
GROUP = "vnet"


class Hooks:
    """The hooks of one lab; without any, all of its functions do nothing.

    They run in the order in which the settings name their files, installed packages first, and in the reverse
    order on the way down.
    """

    def __init__(self, lab: str, manager: PluginManager | None = None, origins: dict[object, str] | None = None,
                 files: Sequence[str] = ()) -> None:  # fmt: skip
        self.lab, self.files = lab, tuple(files)
        self._manager, self._origins = manager, origins or {}

    @classmethod
    def load(cls, files: Sequence[str], lab: str, errors: list[str] | None = None) -> Hooks:
        """Load the files, and what installed packages declare; all mistakes in one SettingsError.

        `files` are paths; the settings have replaced patterns by what they match. On the way down mistakes go to
        `errors`, and what can be loaded is.
        """
        declared = has_entry_points(sys.path)
        if not files and not declared:
            return cls(lab)
        mistakes: list[str] = []
        plugins = _installed(mistakes) if declared else {}
        plugins |= _from_files(files, mistakes)
        manager = _manager(plugins, mistakes)
        if errors is not None:
            errors += (f"hooks of lab {lab}: {mistake}" for mistake in mistakes)
        elif mistakes:
            raise SettingsError(mistakes)
        return cls(lab, manager, plugins, files)

    def __bool__(self) -> bool:
        """Tell whether there are any hooks."""
        return bool(self._origins)

    def holding(self, *hooks: str) -> tuple[str, ...]:
        """Name the files that have one of these hooks."""
        origins = {self._origins[plugin] for hook in hooks for plugin in self._plugins(hook, reverse=False)}
        return tuple(file for file in self.files if file in origins)

    def up(self, hook: str, **arguments: Any) -> None:
        """Run a hook on the way up; the first exception ends it, as a HookError."""
        for plugin in self._plugins(hook, reverse=False):
            self._call(plugin, hook, arguments)

    def down(self, hook: str, **arguments: Any) -> list[HookError]:
        """Run a hook on the way down, one file after the other; gives back what was raised."""
        errors = []
        for plugin in self._plugins(hook, reverse=True):
            try:
                self._call(plugin, hook, arguments)
            except HookError as error:
                errors.append(error)
        return errors

    def failed(self, step: str, error: BaseException) -> list[HookError]:
        """Tell the hooks that a step failed; gives back what they raised."""
        return self.down("vnet_failed", step=step, error=error)

    def _plugins(self, hook: str, *, reverse: bool) -> list[object]:
        """List the plug-ins that have a hook, in order; `tryfirst` and `trylast` mean the same both ways.

        pluggy lists implementations backwards: the one that it would run first is the last.
        """
        if self._manager is None:
            return []
        implementations: list[HookImpl] = getattr(self._manager.hook, hook).get_hookimpls()
        implementations = implementations if reverse else implementations[::-1]
        implementations = sorted(implementations, key=lambda each: each.trylast - each.tryfirst)
        return list(dict.fromkeys(each.plugin for each in implementations))

    def _call(self, plugin: object, hook: str, arguments: dict[str, Any]) -> None:
        """Run the hook of one plug-in; SystemExit is an exception like others, a signal for vnet is not."""
        from vnet import api
        from vnet.workers.signals import Interrupted

        assert self._manager is not None  # noqa: S101 (for mypy)
        caller = self._manager.subset_hook_caller(hook, [other for other in self._origins if other is not plugin])
        try:
            caller(**api.views(arguments, self.lab))
        except Interrupted:  # a signal for vnet that came while the hook ran
            raise
        except (Exception, SystemExit) as error:
            raise HookError(self._text(plugin, hook, error)) from error

    def _text(self, plugin: object, hook: str, error: BaseException) -> str:
        """Say which file, hook and lab an exception comes from."""
        from vnet.hooks import files as hookfiles

        where = f" in lab {self.lab}" if self.lab else ""
        return f"{hookfiles.place(self._origins[plugin], error)}: {hook}{where}: {hookfiles.describe(error)}"


def has_entry_points(folders: Sequence[str]) -> bool:
    """Tell whether an installed package declares hooks, without importlib.metadata (35 ms).

    Other sections mention vnet too (its own console scripts), so it takes a line that is `[vnet]`.
    """
    section = f"[{GROUP}]".encode()
    return any(
        section in text and section in (line.strip() for line in text.splitlines()) for text in _declarations(folders)
    )


def _declarations(folders: Sequence[str]) -> list[bytes]:
    """Read the entry points of all installed packages."""
    texts = []
    for folder in folders:
        try:
            with os.scandir(folder or ".") as entries:
                packages = [each.path for each in entries if each.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        for package in packages:
            try:
                with open(f"{package}/entry_points.txt", "rb") as file:
                    texts.append(file.read())
            except OSError:
                continue
    return texts


def _from_files(files: Sequence[str], mistakes: list[str]) -> dict[object, str]:
    """Load the files that the settings name: module to path."""
    from vnet.hooks import files as hookfiles

    modules: dict[object, str] = {}
    for path in hookfiles.each_once(files):
        module = hookfiles.load(path, mistakes)
        if module is not None:
            _take(module, str(path), modules, mistakes)
    return modules


def _installed(mistakes: list[str]) -> dict[object, str]:
    """Load what installed packages declare, sorted by name: plug-in to the file that it comes from."""
    from importlib.metadata import entry_points

    from vnet.hooks import files as hookfiles

    plugins: dict[object, str] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        try:
            plugin = entry.load()
        except (Exception, SystemExit) as error:
            mistakes.append(f"{_origin(entry)}: can't be loaded: {hookfiles.describe(error)}")
            continue
        file = getattr(sys.modules.get(entry.module), "__file__", None) or _origin(entry)
        _take(plugin, file, plugins, mistakes)
    return plugins


def _take(plugin: object, file: str, plugins: dict[object, str], mistakes: list[str]) -> None:
    """Add a plug-in whose hooks are as they should be."""
    from vnet.hooks import files as hookfiles

    wrong = hookfiles.check(plugin, file)
    mistakes += wrong
    if not wrong:
        plugins[plugin] = file


def _origin(entry: EntryPoint) -> str:
    """Name an entry point and the package that declares it."""
    package = f" of {entry.dist.name}" if entry.dist else ""
    return f"entry point {entry.name} = {entry.value}{package}"


def _manager(plugins: dict[object, str], mistakes: list[str]) -> PluginManager:
    """Register all plug-ins, the last one first: pluggy runs them the other way round."""
    import pluggy

    from vnet.hooks import specs as hookspecs

    manager = pluggy.PluginManager("vnet")
    manager.add_hookspecs(hookspecs)
    for number, (plugin, file) in enumerate(reversed(plugins.items())):
        try:
            manager.register(plugin, f"{number} {file}")
        except pluggy.PluginValidationError as error:
            manager.unregister(plugin)
            if not mistakes:
                mistakes.append(f"{file}: {' '.join(str(error).split())}")
    return manager
