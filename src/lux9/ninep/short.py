"""The short ways in C, where `accel/` is installed; the same ways in Python answer the same, byte for byte.

`turn(session, epoch, fid, fd, loop, room, have, looks, closing)` answers the requests in `room[:have]` that have a
short way, writes to `fd`, and reads on while it may look; `loop` is the descriptor of the event loop itself. It gives
`(at, have, asked, looks, rest)`: where it stopped, up to where there is something, how many requests it answered, the
looks that are left, and answers that are not sent yet.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

Turn = Callable[
    [object, object, type, int, int, memoryview, int, int, Callable[[], bool]],
    tuple[int, int, int, int, bytes],
]
VARIABLE = "LUX9_SHORT"  # 0: not in C


def _found() -> Turn | None:
    if os.environ.get(VARIABLE) == "0":
        return None
    try:
        module: Any = importlib.import_module("lux9_short")
    except ImportError:
        return None
    made: Turn = module.turn
    return made


def descriptor(loop: Any) -> int:
    """That of an event loop, by which one sees that something has come for anybody; -1 where it cannot be had."""
    try:
        return int(
            loop._get_backend_id() if hasattr(loop, "_get_backend_id") else loop._selector.fileno()
        )
    except (AttributeError, TypeError, ValueError):
        return -1


TURN = _found()
