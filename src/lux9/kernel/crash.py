"""The report of a process's end: what it said, what it did last, what it held, and how that was undone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from .hardware import Hardware, Quiesced
from .process import Process
from .recorder import lines

SHOWN = 48  # of the last accesses


class Report:
    """Made in two steps: while the process still holds what it held, and when all of it was undone."""

    def __init__(self, hardware: Hardware, process: Process, counts: tuple[int, int]) -> None:
        self.process, self.at = process, time.time()
        self.interrupts = [
            *hardware.irq.lines(process).splitlines(),
            *(f"{line} (given back)" for line in process.unregistered),
        ]
        self.released = list(process.released)
        buffers = hardware.dma.of(process)
        used, limits = sum(b.size for b in buffers), process.limits
        self.limits = [
            f"dma bytes {used} of {limits.dma_bytes}, at most {process.peak}",
            f"dma buffers {len(buffers)} of {limits.dma_buffers}",
            f"requests {counts[0]}, of which {counts[1]} failed",
        ]
        self.accesses = list(process.recent)
        self.quiesced: Quiesced | None = None

    def text(self, why: str, said: Sequence[str] = ()) -> str:
        """The whole of it: a heading a part, its lines indented."""
        quiesced = self.quiesced
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.at))
        head = f"{self.process.name}/{self.process.number} {why} at {when}\n"
        parts = (
            ("it said last", said),
            ("its last register accesses", list(lines(self.accesses))[-SHOWN:]),
            ("interrupts", self.interrupts),
            ("limits", self.limits),
            ("released before its end", self.released),
            ("quiesced", quiesced.lines.splitlines() if quiesced else ()),
        )
        return head + "".join(f"{line}\n" for name, part in parts for line in _part(name, part))


def _part(name: str, part: Iterable[str]) -> Iterator[str]:
    yield f"{name}:"
    found = list(part)
    yield from (f"  {line}" for line in found or ["-"])
