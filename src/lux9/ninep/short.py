"""The short ways in C, where `accel/` is installed; the same ways in Python answer the same, byte for byte.

`turn(session, epoch, fid, fd, room, have, looks, closing)` answers the requests in `room[:have]` that have a short way,
writes to `fd`, and reads on while it may look; before a look it gives way to whoever shares the processor. It gives
`(at, have, asked, looks, rest)`: where it stopped, up to where there is something, how many requests it answered, the
looks that are left, and answers that are not sent yet.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

Turn = Callable[
    [object, object, type, int, memoryview, int, int, Callable[[], bool]],
    tuple[int, int, int, int, bytes],
]
VARIABLE = "LUX9_SHORT"  # 0: not in C


INTERFACE = (
    2  # in C as here: one more whenever what it takes, gives or looks at in a session changes
)


def stale() -> bool:
    """Whether what is installed is of another lux9, and so not used."""
    module = _module()
    return module is not None and getattr(module, "INTERFACE", 0) != INTERFACE


def _module() -> Any:
    try:
        return importlib.import_module("lux9_short")
    except ImportError:
        return None


def _found() -> Any:
    return None if os.environ.get(VARIABLE) == "0" or stale() else _module()


_FOUND = _found()
TURN: Turn | None = getattr(_FOUND, "turn", None)


def spin(microseconds: int) -> None:
    """How long a look may wait, awake, for the next request."""
    if _FOUND is not None:
        _FOUND.spin(microseconds)
