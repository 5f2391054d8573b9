"""lux9: a machine's PCI hardware as files over 9P, with drivers as ordinary isolated programs.

`lux9.connect()` is a served tree for programs in Python; see `connection`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .connection import RemoteFile, RemotePath, RemoteTree, aconnect, connect

__version__ = "0.1.0"
__all__ = ["RemoteFile", "RemotePath", "RemoteTree", "aconnect", "connect"]


def __getattr__(name: str) -> Any:
    """Loaded when asked for: a driver that imports `lux9.regs` need not pay for a client."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import connection

    return getattr(connection, name)
