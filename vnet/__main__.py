"""`python -m vnet VERB`: the same as `vnet VERB`."""

from __future__ import annotations

import sys

from vnet.cli import program

if __name__ == "__main__":
    sys.argv[0] = "vnet"
    program()
