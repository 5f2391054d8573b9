"""A driver on a whole machine, with no kernel between: a function whose BAR is the machine's, whose memory an arena.

What a kernel would do is done in a few lines: posted writes go out at the next read or the end of the turn, a level
line is masked while its handler runs. Each access of the BARs can be recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from lux9.arch import pci as arch
from lux9.driver.function import Kind
from lux9.driver.pool import Pool
from lux9.errors import NoMemory, NotFound, Stale
from lux9.machine.abstract import Machine
from lux9.machine.functions import Config, FunctionInfo, scan
from lux9.regs import Window

ARENA = 32 << 20


class Access(NamedTuple):
    """One access of a BAR."""

    write: bool
    bar: int
    offset: int
    width: int
    value: int


class MachineDma:
    """A piece of the arena."""

    def __init__(self, rig: MachineRig, at: int, size: int) -> None:
        self.rig, self.at, self.size = rig, at, size
        self.bus = rig.arena.bus + at
        self.view = rig.memory[at : at + size]
        self.view[:] = bytes(size)

    def for_device(self, offset: int, size: int) -> None:
        assert 0 <= offset <= offset + size <= self.size

    def for_cpu(self, offset: int, size: int) -> None:
        assert 0 <= offset <= offset + size <= self.size

    def free(self) -> None:
        assert self.at in self.rig.buffers, "freed twice"
        del self.rig.buffers[self.at]
        self.rig.pool.give(self.at, self.size)


class MachineBar:
    """A BAR, posted."""

    def __init__(self, rig: MachineRig, n: int, base: int, size: int) -> None:
        self.rig, self.n, self.base, self.size = rig, n, base, size

    def read(self, offset: int, width: int) -> int:
        self.post()
        if self.rig.revoked:
            raise Stale("bar5 was revoked")
        value = self.rig.machine.mem_read(self.base + offset, width)
        if self.rig.removed:
            value = (1 << 8 * width) - 1
        self.rig.trace.append(Access(False, self.n, offset, width, value))
        return value

    def write(self, offset: int, width: int, value: int) -> None:
        if self.rig.revoked:
            raise Stale("bar5 was revoked")
        if not self.rig.posted:
            self.rig.loop.call_soon(self.post)
        self.rig.posted.append((self.base + offset, width, value))
        self.rig.trace.append(Access(True, self.n, offset, width, value))

    def read_bytes(self, offset: int, count: int) -> bytes:
        assert offset % 4 == count % 4 == 0
        words = (self.read(offset + i, 4) for i in range(0, count, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    def ask(self, offset: int, count: int) -> bytes:
        return self.read_bytes(offset, count)

    def post(self) -> None:
        self.rig.post()

    def pause(self, seconds: float) -> None:
        raise AssertionError("an asynchronous driver does not pause")


class MachineIrq:
    """The function's line: masked from its rise to the handler's end."""

    kind: Kind = "intx"

    def __init__(self, rig: MachineRig, handler: Callable[[], None]) -> None:
        self.rig, self.handler, self.count = rig, handler, 0
        self.closed = False
        rig.machine.unmask(rig.info.irq)

    def rise(self) -> None:
        self.rig.machine.mask(self.rig.info.irq)
        self.rig.loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        if self.closed:
            return
        self.count += 1
        if not self.rig.lose_interrupts:
            self.handler()
        self.rig.post()
        self.rig.machine.unmask(self.rig.info.irq)

    def close(self) -> None:
        self.closed = True
        self.rig.machine.mask(self.rig.info.irq)


class MachineRig:
    """Function for the driver, over any machine."""

    far = False

    def __init__(self, machine: Machine, info: FunctionInfo, reports: list[str]) -> None:
        self.machine, self.info, self.bdf, self.reports = machine, info, info.name, reports
        self.loop = asyncio.get_running_loop()
        self.arena = machine.arena(ARENA)
        machine.attach(info.bdf, self.arena)
        self.memory, self.size = self.arena.view(), ARENA
        self.pool = Pool(ARENA)
        self.buffers: dict[int, MachineDma] = {}
        self.posted: list[tuple[int, int, int]] = []
        self.trace: list[Access] = []
        self.irq: MachineIrq | None = None
        self.mastering = self.lose_interrupts = False
        self.removed = self.revoked = False
        self.sent = 0
        self.header = arch.Header0(Config(machine, info.bdf))
        self.header.command.update(mem=True, io=True)

    @property
    def config(self) -> Window:
        return Config(self.machine, self.info.bdf)

    def bar(self, n: int) -> MachineBar:
        found = self.info.bar(n)
        if found is None:
            raise NotFound(f"BAR{n}")
        return MachineBar(self, n, found.address, found.size)

    def dma(self, size: int, align: int = 4096) -> MachineDma:
        at = self.pool.take(size)
        if at is None:
            raise NoMemory(f"{size} bytes")
        buffer = self.buffers[at] = MachineDma(self, at, size)
        return buffer

    def interrupt(self, handler: Callable[[], None], prefer: Kind = "intx") -> MachineIrq:
        self.irq = MachineIrq(self, handler)
        return self.irq

    def master(self, on: bool) -> None:
        self.mastering = on
        self.header.command.update(master=on)

    def pause(self, seconds: float) -> None:
        raise AssertionError("an asynchronous driver does not pause")

    def post(self) -> None:
        posted, self.posted = self.posted, []
        self.sent += len(posted)
        for address, width, value in posted:
            if not self.removed:
                self.machine.mem_write(address, width, value)


@asynccontextmanager
async def on(machine: Machine, bdf: int) -> AsyncGenerator[MachineRig, None]:
    """A rig for one function of a machine that is started for it, and ended."""
    rigs: list[MachineRig] = []
    reports: list[str] = []

    def sink(number: int, asserted: bool) -> None:
        for rig in rigs:
            if asserted and rig.irq is not None and number == rig.info.irq:
                rig.irq.rise()

    await machine.start(sink, lambda about, text: reports.append(f"{about}: {text}"))
    try:
        for line in range(24):
            machine.mask(line)
        info = next(f for f in scan(machine) if f.bdf == bdf)
        rigs.append(MachineRig(machine, info, reports))
        yield rigs[0]
    finally:
        await machine.close()
