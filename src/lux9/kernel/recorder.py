"""The flight recorder: the last register accesses of a process, and what they were, by name.

Noting one costs an append; decoding is for whoever reads the report of a crash. The names come from the same
declarations as the driver's and the model's (`arch/`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..arch import registers_of
from ..regs_view import explain


class Place(NamedTuple):
    """Where an access went: which function, of which class, which of its BARs."""

    function: str
    code: int
    bar: int


Access = tuple[
    Place, bool, int, int, int
]  # where, whether written, offset, bytes, the value (-1: a run)


def lines(accesses: Iterable[Access]) -> Iterator[str]:
    """A line an access, oldest first; one that was made many times over is told once."""
    last, times = "", 0
    for access in accesses:
        line = _line(access)
        if line == last:
            times += 1
            continue
        yield from _told(last, times)
        last, times = line, 1
    yield from _told(last, times)


def _told(line: str, times: int) -> Iterator[str]:
    if times:
        yield line if times == 1 else f"{line}  ({times} times)"


def _line(access: Access) -> str:
    place, written, offset, width, value = access
    head = f"{place.function} bar{place.bar} {'write' if written else 'read '}"
    known = registers_of(place.code)
    block = known.block if known is not None and known.bar == place.bar else None
    if value < 0:
        row = block.at(offset) if block else None
        return f"{head} {row.name if row else format(offset, '#06x')} and on, {width} bytes"
    if block is not None:
        return f"{head} {explain(block, offset, width, value)}"
    return f"{head} {offset:#06x} = {value:#0{width * 2 + 2}x}"
