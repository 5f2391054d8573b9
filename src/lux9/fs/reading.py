"""Reads of a file's bytes from the runs that hold them: wide, side by side, with no copy where one run will do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..pending import Maybe, Pending
from ..wire.node import Bytes
from .blocks import BlockFile, whole
from .runs import HOLE, Run

ZEROS = bytes(1 << 20)


def read_run(file: BlockFile, offset: int, count: int) -> Pending[Bytes]:
    """Bytes of the device that lie together. A view passes through untouched."""
    if count <= file.limit:
        return whole(file, offset, count)
    return _Gather(file, [Run(0, count, offset)]).out


def read_runs(file: BlockFile, runs: Sequence[Run]) -> Maybe[Bytes]:
    """The bytes of runs that follow one another."""
    if len(runs) == 1:
        run = runs[0]
        count = run.end - run.start
        if run.device == HOLE:
            return ZEROS[:count] if count <= len(ZEROS) else bytes(count)
        return read_run(file, run.device, count)
    return _Gather(file, runs).out


class _Gather:
    """Several reads at the same time, into one buffer; `out` is settled when the last is there."""

    def __init__(self, file: BlockFile, runs: Sequence[Run]) -> None:
        self.out: Pending[Bytes] = Pending(self._cancel)
        self._buffer = bytearray(runs[-1].end - runs[0].start)
        pieces = list(_pieces(runs, file.limit))
        self._left = len(pieces)
        self._parts = [whole(file, p.device, p.end - p.start) for p in pieces]
        for piece, part in zip(pieces, self._parts, strict=True):
            part.then(self._taker(piece, runs[0].start))

    def _taker(self, piece: Run, base: int) -> Callable[[Pending[Bytes]], None]:
        def take(part: Pending[Bytes]) -> None:
            try:
                self._buffer[piece.start - base : piece.end - base] = part.result()
            except Exception as error:
                self._fail(error)
                return
            self._left -= 1
            if not self._left:
                self.out.resolve(self._buffer)

        return take

    def _fail(self, error: Exception) -> None:
        self.out.fail(error)
        self._cancel()

    def _cancel(self) -> None:
        for part in self._parts:
            part.cancel()


def _pieces(runs: Sequence[Run], limit: int) -> list[Run]:
    """The runs that lie on the device, none longer than one read may be."""
    return [
        run.cut(at, at + limit)
        for run in runs
        if run.device != HOLE
        for at in range(run.start, run.end, limit)
    ]
