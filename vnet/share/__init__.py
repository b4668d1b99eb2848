"""What helps in a shell: completions and man pages, written from the parsers into the folder `share/`, which pip installs."""

from __future__ import annotations


def files() -> dict[str, str]:
    """Write all that belongs into `share/`, by path."""
    from vnet.share import bash, fish, grammar, man, zsh

    verbs = grammar.verbs()
    folders = {
        "bash-completion/completions": bash.files(verbs), "zsh/site-functions": zsh.files(verbs),
        "fish/vendor_completions.d": fish.files(verbs), "man/man1": man.files(verbs),
    }  # fmt: skip
    return {f"{folder}/{name}": text for folder, made in folders.items() for name, text in made.items()}
