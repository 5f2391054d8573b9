"""The device's metadata, in chunks that are kept; and operations on it that nobody has to wait in.

libext2fs wants a block now, but a block may have to come from another process. So an operation that misses one
is given up (`Missing`), the block is fetched without blocking anybody, and the operation starts again from its
beginning. That is sound because metadata never changes here and an operation has no effect but its result; it
is cheap because what it decoded before is kept in caches, and neighbours are fetched along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from ..errors import DeviceError
from ..pending import Maybe, Pending, waits
from ..wire.node import Bytes
from .blocks import BlockFile
from .lru import Lru
from .reading import read_runs
from .runs import Run, joined

T = TypeVar("T")
CHUNK = 64 << 10
STRIDE = 16  # chunks, the most that are fetched ahead of a sequence
WANTED = 1024  # chunks, the most that are fetched for one `want`
ROOM = 16 << 20  # bytes


class Missing(Exception):
    """Chunks that an operation needs, and that are not here."""

    def __init__(self, chunks: list[int]) -> None:
        super().__init__(chunks)
        self.chunks = chunks


class Metadata:
    """What was read of a block file, and the attempts of operations on it."""

    def __init__(self, file: BlockFile, room: int = ROOM) -> None:
        self._file, self.size = file, file.size
        self._kept: Lru[int, bytes] = Lru(room, len)
        self._held: dict[int, bytes] = {}  # fetched for the attempt in hand: stays until its end
        self._next, self._stride = -1, 1  # where a sequence would go on, and how far ahead to look

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the device. Raises Missing, which `attempt` takes, and DeviceError past the end."""
        if offset < 0 or offset + count > self.size:
            raise DeviceError(f"{count} bytes at {offset:#x} lie outside the device of {self.size}")
        first, last = offset // CHUNK, (offset + count - 1) // CHUNK
        if first == last:
            at = offset - first * CHUNK
            return self._chunk(first)[at : at + count]
        self.want([(offset, offset + count)])
        joint = b"".join(self._chunk(n) for n in range(first, last + 1))
        return joint[offset - first * CHUNK :][:count]

    def want(self, spans: Iterable[tuple[int, int]]) -> None:
        """Have these bytes (start, end) fetched together; they will be read soon. Raises Missing."""
        chunks = (n for start, end in spans for n in range(start // CHUNK, (end - 1) // CHUNK + 1))
        missing = sorted({n for n in islice(chunks, WANTED) if not self._has(n)})
        if missing:
            raise Missing(missing)

    def _has(self, n: int) -> bool:
        return n in self._kept or n in self._held

    def _chunk(self, n: int) -> bytes:
        got = self._kept.get(n) or self._held.get(n)
        if got is None:
            raise Missing(self._ahead(n))
        return got

    def _ahead(self, n: int) -> list[int]:
        """The chunk and, in a sequence, more and more of those behind it."""
        self._stride = min(self._stride * 2, STRIDE) if n == self._next else 1
        end = min(n + self._stride, -(-self.size // CHUNK))
        self._next = end
        return [n, *(i for i in range(n + 1, end) if not self._has(i))]

    def attempt(self, act: Callable[[], T]) -> Maybe[T]:
        """What `act` gives, now or when everything that it reads has come. It may be called several times."""
        return self._again(act, {})

    def _again(self, act: Callable[[], T], held: dict[int, bytes]) -> Maybe[T]:
        while True:
            before, self._held = self._held, held
            try:
                return act()
            except Missing as missing:
                chunks = missing.chunks
            finally:
                self._held = before
            fetched = self._fetch(chunks, held)
            if waits(fetched) and not fetched.done:
                return fetched.map(lambda _: self._again(act, held))
            if waits(fetched):
                fetched.result()

    def _fetch(self, chunks: list[int], held: dict[int, bytes]) -> Maybe[None]:
        runs: list[Run] = []
        for n in chunks:
            at, size = runs[-1].end if runs else 0, min(CHUNK, self.size - n * CHUNK)
            runs.append(Run(at, at + size, n * CHUNK))

        def store(data: Bytes) -> None:
            view = memoryview(data)
            for n, run in zip(chunks, runs, strict=True):
                held[n] = self._kept.put(n, bytes(view[run.start : run.end]))

        data = read_runs(self._file, joined(runs))
        if isinstance(data, Pending):
            return data.map(store)
        store(data)
        return None
