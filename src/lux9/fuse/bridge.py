"""From FUSE's threads to the one loop on which the 9P client runs.

libfuse calls from a thread of its own for each request, and a read of an event file may take for ever. So the client
runs on a loop in a thread, each request is a coroutine there, and whoever waits for it looks now and then whether
its program was interrupted; then the request is flushed.
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, TimeoutError as StillWaiting
from typing import Any, TypeVar

from ..errors import Lux9Error, number_of
from ..ninep.aclient import AsyncClient
from ..wire.dialects import LUX9
from ..wire.linux import LINUX
from ..wire.messages import P9

T = TypeVar("T")
OTHERS = (
    LINUX,
    P9,
)  # where a server does not know ours, which has links, all of stat(2), and errors' texts
LOOK = 0.05  # seconds between two looks at whether the program was interrupted
START = 10.0  # seconds that the connection may take


class Bridge:
    """A client on a loop in a thread. `interrupted()` is asked in the thread that waits."""

    def __init__(self, address: str, interrupted: Callable[[], bool] = lambda: False) -> None:
        self.interrupted, self.closing = interrupted, False
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="lux9-9p", daemon=True)
        self.thread.start()
        try:
            client = AsyncClient.connect(
                address, version=LUX9.version
            )  # with links and all of stat(2)
            connecting = asyncio.run_coroutine_threadsafe(client, self.loop)
            self.client = connecting.result(START)
        except BaseException:
            self._stop()
            raise

    def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for some work on the loop. Raises OSError with the errno that the error stands for."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return self._wait(future)
        except Lux9Error as error:
            raise OSError(number_of(error), str(error)) from error

    def _wait(self, future: Future[T]) -> T:
        while True:
            try:
                return future.result(LOOK)
            except StillWaiting:
                if future.done():
                    raise
                if self.interrupted():
                    future.cancel()
                    raise InterruptedError(errno.EINTR, "interrupted") from None

    def close(self) -> None:
        """Hang up and end the thread; again does nothing."""
        if self.loop.is_closed():
            return
        self.closing = True
        try:
            asyncio.run_coroutine_threadsafe(self.client.close(), self.loop).result(START)
        finally:
            self._stop()

    def _stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(START)
        self.loop.close()
