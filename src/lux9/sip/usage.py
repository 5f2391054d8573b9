"""What a driver uses of what it may: a line a limit, as the host's kernel and ours count it."""

from __future__ import annotations

from collections.abc import Iterator

from ..kernel.hardware import Hardware
from ..kernel.process import Limits
from .processes import used
from .server import Sip

ANY = ("messages", "cpu")  # limits of which 0 is none: of the others it is nothing at all


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
        taken = used(sip.pid)
        counted |= taken._asdict() | {"processes": max(taken.processes - 1, 0)}  # that it started
    for name in dict.fromkeys([*Limits.__dataclass_fields__, *counted]):
        yield f"{name} {_number(counted.get(name))} {_number(_most(limits, name))}\n"
    yield f"throttled {_number(life.throttled() if life else None)} -\n"


def _most(limits: Limits, name: str) -> int | None:
    """How much it may have; None where that is any."""
    most: int | None = getattr(limits, name, None)
    return None if most == 0 and name in ANY else most


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}".removesuffix(".00")
