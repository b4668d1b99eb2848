"""vnet: networks to test distributed software on, from kernel namespaces.

    host -- gateway -- bridge xN -- guest xNxM

Importing the package costs nothing; what it offers is imported where it is asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` has the same; importing it takes longer than all else of vnet-exec
if TYPE_CHECKING:
    from typing import Any

    from vnet.errors import NotUpError, UsageError, VnetError
    from vnet.hooks.specs import hookimpl
    from vnet.lab import Lab, up

__version__ = "0.1.0"
__all__ = ["Lab", "NotUpError", "UsageError", "VnetError", "__version__", "hookimpl", "up"]

#: Where each name is.
_MODULES = {
    "hookimpl": "vnet.hooks.specs", "Lab": "vnet.lab", "up": "vnet.lab",
    "NotUpError": "vnet.errors", "UsageError": "vnet.errors", "VnetError": "vnet.errors",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a name at its first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'vnet' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
