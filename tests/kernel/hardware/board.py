"""A board to test on: the real sim, with two gadgets that do nothing but what a test needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from lux9.arch.pci import Pin
from lux9.kernel.audit import Audit
from lux9.kernel.hardware import Hardware
from lux9.kernel.process import ALL, Cap, Process
from lux9.machine.abstract import Arena
from lux9.machine.sim import Sim
from lux9.models.bridge import Bridge
from lux9.models.capabilities import Advanced, Express, Msi, Msix, Power
from lux9.models.pci import DmaFault, PciFunction
from lux9.models.q35 import HostBridge, Lpc
from lux9.models.shape import Bar, Identity

A, B, C = "0000:00:1a.0", "0000:00:1b.0", "0000:00:02.0"  # A and B share a line, C has its own


class Gadget(PciFunction):
    """A function whose registers are memory; it notes each access, and interrupts when it is told."""

    def __init__(self, *, express: bool = False) -> None:
        identity = Identity(
            0x1AF4, 0x10F0, 0x088000, revision=3, pin=int(Pin.INTA), express=express
        )
        bars = {
            0: Bar(0x1000),
            1: Bar(0x20, "io"),
            2: Bar(0x2000, wide=True, prefetch=True),
        }
        caps = (
            Power(0x40),
            Msi(0x50, 4, maskable=True),
            Msix(0x70, 8, bar=2, table=0x1000, pba=0x1800),
            Express(0x80) if express else Advanced(0x80),
        )
        super().__init__(identity, bars, caps)
        self.space = {0: bytearray(0x1000), 1: bytearray(0x20), 2: bytearray(0x2000)}
        self.seen: list[tuple[str, int, int, int]] = []
        self.resets = 0
        self.broken = False  # a reset that does not work

    def bar_read(self, bar: int, offset: int, width: int) -> int:
        self.seen.append(("r", bar, offset, width))
        return int.from_bytes(self.space[bar][offset : offset + width], "little")

    def bar_write(self, bar: int, offset: int, width: int, value: int) -> None:
        self.seen.append(("w", bar, offset, width))
        self.space[bar][offset : offset + width] = value.to_bytes(width, "little")

    def reset(self) -> None:
        if self.broken:
            raise DmaFault("the reset line is cut")
        super().reset()
        self.resets += 1

    def send(self, address: int, data: bytes) -> None:
        """DMA, now. Raises DmaFault."""
        (view,) = self.host.dma(self, address, len(data))
        view[:] = data


class Watched(Sim):
    """The sim, with what the kernel asked of it to be looked at."""

    def __init__(self, functions: list[tuple[int, PciFunction]]) -> None:
        super().__init__(functions)
        self.asked_reach: dict[int, list[Arena]] = {}
        self.asked_masked = set[int]()
        self.asked_walled = True

    def attach(self, bdf: int, arena: Arena) -> None:
        super().attach(bdf, arena)
        if arena not in self.asked_reach.setdefault(bdf, []):
            self.asked_reach[bdf].append(arena)

    def detach(self, bdf: int) -> None:
        super().detach(bdf)
        self.asked_reach.pop(bdf, None)

    def mask(self, line: int) -> None:
        self.asked_masked.add(line)
        super().mask(line)

    def unmask(self, line: int) -> None:
        self.asked_masked.discard(line)
        super().unmask(line)

    @property
    def protects(self) -> bool:
        return self.asked_walled


class Board:
    """Sim, hardware and audit, and processes to use them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.a, self.b, self.c = Gadget(), Gadget(), Gadget(express=True)
        self.bridge = Bridge()
        functions: list[tuple[int, PciFunction]] = [
            (0x00, HostBridge()),
            (0x1A << 3, self.a),
            (0x1B << 3, self.b),
            (0x02 << 3, self.c),
            (0x1C << 3, self.bridge),
            (0x1F << 3, Lpc()),
        ]
        self.sim = Watched(functions)
        self.audit, self.logged = Audit(), list[str]()
        self.hw = Hardware(self.sim, self.audit, self.logged.append, clock=lambda: 0.0)
        self.late: list[Callable[[], None]] = []
        self.hw.irq.later = self._later
        self._count = 0

    def _later(self, seconds: float, work: Callable[[], None]) -> asyncio.TimerHandle:
        self.late.append(work)
        return self.loop.call_later(3600, lambda: None)

    def process(self, name: str, caps: Cap = ALL, *, arena: int = 1 << 20) -> Process:
        """A process; with an arena unless its size is 0."""
        self._count += 1
        made = Process(self._count, name, "user", caps, command=f"/bin/{name}")
        made.vaddr = 0x2000_0000_0000 + self._count * (1 << 32)
        made.limits.arena = made.limits.dma_bytes = arena or 1 << 20
        if arena:
            made.arena = self.sim.arena(arena)
        return made

    def verdicts(self, verdict: str) -> list[tuple[str, str]]:
        """What the audit has of a verdict: (what, target)."""
        entries = [self._entry(line) for line in self.audit.journal.lines]
        return [(e["what"], e["target"]) for e in entries if e["verdict"] == verdict]

    @staticmethod
    def _entry(line: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = json.loads(line)
        return entry
