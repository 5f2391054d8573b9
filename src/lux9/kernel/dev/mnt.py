"""#M: the mounted services and what goes through them. mnt(3)."""

from __future__ import annotations

from collections.abc import Callable

from ...tree import Dir, text


class MountDir(Dir):
    """The mounts."""

    def __init__(self, lines: Callable[[], str]) -> None:
        self.lines = lines

    @text(0o444)
    def mounts(self) -> str:
        """A line each: where, from which process, requests, bytes, waiting."""
        return self.lines()
