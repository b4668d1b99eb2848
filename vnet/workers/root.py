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


#: What is asked for: nothing is a worker.
WORDS = ("", "exec", "exec-root", "run", "doctor")


def main(argv: list[str]) -> int:
    """Serve: `exec` runs a command as the caller, `exec-root` as root, `run` keeps commands, `doctor` looks; else a worker."""
    _packages()
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if not (uid.isdigit() and gid.isdigit()) or os.geteuid() or (argv or [""])[0] not in WORDS:
        print("vnet: this part is for sudo to start", file=sys.stderr)
        return 2
    os.umask(0o022)
    if not argv:
        from vnet.workers import worker

        worker.serve_sudo(int(uid), frozenset((int(gid), *_groups(int(uid)))))
        return 0
    from vnet.exec import told
    from vnet.workers import sudo

    if argv[0] == "run":
        return sudo.keep(int(uid))
    if argv[0] == "doctor":
        import json

        from vnet.doctor import tries
        from vnet.kernel.forwarding import base_chains

        rules, chains = tries.rules(), base_chains()
        print(json.dumps({"features": tries.features(userns=False), "rules": rules, "chains": chains}))
        return 0
    return told(lambda: sudo.exec_in(int(uid), argv[1:], root=argv[0] == "exec-root"))


def _groups(uid: int) -> list[int]:
    """List the groups of a user."""
    import pwd

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(entry.pw_name, entry.pw_gid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
