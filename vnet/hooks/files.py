"""Hook files: loading them, and every mistake that can be told before a hook runs.

Imported only where there are hooks: pluggy, which comes along, is 20 ms.
"""

from __future__ import annotations

import inspect
import itertools
import os
import stat
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vnet.errors import hint
from vnet.hooks import specs as hookspecs
from vnet.hooks import trust

#: Numbers the modules of hook files, so that two files of one name are two modules.
_numbers = itertools.count(1)
#: What pluggy's marker leaves on a function.
_MARK = "vnet_impl"


def each_once(files: Sequence[str]) -> list[Path]:
    """Leave out files that were named before, under whatever name."""
    found: list[Path] = []
    for path in (Path(name).absolute() for name in files):
        if not any(path == other or (path.exists() and other.exists() and path.samefile(other)) for other in found):
            found.append(path)
    return found


def load(path: Path, mistakes: list[str]) -> types.ModuleType | None:
    """Load one file as a module of its own; what is wrong with it goes to `mistakes`.

    It is compiled here and not by importlib: nothing is read from or written to a `__pycache__`.
    """
    try:
        flaw = _flaw(path)
        source = b"" if flaw else path.read_bytes()
    except OSError as error:
        flaw = f"can't be read: {error.strerror}"
    if flaw:
        mistakes.append(f"{path}: {flaw}")
        return None
    module = types.ModuleType(f"vnet_hooks_{next(_numbers)}_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (it is what hooks are)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        mistakes.append(f"{place(str(path), error)}: can't be loaded: {describe(error)}")
        return None
    return module


def _flaw(path: Path) -> str | None:
    """Say why a file must not be loaded, or give None."""
    if not stat.S_ISREG(path.stat().st_mode):
        return "is no file"
    flaw = trust.flaw(path, os.geteuid())
    return flaw and f"{flaw}: hooks that others can write are refused, vnet runs them as {trust.user(os.geteuid())}"


def place(file: str, error: BaseException) -> str:
    """Say where in a file an exception comes from: `FILE:LINE`, or the file alone."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == file else None
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{file}:{line}" if line else file


def describe(error: BaseException) -> str:
    """Say what was raised, as the last line of a traceback does, notes included."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    lines = [f"{type(error).__name__}: {text}" if text else type(error).__name__]
    return "\n  ".join(lines + getattr(error, "__notes__", []))


def check(plugin: object, file: str) -> list[str]:
    """Find what is wrong with the hooks of a file, or of an installed package's plug-in; all of it."""
    names = [name for name in dir(plugin) if not name.startswith("__")]
    functions = {name: value for name in names if callable(value := inspect.getattr_static(plugin, name))}
    hooks = {name: value for name, value in functions.items() if isinstance(getattr(value, _MARK, None), dict)}
    mistakes = [
        f"{_at(file, value)}: {name} is not marked as a hook: add @vnet.hookimpl, or choose a name without vnet_"
        for name, value in functions.items()
        if name.startswith("vnet_") and name not in hooks and isinstance(value, types.FunctionType)
    ]
    for name, value in hooks.items():
        mistakes += [f"{_at(file, value)}: {wrong}" for wrong in _wrongs(name, getattr(plugin, name))]
    if not hooks and not mistakes:
        mistakes.append(f"{file}: holds no hook: mark functions named as in docs/hooks.md with @vnet.hookimpl")
    return mistakes


def _at(file: str, function: Any) -> str:
    """Say where a function is: its own file may be another one, from which it was imported."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else file


def _wrongs(name: str, function: Callable[..., Any]) -> Iterator[str]:
    """Yield what is wrong with one hook."""
    options = getattr(function, _MARK)
    hook = options.get("specname") or name
    spec = hookspecs.specs().get(hook)
    if spec is None:
        if not options.get("optionalhook"):
            yield f"{hook}: there is no such hook{hint(hook, hookspecs.specs()) or ', see docs/hooks.md'}"
        return
    if options.get("wrapper") or options.get("hookwrapper"):
        yield f"{hook}: is a wrapper, but vnet runs the hooks of each file alone: use before and after"
    elif (
        inspect.iscoroutinefunction(function)
        or inspect.isgeneratorfunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        yield f"{hook}: is async or a generator, its body would never run: use a plain function"
    yield from _wrong_arguments(hook, spec, function)


def _wrong_arguments(hook: str, spec: Callable[..., Any], function: Callable[..., Any]) -> Iterator[str]:
    """Yield what is wrong with a hook's arguments: pluggy fills in those without a default, by name."""
    allowed = list(inspect.signature(spec).parameters)
    has = f"it has: {', '.join(allowed)}"
    for name, argument in inspect.signature(function).parameters.items():
        if argument.kind is not argument.POSITIONAL_OR_KEYWORD:
            yield f"{hook}: {argument} is never filled in: name the arguments, {has}"
        elif name not in allowed:
            yield f"{hook}: has no argument {name!r}{hint(name, allowed)}; {has}"
        elif argument.default is not argument.empty:
            yield f"{hook}: {name!r} has a default, and is then never filled in: leave the default out"
