"""Completions for fish: one file for each command, for fish loads by name."""

from __future__ import annotations

from vnet.cuts.cut import KINDS
from vnet.share.bash import TOLD
from vnet.share.grammar import Option, Verb

HEAD = """\
# Completions of {command} for fish. {told}

# Ask vnet for names, of the lab that -n or -f on the command line mean.
function __vnet_names
    set -l words (commandline -opc)
    set -l program (string replace -r 'vnet[a-z-]*$' vnet -- $words[1])
    command -q $program; or set program vnet
    set -l given
    for option in -n -f
        set -l at (contains -i -- $option $words); and set -q words[(math $at + 1)]
        and set -a given $option $words[(math $at + 1)]
    end
    command $program _names $argv[1] $given 2> /dev/null
end

# Tell whether so many words that are no options were given; the first argument lists the options that take a value.
function __vnet_given
    set -l words (commandline -opc)
    set -l open ''
    set -l given
    for word in $words[2..-1]
        if contains -- $word (string split ' ' -- $argv[1])
            set open $word
        else if test -n "$open"
            set open ''
        else if not string match -q -- '-*' $word
            set -a given $word
        end
    end
    test (count $given) $argv[2] $argv[3]
end
"""

#: What each name of grammar.COMPLETES is in fish: the options of `complete`.
ACTIONS = {
    "file": "-r -F", "folder": "-x -a '(__fish_complete_directories)'", "number": "-x",
    "kinds": f"-x -a '{' '.join((*KINDS, 'show', 'run'))}'",
    "cut": "-x -a '(__vnet_names (contains -- run (commandline -opc); and echo nodes; or echo guests))'",
    "command": "-x -a '(__fish_complete_command)'", "rest": "-F",
}  # fmt: skip


def files(verbs: list[Verb]) -> dict[str, str]:
    """Write them, by name."""
    found = {f"vnet-{verb.name}.fish": _alone(verb) for verb in verbs}
    lines = [HEAD.format(command="vnet", told=TOLD), "complete -c vnet -f"]
    first = "not __fish_seen_subcommand_from " + " ".join(verb.name for verb in verbs)
    for verb in verbs:
        lines.append(f"complete -c vnet -n '{first}' -a {verb.name} -d '{_safe(verb.does)}'")
    for verb in verbs:
        lines += _lines(verb, "vnet", f"__fish_seen_subcommand_from {verb.name}; and ", 1)
    return {"vnet.fish": "\n".join(lines) + "\n", **found}


def _alone(verb: Verb) -> str:
    """Write the file of one command."""
    name = f"vnet-{verb.name}"
    return (
        "\n".join([HEAD.format(command=name, told=TOLD), f"complete -c {name} -f", *_lines(verb, name, "", 0)]) + "\n"
    )


def _lines(verb: Verb, command: str, where: str, before: int) -> list[str]:
    """Write what one verb takes; `before`: how many words stand before its own."""
    lines = []
    for option in verb.options:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
        value = f" {_action(option)}" if option.value else ""
        condition = f" -n '{where.removesuffix('; and ')}'" if where else ""
        lines.append(f"complete -c {command}{condition} {names}{value} -d '{_safe(option.help)}'")
    values = " ".join(name for option in verb.options if option.value for name in option.names)
    places = [word.completes for word in verb.words] or list({each.completes for each in verb.options if each.many})
    if places[-1:] == ["command"]:
        places.append("rest")
    for at, completes in enumerate(places):
        test = "-ge" if at == len(places) - 1 else "-eq"  # the last is the one that may come again and again
        condition = f'{where}__vnet_given "{values}" {test} {at + before}'
        lines.append(f"complete -c {command} -n '{condition}' {_complete(completes)}")
    return lines


def _action(option: Option) -> str:
    """Say what completes an option's value."""
    return f"-x -a '{' '.join(option.choices)}'" if option.choices else _complete(option.completes)


def _complete(completes: str) -> str:
    """Say what completes a value or a word."""
    return ACTIONS.get(completes) or f"-x -a '(__vnet_names {completes})'"


def _safe(text: str) -> str:
    """Quote a text for fish."""
    return text.replace("\\", "\\\\").replace("'", "\\'")
