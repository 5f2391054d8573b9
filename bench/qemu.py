"""The QEMU machine's floor: bare round trips on qtest, and a minimal AHCI loop on it, with no 9P and no isolation.

The loop knows one port and one command, 4 KiB by READ FPDMA QUEUED. It rings with one send for all commands of a
batch, and looks for completions in the Set Device Bits FIS, in memory, all the time.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
import time
from functools import partial
from pathlib import Path

from lux9.arch.ahci import HBA
from lux9.machine.functions import scan
from lux9.machine.qemu import Board, Medium, Qemu

from .timing import rate

SATA = 0x1F << 3 | 2
BLOCK, SECTORS = 4096, 8
LIST, FISES, TABLES, DATA = 0, 0x400, 0x1000, 0x10000
SDB = (FISES + 0x58) // 8  # quadword of the Set Device Bits FIS
READ_QUEUED = 0x60
ALONE, LATE = (
    1e-3,
    20e-6,
)  # seconds without a hint until the register is asked: one FIS overwrites another
HEADER = struct.Struct("<IIQ16x")  # info, bytes moved, address of the table
FIS = struct.Struct("<BBBBBBBBBBBBBBBB")
PRD = struct.Struct("<QII")


def round_trips(machine: Qemu, address: int) -> float:
    """Reads of a register a second, one after another, with nothing around them."""
    command = b"readl 0x%x" % address

    def some() -> int:
        for _ in range(64):
            machine.qtest.ask(command)
        return 64

    return rate(some)


class Loop:
    """One started port, and 32 commands made ready."""

    def __init__(self, machine: Qemu, bar: int, sectors: int) -> None:
        self.machine, self.sectors = machine, sectors
        self.regs = HBA(_Bar(machine, bar))
        self.port = bar + HBA.port.offset
        self.arena = machine.arena(32 << 20)
        self.view = self.arena.view()
        self.fis = self.view[:TABLES].cast("Q")
        for slot in range(32):
            self._make(slot)
        self._start()

    def _make(self, slot: int) -> None:
        bus, table = self.arena.bus, TABLES + slot * 0x100
        HEADER.pack_into(self.view, LIST + 32 * slot, 5 | 1 << 16, 0, bus + table)
        PRD.pack_into(self.view, table + 0x80, bus + DATA + slot * BLOCK, 0, BLOCK - 1)

    def _start(self) -> None:
        port = self.regs.port[0]
        self.machine.mem_write(self.port - 0x100 + 4, 4, 1 << 31)  # GHC.AE
        bus = self.arena.bus
        for offset, value in ((0x00, bus), (0x04, 0), (0x08, bus + FISES), (0x0C, 0), (0x14, 0)):
            self.machine.mem_write(self.port + offset, 4, value)
        port.cmd.update(fre=True)
        port.cmd.update(st=True)
        port.tfd.wait(lambda t: t.raw & 0x88 == 0, 1.0)

    def issue(self, slots: int) -> None:
        """Ring for these slots, each with a place of its own."""
        left = slots
        while left:
            slot = (left & -left).bit_length() - 1
            left &= left - 1
            lba = random.randrange(self.sectors // SECTORS) * SECTORS
            a, b, c, d = lba & 255, lba >> 8 & 255, lba >> 16 & 255, lba >> 24
            at = TABLES + slot * 0x100
            FIS.pack_into(
                self.view,
                at,
                0x27,
                0x80,
                READ_QUEUED,
                SECTORS,
                a,
                b,
                c,
                0x40,
                d,
                0,
                0,
                0,
                slot << 3,
                0,
                0,
                0,
            )
        port, qtest = self.port, self.machine.qtest
        qtest.post(b"writel 0x%x 0x%x" % (port + 0x34, slots))
        qtest.post(b"writel 0x%x 0x%x" % (port + 0x38, slots))
        qtest.flush()

    def done(self, active: int) -> int:
        """Wait for some of these slots. A FIS that overwrote another is found by the register."""
        fis, alone = self.fis, active & (active - 1) == 0
        late = time.perf_counter() + (ALONE if alone else LATE)
        while not fis[SDB] >> 32 & active:
            if time.perf_counter() > late:
                tags = active & ~self.machine.mem_read(self.port + 0x34, 4)
                fis[SDB] = 0
                if tags:
                    return tags
            os.sched_yield()
        tags = fis[SDB] >> 32 & active
        fis[SDB] = 0
        return tags

    def some(self, depth: int) -> int:
        """256 blocks, `depth` of them on their way."""
        count, active = 0, (1 << depth) - 1
        self.issue(active)
        while active:
            tags = self.done(active)
            count += tags.bit_count()
            active &= ~tags
            if count < 256:
                self.issue(tags)
                active |= tags
        return count


class _Bar:
    """A BAR, as a `regs.Window`."""

    def __init__(self, machine: Qemu, base: int) -> None:
        self.machine, self.base = machine, base

    def read(self, offset: int, width: int) -> int:
        return self.machine.mem_read(self.base + offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        self.machine.mem_write(self.base + offset, width, value)


async def _floor(image: Path) -> dict[str, float]:
    machine = Qemu(Board(media=[Medium(image)]))
    await machine.start(lambda n, up: None, lambda about, text: None)
    try:
        machine.config_write(SATA, 4, 2, 6)
        bar = next(f for f in scan(machine) if f.bdf == SATA).bar(5)
        assert bar is not None, "the SATA function has its registers in BAR 5"
        loop = Loop(machine, bar.address, image.stat().st_size // 512)
        found = {"qtest round trips/s": round_trips(machine, bar.address + 0x10)}
        for depth in (1, 32):
            found[f"4 KiB reads/s, depth {depth}"] = rate(partial(loop.some, depth))
        return found
    finally:
        await machine.close()


def floor(image: Path) -> dict[str, float]:
    """All of it."""
    return asyncio.run(_floor(image))
