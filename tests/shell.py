"""Open a shell on a simulated machine: `make shell`, or python tests/shell.py [--user] [--no-userns] [--no-sudo]."""

import argparse
import sys

from inside import as_root, search_path
from machine import DNS_IP, INSIDE, INTERNET_IP, MACHINE_IP, SITE_NAME, Machine


def main() -> int:
    """Start the machine and its DNS server, and hand the terminal to a shell on it until that ends."""
    parser = argparse.ArgumentParser(description="Open a shell on a simulated machine.")
    parser.add_argument("--user", action="store_true", help="as alice, who may use sudo, and not as root")
    parser.add_argument("--no-userns", action="store_true", help="forbid user namespaces on the machine")
    parser.add_argument("--no-sudo", action="store_true", help="take sudo away from the machine")
    options = parser.parse_args()
    if as_root() is None:
        print("shell.py: simulated machines need root, or sudo without a password", file=sys.stderr)
        return 1
    user = "alice" if options.user else "root"
    with Machine(userns=not options.no_userns, sudo=not options.no_sudo) as machine:
        machine.start_dns()
        print(f"A simulated machine; you are {user}. Its kernel is real; network, users, /etc and /home are its own.")
        print(f"eth0 has {MACHINE_IP}; the internet begins at {INTERNET_IP}: DNS at {DNS_IP}, {SITE_NAME}.")
        print(f"The repository is {INSIDE}, its bin/ is on PATH. Leave with `exit`: everything goes with the shell.")
        sys.stdout.flush()
        env = {"PATH": f"{INSIDE}/bin:{search_path()}", "TERM": "xterm"}
        # script(1) gives the shell a terminal of its own: job control does not cross process namespaces.
        argv = ("script", "--quiet", "--return", "--command", "bash", "/dev/null")
        return machine.popen(*argv, user=user, env=env, stdin=None).wait()


if __name__ == "__main__":
    sys.exit(main())
