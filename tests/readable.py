"""Whether a descriptor has something to read: by poll(2), since select(2) knows none above 1023."""

from __future__ import annotations

import math
import select
from typing import Protocol


class HasFileno(Protocol):
    def fileno(self) -> int: ...


def readable(fd: int | HasFileno, seconds: float = 0.0) -> bool:
    """Wait so long at most; an end is something to read, too."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(math.ceil(seconds * 1000)))
