"""What runs under sudo: a worker, or the way into a node for `vnet-exec`. Started with `python -I -B`, by its path.

Nothing of the caller's environment counts here: sudo resets it, `-I` keeps Python from reading what is left, and
`runner.py` gives tools an environment of its own. It serves the caller that sudo names, and nobody else.
"""

from __future__ import annotations

import os
import sys


def _packages() -> None:
    """Import from the checkout or the installation that this file belongs to; `-I` leaves that out."""
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    sys.path.insert(0, here)
    lib = f"{here}/.venv/lib"
    for name in os.listdir(lib) if os.path.isdir(lib) else ():
        sys.path.append(f"{lib}/{name}/site-packages")


def main(argv: list[str]) -> int:
    """Serve."""
    _packages()
    uid = os.environ.get("SUDO_UID", "")
    if not uid.isdigit() or os.geteuid():
        print("vnet: this part is for sudo to start", file=sys.stderr)
        return 2
    os.umask(0o022)
    if argv[:1] == ["exec"]:
        from vnet.exec import told
        from vnet.workers import sudo

        return told(lambda: sudo.exec_in(int(uid), argv[1:]))
    if argv == ["run"]:
        from vnet.workers import sudo

        return sudo.keep(int(uid))
    from vnet.workers import worker

    worker.serve_sudo(int(uid))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
