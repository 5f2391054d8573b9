"""What a driver uses of what it may: a line a limit, as the host's kernel and ours count it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..kernel.hardware import Hardware
from ..kernel.process import Limits
from .server import Sip

TICK = os.sysconf("SC_CLK_TCK")
UTIME, STIME, VSIZE = 11, 12, 20  # fields of /proc/PID/stat behind the name, from 0. proc(5)


class Used(NamedTuple):
    """A program and those that it started."""

    processor: float = 0.0  # seconds
    memory: int = 0  # bytes of address space, of the one with most
    files: int = 0  # open ones, of the one with most
    processes: int = 0


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for task in _listed(Path(f"/proc/{pid}/task")):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from tree(int(child))


def _listed(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []


def used(pid: int) -> Used:
    """What a program uses now."""
    total = Used()
    for each in tree(pid):
        try:
            words = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total = Used(
            total.processor + (int(words[UTIME]) + int(words[STIME])) / TICK,
            max(total.memory, int(words[VSIZE])),
            max(total.files, len(_listed(Path(f"/proc/{each}/fd")))),
            total.processes + 1,
        )
    return total


def lines(hardware: Hardware, sip: Sip) -> Iterator[str]:
    """`%s %s %s` a limit: name, used, at most; `-` where nothing is counted or nothing limits."""
    limits, life = sip.stanza.limits, sip.life if sip.running else None
    counted: dict[str, float] = {}
    if life is not None:
        buffers = hardware.dma.of(life.process)
        sizes = [b.size for b in buffers]
        counted |= {
            "arena": life.process.arena.size if life.process.arena else 0,
            "dma_bytes": sum(sizes),
            "dma_buffer": max(sizes, default=0),
            "dma_buffers": len(sizes),
            "messages": life.counts()[0],
        }
        if life.session is not None:
            session = life.session
            counted |= {"fids": len(session.fids), "pending": len(session.waiting)}
            counted["inflight"] = session.inflight
    if sip.pid:
        counted |= used(sip.pid)._asdict()
    for name in dict.fromkeys([*Limits.__dataclass_fields__, *counted]):
        most: int = getattr(limits, name, 0)
        yield f"{name} {_number(counted.get(name))} {_number(most) if most else '-'}\n"
    yield f"throttled {_number(life.throttled() if life else None)} -\n"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}".removesuffix(".00")
