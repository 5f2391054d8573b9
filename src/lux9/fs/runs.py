"""Runs: stretches of bytes and where they lie on the device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

HOLE = -1


class Run(NamedTuple):
    """Bytes `start` to `end` of a file, on the device from `device`; HOLE reads as zeros."""

    start: int
    end: int
    device: int

    def cut(self, start: int, end: int) -> Run:
        """The part inside start..end."""
        low, high = max(self.start, start), min(self.end, end)
        device = self.device if self.device == HOLE else self.device + low - self.start
        return Run(low, high, device)


def joined(runs: Iterable[Run]) -> list[Run]:
    """The same runs, empty ones dropped, neighbours that go on on the device made one."""
    out: list[Run] = []
    for run in runs:
        if run.start >= run.end:
            continue
        if out and _follows(out[-1], run):
            out[-1] = Run(out[-1].start, run.end, out[-1].device)
        else:
            out.append(run)
    return out


def _follows(a: Run, b: Run) -> bool:
    if a.device == HOLE or b.device == HOLE:
        return a.device == b.device
    return a.device + a.end - a.start == b.device
