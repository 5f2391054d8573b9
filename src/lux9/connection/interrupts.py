"""Ctrl-C on a connection: let through where it waits, kept back for the moment in which its state changes.

Python raises KeyboardInterrupt between any two steps of the main thread. In the middle of taking an answer in, that
would leave a connection of which nobody knows what is on its way; so SIGINT has another handler for as long as an
operation lasts, which calls the old one only while the operation waits, or when it is over.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

Handler = Callable[[int, FrameType | None], Any]


class Interrupts:
    """One operation's hold on SIGINT. In other threads than the main one, and where nothing handles it, it is none."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.letting = False  # an interrupt may be raised right here
        self.kept = False
        self.forced = False  # one was raised all the same

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            found = signal.getsignal(signal.SIGINT)
            if callable(found):
                self.handler = found
                signal.signal(signal.SIGINT, self._came)
        return self

    def __exit__(self, *exc: object) -> None:
        if self.handler is None:
            return
        signal.signal(signal.SIGINT, self.handler)
        if self.kept:
            self.handler(signal.SIGINT, None)

    def _came(self, number: int, frame: FrameType | None) -> None:
        if not self.letting and not self.kept:
            self.kept = True
            return
        self.forced = (
            not self.letting
        )  # the second one in a row: whatever we are at, it takes too long
        self.kept = False
        assert self.handler is not None, "it is ours only from where the old one is known"
        self.handler(number, frame)

    def let(self) -> None:
        """From here they may be raised; one that was kept back is raised now."""
        self.letting = True
        if self.kept and self.handler is not None:
            self.kept = False
            self.handler(signal.SIGINT, None)

    def keep(self) -> None:
        """From here no more."""
        self.letting = False
