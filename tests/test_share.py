"""Completions and man pages: shells and man(1) take them, and they offer what is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Box
from lab_world import standing

from vnet.cli import VERBS
from vnet.cli.exec_help import TEXT
from vnet.cuts.cut import KINDS
from vnet.exec import Call
from vnet.share import files, grammar

REPO = Path(__file__).resolve().parent.parent
SHARE, BASH_FILE = "/opt/vnet/share", "share/bash-completion/completions/vnet"
OPTIONS = {f"vnet-{verb.name}": {name for each in verb.options for name in each.names} for verb in grammar.verbs()}
LAB = """
[guests.web]
tags = ["front"]
[guests.web2]
[guests.db]
"""
#: What is typed, the last word being completed, and what has to be offered; with `...` at least that.
TYPED = {
    "vnet ": [*VERBS, "--help", "--version"],
    "vnet st": ["status"],
    "vnet status --g": ["--graph"],
    "vnet-status --graph ": ["dot", "mermaid", "svg"],
    "vnet status --graph m": ["mermaid"],
    "vnet-partition ": [*KINDS, "show", "run"],
    "vnet-partition iso": ["isolate"],
    "vnet-partition isolate ": ["web", "web2", "db", "--"],
    "vnet-partition -q --for 5 isolate db w": ["web", "web2"],
    "vnet-partition disjoint db --": ["--"],
    "vnet-partition show ": [],
    "vnet-partition run w": ["web", "web2"],
    "vnet partition run b": ["bridge"],
    "vnet-partition --for ": [],
    "vnet-exec ": ["web", "web2", "db", "bridge", "gateway"],
    "vnet-exec --r": ["--root"],
    "vnet exec -n project --root d": ["db"],
    "vnet-exec -n other d": [],
    "vnet-exec db hostna": ["hostname", "..."],
    "vnet-exec db -- hostna": ["hostname", "..."],
    "vnet-up -n ": ["project"],
    "vnet-down d": ["db"],
    "vnet-up w": ["web", "web2"],
    "vnet-up -f vn": ["vnet.toml"],
    "vnet-run --logs fol": ["folder"],
    "vnet-run --only ": ["web", "web2", "db", "front"],
    "vnet-run --only web --exclude web fr": ["front"],
    "/opt/vnet/bin/vnet-down w": ["web", "web2"],
}
#: Sources the file as bash-completion does, and completes each line that it reads.
BASH = """
. "$1/bash-completion/completions/vnet-up"
complete -p vnet vnet-exec >&2
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "$line"
    [[ $line != *" " ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _vnet 2>/dev/null
    echo "${COMPREPLY[*]}"
done
"""
FISH = """
while read -l line
    set -l command (string split ' ' -- $line)[1]
    set command (string split / -- $command)[-1]
    source $argv[1]/fish/vendor_completions.d/$command.fish
    echo (complete -C "$line" | string replace -r '\\t.*' '')
end
"""


@pytest.mark.parametrize("box", ["userns"], indirect=True)
def test_a_shell_completes_verbs_options_kinds_and_guests(box: Box) -> None:
    """Of the lab that runs, or, where it is to be brought up, of the settings."""
    path = {"PATH": f"/opt/vnet/bin:{os.environ['PATH']}"}
    with standing(box, LAB):
        box.run("mkdir", "folder")
        lines = "".join(f"{line}\n" for line in TYPED)
        done = box.run("bash", "-c", BASH, "bash", SHARE, input=lines, env=path)
        assert done.stderr.count("complete -F _vnet ") == 2
        found = dict(zip(TYPED, done.stdout.splitlines(), strict=True))
        for line, wanted in TYPED.items():
            offered = found[line].split()
            assert set(offered) == set(wanted) or ("..." in wanted and wanted[0] in offered), (line, offered)
        if shutil.which("fish"):
            fish = box.run("fish", "--no-config", "-c", FISH, SHARE, input=lines, env=path).stdout.splitlines()
            for line, text in zip(TYPED, fish, strict=True):
                wanted = {word for word in TYPED[line] if word[0] != "-"} - {"..."}
                assert wanted <= set(text.replace("folder/", "folder").split()), (line, text)


def test_every_option_is_completed() -> None:
    """And nothing that is none; vnet-exec takes what is said of it, which has no parser to ask."""
    for command, options in OPTIONS.items():
        typed = f"""COMP_WORDS=({command} -) COMP_CWORD=1; . {BASH_FILE}; _vnet; echo "${{COMPREPLY[*]}}" """
        done = subprocess.run(["bash", "-c", typed], cwd=REPO, capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == options
    for name in OPTIONS["vnet-exec"]:
        call = Call([name, *(["value"] if name in ("-n", "-f") else []), "web", "true"])
        assert call.asks == name or call.node == "web"


def test_shells_and_formatters_read_them() -> None:
    """Without a word of complaint, those that are here."""
    readers = {
        "bash-completion": ("bash", "-n"), "zsh": ("zsh", "-n"), "fish": ("fish", "-n"), "man": ("groff", "-man", "-ww", "-z")
    }  # fmt: skip
    for path in files():
        argv = readers[path.partition("/")[0]]
        if shutil.which(argv[0]):
            done = subprocess.run([*argv, REPO / "share" / path], capture_output=True, text=True)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), path


@pytest.mark.skipif(not shutil.which("man"), reason="man(1) is not installed")
def test_man_shows_a_page() -> None:
    """With all that there is to say of a verb."""
    argv = ["man", "--warnings", "-l", str(REPO / "share/man/man1/vnet-run.1")]
    env = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=True)
    assert done.stderr == ""
    parts = (
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "EXAMPLES",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "SEE ALSO",
    )
    assert [line for line in done.stdout.splitlines() if line in parts] == list(parts)
    for text in ("--mode stop-on-failure|wait-all-successful", "vnet-run --exclude flask", "each guest's `command`"):
        assert text in done.stdout


def test_vnet_execs_own_help_says_what_the_pages_say() -> None:
    """It is written by hand, as vnet-exec has no parser; only what it takes and does not heed is worded otherwise."""
    (verb,) = (each for each in grammar.verbs() if each.name == "exec")
    said = " ".join(TEXT.split())
    texts = [
        each.help
        for each in (*verb.options, *verb.words)
        if not {"-q", "-v", "--version"} & {*getattr(each, "names", ())}
    ]
    assert len(texts) > 5
    assert [text for text in texts if " ".join(text.split()) not in said] == []
