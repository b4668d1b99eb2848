"""Completions for zsh: one file for all commands."""

from __future__ import annotations

from vnet.cuts.cut import KINDS
from vnet.share.bash import TOLD
from vnet.share.grammar import Option, Verb

#: What each name of grammar.COMPLETES is in zsh.
ACTIONS = {
    "file": "_files", "folder": "_files -/", "number": " ", "command": " _normal",
    "kinds": f"({' '.join((*KINDS, 'show', 'run'))})", "cut": " _vnet_cut",
}  # fmt: skip

HEAD = """\
#compdef vnet {commands}
# Completions of vnet's commands for zsh. {told}

# Ask vnet for names, and offer them with the words behind.
_vnet_names() {{
    local -a found given
    [[ -z ${{opt_args[-n]}} ]] || given+=(-n ${{opt_args[-n]}})
    [[ -z ${{opt_args[-f]}} ]] || given+=(-f ${{opt_args[-f]}})
    found=(${{(f)"$($_vnet_program _names $1 $given 2> /dev/null)"}})
    compadd -a found
    (( $# == 1 )) || compadd -- ${{@[2,-1]}}
}}

# The words of a cut; behind `run`, a node and a command.
_vnet_cut() {{
    if [[ $line[1] == run ]]; then
        words=(vnet-exec $words)
        (( CURRENT++ ))
        _vnet-exec
    else
        _vnet_names guests --
    fi
}}
"""

TAIL = """
_vnet() {{
    local curcontext=$curcontext context state line _vnet_program=${{words[1]%vnet*}}vnet
    typeset -A opt_args
    (( $+commands[$_vnet_program] )) || [[ -x $_vnet_program ]] || _vnet_program=vnet
    if [[ ${{words[1]:t}} != vnet ]]; then
        _${{words[1]:t}}
        return
    fi
    _arguments '1:verb:(({verbs}))' '(- *)--help[tell what there is]' '(- *)--version[print the version]' '*:: :->rest'
    [[ $state != rest ]] || {{ (( $+functions[_vnet-$words[1]] )) && _vnet-$words[1] }}
}}

_vnet "$@"
"""


def files(verbs: list[Verb]) -> dict[str, str]:
    """Write it, by name."""
    head = HEAD.format(commands=" ".join(f"vnet-{verb.name}" for verb in verbs), told=TOLD)
    listed = " ".join(f'{verb.name}\\:"{_safe(verb.does)}"' for verb in verbs)
    return {"_vnet": head + "".join(map(_function, verbs)) + TAIL.format(verbs=listed)}


def _function(verb: Verb) -> str:
    """Write what one verb takes."""
    specs = [spec for option in verb.options for spec in _option(option)]
    for at, word in enumerate(verb.words, 1):
        place = "*::" if word.many else str(at)  # with `:::` the words are those from there on
        specs.append(f"'{place}:{word.name}:{_action(word.completes)}'")
    lines = " \\\n".join(f"        {spec}" for spec in specs)
    return f"\n_vnet-{verb.name}() {{\n    _arguments -S \\\n{lines}\n}}\n"


def _option(option: Option) -> list[str]:
    """Write an option under each of its names."""
    value = ""
    if option.value:
        action = f"({' '.join(option.choices)})" if option.choices else _action(option.completes)
        value = f":{'value' if option.choices else option.value}:{action}"
    star = "*" if option.many else ""
    return [f"'{star}{name}[{_safe(option.help)}]{value}'" for name in option.names]


def _action(completes: str) -> str:
    """Say what completes a value."""
    return (
        ACTIONS.get(completes) or f" _vnet_names {completes}"
    )  # a blank first, or zsh puts words of its own in between


def _safe(text: str) -> str:
    """Take from a text what zsh would read as its own."""
    return text.replace("'", "'\\''").replace(":", "\\:").replace("[", "(").replace("]", ")").replace('"', "")
