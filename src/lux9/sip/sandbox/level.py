"""How far a driver is kept apart."""

from __future__ import annotations

from enum import IntEnum

from ...errors import UserError


class Level(IntEnum):
    """More is further."""

    NONE = 0
    PROCESS = 1
    SANDBOX = 2

    @property
    def word(self) -> str:
        """As manifests and files write it."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str, where: str) -> Level:
        """Its opposite. Raises UserError, which begins with `where`."""
        for level in cls:
            if level.word == word:
                return level
        known = " ".join(level.word for level in cls)
        raise UserError(f"{where}: isolation {word!r} is not known; write one of: {known}")
