"""The help of vnet-exec, which parses its own words and so has no parser to write it."""

TEXT = """\
usage: vnet-exec [-f FILE] [-n LAB] [--root] NODE [--] COMMAND [ARG ...]

Run a command in a guest, in 'bridge' or in 'gateway': its network, its host name, the lab's guests in /etc/hosts, a
resolver that works; your files, directory, user and terminal. vnet-exec becomes the command.

  vnet-exec nginx -- curl http://flask:8000/
  vnet-exec --root bridge -- tcpdump -ni bridge

options:
  -f FILE     the project's settings; default: vnet.toml here or above
  -n LAB      the lab's name
  --root      as root inside the lab
  --help      show this
  --version   show the version

exit status: the command's; 2 wrong usage, 3 the lab or node is not up, 125 vnet failed, 126 the command
can't be run, 127 it was not found
"""
