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


def _found() -> Turn | None:
    if os.environ.get(VARIABLE) == "0":
        return None
    try:
        module: Any = importlib.import_module("lux9_short")
    except ImportError:
        return None
    made: Turn = module.turn
    return made


TURN = _found()
