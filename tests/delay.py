"""A slow link: a relay that delivers what comes after a while, and counts how often one side had to hear of the other.

`trips` counts as a logical clock does: what one side sends is one trip later than the last that it had heard by then.
So what is sent at once is one trip however many messages it is, and a request with its answer is two.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

PIECE = 1 << 20


class Delay:
    """Between whoever dials `path` and a unix socket that listens; `seconds` are one way's."""

    def __init__(self, target: Path, path: Path, seconds: float) -> None:
        self.target, self.path, self.seconds = target, path, seconds
        self.heard = [0, 0]  # the latest trip that reached whoever dialled, and the other one
        self.bytes = [0, 0]
        self.address = f"unix!{path}"
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def trips(self) -> int:
        """So far, one way each."""
        return max(self.heard)

    def __enter__(self) -> Self:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._serve, self.path, limit=PIECE)

    async def _close(self) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_unix_connection(str(self.target), limit=PIECE)
        ways = (self._pass(0, near, to_far), self._pass(1, far, to_near))
        tasks = [self.loop.create_task(way) for way in ways]
        self.tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.tasks.difference_update(tasks)
        for writer in (to_near, to_far):
            writer.close()

    async def _pass(
        self, side: int, source: asyncio.StreamReader, to: asyncio.StreamWriter
    ) -> None:
        """What `side` sends is delivered in its order, each piece when its time has come."""
        queue: asyncio.Queue[tuple[float, int, bytes]] = asyncio.Queue()
        deliver = self.loop.create_task(self._deliver(side, queue, to))
        try:
            while data := await source.read(PIECE):
                self.bytes[side] += len(data)
                queue.put_nowait((self.loop.time() + self.seconds, self.heard[side] + 1, data))
        finally:
            deliver.cancel()

    async def _deliver(
        self,
        side: int,
        queue: asyncio.Queue[tuple[float, int, bytes]],
        to: asyncio.StreamWriter,
    ) -> None:
        while True:
            when, trip, data = await queue.get()
            await asyncio.sleep(when - self.loop.time())
            self.heard[1 - side] = max(self.heard[1 - side], trip)
            to.write(data)
