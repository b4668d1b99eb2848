"""The command line: `vnet VERB` and `vnet-VERB`, one program.

Errors are turned into words and exit statuses here; vnet-exec, which stands alone, does it for itself.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from vnet.errors import UsageError, VnetError, hint, plain
from vnet.errors import words as worded

if TYPE_CHECKING:
    import argparse

#: Each verb: the module that does it, and one line of help.
VERBS = {
    "up": ("vnet.cli.up", "bring a lab up, or to what its settings say now"),
    "down": ("vnet.cli.down", "take a lab away"),
    "exec": ("vnet.exec", "run a command in a node of a lab"),
    "partition": ("vnet.cli.partition", "set who in a lab can talk to whom"),
    "run": ("vnet.cli.run", "bring a lab up, run its guests' commands, take it away"),
    "status": ("vnet.cli.status", "show what is up"),
    "doctor": ("vnet.cli.doctor", "find what is missing or in the way"),
}


def program() -> NoReturn:
    """Be the program: do what sys.argv says, and end.

    A call takes a tenth of a second, and an eighth of that went to looking for garbage and to tidying up at the end. Where hooks
    were loaded Python ends as usual, for they may have left something to do then (atexit, threads).
    """
    gc.disable()
    _free_to_end((signal.SIGINT,))  # until `signals.catch`: there is nothing yet that would have to be taken back
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed before the start
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (to the end)
    try:
        status = main()
    except SystemExit as end:  # argparse's
        status = end.code if isinstance(end.code, int) else VnetError.status
    status = _printed(status)
    if "pluggy" in sys.modules:
        sys.exit(status)
    os._exit(status)


def _free_to_end(numbers: tuple[signal.Signals, ...]) -> None:
    """Let signals do what they do to any program, but for those that whoever started it wants ignored."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _printed(status: int) -> int:
    """Write what is left to be printed, a signal being free to end it; gives the exit status."""
    _free_to_end((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        status = status or 141
    except OSError as error:
        if not status:
            print(f"vnet: it is done, but its output could not be written: {error.strerror}", file=sys.stderr)
        status = status or VnetError.status
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try once more
    return status


def main(argv: list[str] | None = None) -> int:
    """Find the verb, and do it."""
    if sys.version_info < (3, 11):  # noqa: UP036 (a checkout is started by whatever python3 there is)
        print(f"vnet: Python {sys.version.split()[0]} is too old: 3.11 is needed", file=sys.stderr)
        return VnetError.status
    words = list(sys.argv if argv is None else argv)
    verb = os.path.basename(words.pop(0)).partition("vnet-")[2]
    if not verb:
        verb = words.pop(0) if words and not words[0].startswith("-") else ""
    if verb == "exec":
        from vnet import exec as run_in

        return run_in.main(words)
    if verb == "_names":  # what completions ask for
        from vnet.share import names

        return names.main(words)
    if verb not in VERBS:
        return _usage(verb, words)
    return do(verb, words)


def do(verb: str, words: list[str]) -> int:
    """Parse the words of a verb and do it; every error ends here."""
    try:
        module = import_module(VERBS[verb][0])
    except ModuleNotFoundError as error:
        return _told(verb, error)
    prepare = getattr(module, "prepare", list)
    made = parser(verb, module)
    options = made.parse_intermixed_args(prepare(words))
    for option, value in (("-f", options.file), ("-n", options.lab)):
        if isinstance(value, list):  # argparse makes an empty one of `-f--`
            made.error(f"{option}--: {option} needs a value, which can't begin with --")
    try:
        from vnet.workers import signals

        if verb == "run":
            gc.enable()  # it stays as long as its commands
        signals.catch()
        return int(module.run(options))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except (VnetError, OSError, ModuleNotFoundError) as error:
        if options.debug:
            raise
        return _told(verb, error)


def _told(verb: str, error: Exception) -> int:
    """Say why a verb failed, a line for each thing; gives its exit status."""
    head = f"vnet-{verb}:"
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        head = f"\033[31m{head}\033[0m"
    for line in worded(error).splitlines():
        print(head, plain(line), file=sys.stderr)
    return error.status if isinstance(error, VnetError) else VnetError.status


def parser(verb: str, module: Any) -> argparse.ArgumentParser:
    """Make a verb's parser, with what all verbs take."""
    import argparse

    from vnet import __version__

    width = _columns() - 2

    class Formatter(argparse.RawDescriptionHelpFormatter):
        """Knows how wide the terminal is, which argparse asks shutil for each argument (2 ms)."""

        def __init__(self, prog: str) -> None:
            super().__init__(prog, width=width)

    class Parser(argparse.ArgumentParser):
        """Words its errors as all are."""

        def error(self, message: str) -> NoReturn:
            """Say what is wrong; a NUL is what `partition` puts before its own `--`."""
            super().error(plain(message.replace("\0", "")))

    made = Parser(prog=f"vnet-{verb}", description=module.__doc__, formatter_class=Formatter, allow_abbrev=False)
    made.add_argument(
        "-f", metavar="FILE", dest="file", help="the project's settings; default: vnet.toml here or above"
    )
    made.add_argument(
        "-n", metavar="LAB", dest="lab", help="the lab's name; default: VNET_LAB, or that of the project here"
    )
    made.add_argument("-q", action="store_true", dest="quiet", help="say nothing but errors")
    made.add_argument("-v", action="store_true", dest="verbose", help="show each command before it runs")
    made.add_argument("--debug", action="store_true", help="show a traceback with an error")
    made.add_argument("--version", action="version", version=f"vnet {__version__}")
    made.set_defaults(prog=made.prog)
    module.arguments(made)
    return made


def _columns() -> int:
    """Tell how wide the terminal is, as shutil.get_terminal_size does."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and 0 < len(said) < 6 and int(said):
        return int(said)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


def describe(verb: str, word: str) -> int:
    """Print the help or the version of a verb that parses its own words."""
    from vnet import __version__

    if word == "--version":
        print(f"vnet {__version__}")
        return 0
    from vnet.cli.exec_help import TEXT

    print(TEXT if verb == "exec" else "", end="")
    return 0


def _usage(verb: str, words: list[str]) -> int:
    """Say which verbs there are."""
    from vnet import __version__

    if words[:1] == ["--version"]:
        print(f"vnet {__version__}")
        return 0
    lines = [f"  {name:<10} {text}" for name, (_, text) in VERBS.items()]
    text = "\n".join(("usage: vnet VERB [OPTION ...]", "", *lines, "", "vnet VERB --help tells more"))
    if not verb and words[:1] in (["--help"], ["-h"]):
        print(text)
        return 0
    print(f"vnet: {plain(verb)}: not a verb{hint(verb, VERBS)}\n{text}" if verb else text, file=sys.stderr)
    return UsageError.status
