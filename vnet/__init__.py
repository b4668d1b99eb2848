"""vnet: networks to test distributed software on, from kernel namespaces.

    host -- gateway -- bridge xN -- guest xNxM

Importing the package costs nothing; `hookimpl` brings in pluggy when a hook file asks for it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` has the same; importing it takes longer than all else of vnet-exec
if TYPE_CHECKING:
    from typing import Any

    from vnet.hooks.specs import hookimpl

__version__ = "0.1.0"
__all__ = ["__version__", "hookimpl"]


def __getattr__(name: str) -> Any:
    """Load `hookimpl` at its first use (PEP 562)."""
    if name == "hookimpl":
        from vnet.hooks.specs import hookimpl

        return hookimpl
    raise AttributeError(f"module 'vnet' has no attribute {name!r}")
