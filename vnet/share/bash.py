"""Completions for bash: one file for all commands, and one for each that leads to it, for bash-completion loads by name."""

from __future__ import annotations

from vnet.cuts.cut import KINDS
from vnet.share.grammar import Option, Verb

TOLD = "Written by `python -m vnet.share` from the commands' own parsers: change it there."

HEAD = f"""\
# Completions of vnet's commands for bash. {TOLD}
# In a checkout: `. share/bash-completion/completions/vnet`; an installation brings it to where bash-completion looks.

# Offer the words of $1 that begin with what stands there. (`compgen -W` would carry out what is in them.)
_vnet_words() {{
    local all word
    read -rd "" -a all <<< "$1"
    for word in "${{all[@]}}"; do
        [[ $word != "$cur"* ]] || COMPREPLY+=("$word")
    done
}}

# Ask vnet for names.
_vnet_names() {{
    local vnet=${{COMP_WORDS[0]%vnet*}}vnet
    [[ -x $vnet ]] || vnet=vnet
    "$vnet" _names "$1" ${{lab:+-n "$lab"}} ${{file:+-f "$file"}} 2> /dev/null
}}

# Offer what $1 says: names, files, commands, or the words behind =.
_vnet_offer() {{
    case $1 in
        =*) _vnet_words "${{1#=}}" ;;
        file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
        kinds) _vnet_words "{" ".join((*KINDS, "show", "run"))}" ;;
        cut) [[ ${{given[0]}} == show ]] || _vnet_words "$(_vnet_names guests) --" ;;
        number | "") ;;
        *) _vnet_words "$(_vnet_names "$1")" ;;
    esac
}}

# Complete a command that runs in a node, which begins at word $1.
_vnet_command() {{
    if ((COMP_CWORD > $1)) && declare -F _command_offset > /dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD > $1)) || [[ $cur == */* ]]; then
        compopt -o default
    else
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
    fi
}}

_vnet() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} verb=${{COMP_WORDS[0]##*/}} at=1 lab="" file="" open="" word
    local options="" many="" given=() places=()
    local -A values=()
    COMPREPLY=()
    if [[ $verb == vnet ]]; then
        verb=vnet-${{COMP_WORDS[1]}}
        at=2
    fi
    if ((COMP_CWORD < at)); then
        _vnet_words "VERBS"
        return
    fi
    case $verb in
"""

TAIL = """\
        *) return ;;
    esac
    for ((; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if [[ $open && $word != -* ]]; then
            [[ $open != -n ]] || lab=$word
            [[ $open != -f ]] || file=$word
            [[ " $many " == *" $open "* ]] || open=""
        elif [[ $word == -* ]]; then
            [[ ${values[$word]-} ]] && open=$word || open=""
        else
            given+=("$word")
            [[ $verb != vnet-partition || ${#given[@]} != 1 || $word != run ]] || { verb=vnet-exec places=(nodes) given=(); }
            [[ $verb != vnet-exec || ${#given[@]} == 0 ]] || break
        fi
    done
    if [[ $verb == vnet-exec && ${#given[@]} -gt 0 ]]; then
        ((at++))
        [[ ${COMP_WORDS[at]} != -- || $at -ge $COMP_CWORD ]] || ((at++))
        _vnet_command "$at"
    elif [[ $open && ($cur != -* || " $many " != *" $open "*) ]]; then
        _vnet_offer "${values[$open]}"
    elif [[ $cur == -* && ($verb != vnet-partition || $cur != --) ]]; then
        _vnet_words "$options"
    elif ((${#places[@]})); then
        ((${#given[@]} < ${#places[@]})) && at=${#given[@]} || at=$((${#places[@]} - 1))
        _vnet_offer "${places[at]}"
    fi
}

"""

STUB = f'# {TOLD}\n. "${{BASH_SOURCE[0]%/*}}/vnet"\n'


def files(verbs: list[Verb]) -> dict[str, str]:
    """Write them, by name."""
    commands = " ".join(f"vnet-{verb.name}" for verb in verbs)
    offered = " ".join((*(verb.name for verb in verbs), "--help", "--version"))
    text = HEAD.replace("VERBS", offered) + "".join(map(_case, verbs)) + TAIL + f"complete -F _vnet vnet {commands}\n"
    return {"vnet": text, **{f"vnet-{verb.name}": STUB for verb in verbs}}


def _case(verb: Verb) -> str:
    """Write what one verb takes."""
    options = " ".join(name for option in verb.options for name in option.names)
    many = " ".join(name for option in verb.options if option.many for name in option.names)
    values = " ".join(f"[{name}]={_completes(each)}" for each in verb.options if each.value for name in each.names)
    places = " ".join(word.completes for word in verb.words)
    return f"""\
        vnet-{verb.name})
            options="{options}"
            many="{many}"
            values=({values})
            places=({places})
            ;;
"""


def _completes(option: Option) -> str:
    """Say what completes an option's value."""
    return f'"={" ".join(option.choices)}"' if option.choices else option.completes
