"""The functions of the machine, for the commands that need them: as far as this user sees them."""

from __future__ import annotations

from ..connection.bus import Listed, functions
from ..ninep.client import Client


def seen(client: Client) -> list[Listed]:
    """All of them, or those that one was given."""
    return functions(client.read, lambda path: [stat.name for stat in client.ls(path)])
