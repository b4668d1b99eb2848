"""Builders for `mount`, `umount` and what ships with them in util-linux."""

from __future__ import annotations

from vnet.command import Command


def bind(source: str, target: str) -> Command:
    """Mount a file or folder a second time. Follows symlinks: both must lie in folders that only root can write."""
    return Command(("mount", "--no-mtab", "--bind", source, target))


def make_private(target: str) -> Command:
    """Keep mounts below a mount point from other mount namespaces (mount_namespaces(7)); pins of those need it."""
    return Command(("mount", "--no-mtab", "--make-private", target))


def tmpfs(target: str) -> Command:
    """Mount an empty tmpfs."""
    return Command(("mount", "--no-mtab", "-t", "tmpfs", "-o", "mode=0755", "vnet", target))


def umount(target: str) -> Command:
    """Take a mount away, also while it is in use."""
    return Command(("umount", "--no-mtab", "--lazy", target))
