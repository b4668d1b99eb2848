"""The help of vnet-exec, which reads its own words and has no parser that could tell (see `vnet.exec`)."""

TEXT = """\
usage: vnet-exec [-h] [-f FILE] [-n LAB] [-q] [-v] [--debug] [--version] [--root]
                 NODE [--] COMMAND [ARG ...]

Run a command in a guest, or in the lab's bridge or the gateway, and become it: terminal, signals and exit status
are the command's own. It has the node's network, host name, hosts file and resolver, and the caller's files,
directory and user. VNET_LAB, VNET_NODE and VNET_IP are set, and vnet's own commands are on PATH.

  vnet-exec nginx curl http://flask:8000/       from one guest to another, by name
  vnet-exec nginx bash                          a shell in a guest
  vnet-exec --root bridge tcpdump -i bridge     what passes between the guests
  vnet-exec -n trial a -- ./server --port 80    a lab by its name; what comes behind NODE is the command's

positional arguments:
  NODE           a guest, or bridge, or gateway
  COMMAND        what to run, looked up on PATH; words behind it are its own

options:
  -h, --help     show this help message and exit
  -f FILE        the project's settings; default: vnet.toml here or above
  -n LAB         the lab's name; default: VNET_LAB, or that of the project here
  -q             taken, as by all of vnet's commands; there is nothing to say
  --debug        show a traceback with an error
  -v             show the command before it runs
  --version      show program's version number and exit
  --root         be root in the lab: may change its links, routes and rules

exit status:
  the command's own, or
  2              wrong usage
  3              the lab, or the node, is not up
  125            vnet-exec failed
  126            the command can't be run
  127            the command was not found
"""
