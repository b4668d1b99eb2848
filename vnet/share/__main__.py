"""Writes completions and man pages: `python -m vnet.share`, in the checkout, writes them into its folder share/."""

from __future__ import annotations

import os
import sys

from vnet.share import files


def main(root: str) -> int:
    """Write all, and take away what is no longer written."""
    wanted = files()
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            if path not in wanted:
                os.remove(os.path.join(root, path))
    for path, text in wanted.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main("share"))
