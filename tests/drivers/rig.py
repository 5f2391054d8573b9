"""A driver on a model with nothing between: a function whose BAR is the model, whose memory is ours.

What a kernel and a machine would do is done in a few lines: posted writes go out at the next read or the end
of the turn, a level line is masked while its handler runs, bus master gates DMA. Far, memory is a copy, and answers
come a turn later.
"""

from __future__ import annotations

import asyncio
import mmap
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from lux9.driver.function import Kind
from lux9.driver.pool import Pool
from lux9.errors import NoMemory, NotFound, Stale
from lux9.models.pci import DmaFault, Fault, PciFunction
from lux9.pending import Maybe, Pending
from lux9.regs import Window

T = TypeVar("T")
BASE = 0x3_0000_0000  # of our memory, as the device sees it: above 4 GiB, to see that both halves are used


class RigDma:
    def __init__(self, rig: Rig, at: int, size: int) -> None:
        self.rig, self.at, self.size = rig, at, size
        self.bus = rig.base + at
        self.view = rig.memory[at : at + size]
        self.view[:] = bytes(size)

    def for_device(self, offset: int, size: int) -> None:
        assert 0 <= offset <= offset + size <= self.size

    def for_cpu(self, offset: int, size: int) -> Maybe[None]:
        assert 0 <= offset <= offset + size <= self.size
        return None

    def free(self) -> None:
        assert self.at in self.rig.buffers, "freed twice"
        del self.rig.buffers[self.at]
        self.rig.pool.give(self.at, self.size)


class FarDma(RigDma):
    """A copy, that goes there and comes back when it is told to."""

    def __init__(self, rig: Rig, at: int, size: int) -> None:
        super().__init__(rig, at, size)
        self.there, self.view = self.view, memoryview(bytearray(size))

    def for_device(self, offset: int, size: int) -> None:
        super().for_device(offset, size)
        data = bytes(self.view[offset : offset + size])
        self.rig.post(lambda: self._put(self.there, offset, data))

    def for_cpu(self, offset: int, size: int) -> Maybe[None]:
        super().for_cpu(offset, size)
        fetched = self.rig.later(lambda: bytes(self.there[offset : offset + size]))
        return fetched.map(lambda data: self._put(self.view, offset, data))

    @staticmethod
    def _put(where: memoryview, offset: int, data: bytes) -> None:
        where[offset : offset + len(data)] = data


class RigBar:
    def __init__(self, rig: Rig, n: int) -> None:
        self.rig, self.n, self.size = rig, n, rig.fn.bars[n].size

    def read(self, offset: int, width: int) -> int:
        self.post()
        return self.look(offset, width)

    def look(self, offset: int, width: int) -> int:
        self.rig.reads += 1
        if self.rig.revoked:
            raise Stale("bar5 was revoked")
        if self.rig.removed:
            return (1 << 8 * width) - 1
        return self.rig.fn.bar_read(self.n, offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        if self.rig.revoked:
            raise Stale("bar5 was revoked")
        self.rig.post(lambda: self._put(offset, width, value))

    def _put(self, offset: int, width: int, value: int) -> None:
        self.rig.sent += 1
        if not self.rig.removed:
            self.rig.fn.bar_write(self.n, offset, width, value)

    def read_bytes(self, offset: int, count: int) -> bytes:
        assert offset % 4 == count % 4 == 0
        self.post()
        words = (self.look(offset + i, 4) for i in range(0, count, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    def ask(self, offset: int, count: int) -> Maybe[bytes]:
        if not self.rig.far:
            return self.read_bytes(offset, count)
        return self.rig.later(lambda: self.read_bytes(offset, count))

    def post(self) -> None:
        self.rig.send()

    def pause(self, seconds: float) -> None:
        raise AssertionError("an asynchronous driver does not pause")


class RigConfig:
    def __init__(self, fn: PciFunction) -> None:
        self.fn = fn

    def read(self, offset: int, width: int) -> int:
        return self.fn.config_read(offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        self.fn.config_write(offset, width, value)


class RigIrq:
    kind: Kind = "intx"

    def __init__(self, rig: Rig, handler: Callable[[], None]) -> None:
        self.rig, self.handler, self.count = rig, handler, 0
        self.masked = self.closed = False

    def level(self) -> None:
        """The line is asserted: masked from now to the handler's end."""
        if self.rig.asserted and not self.masked and not self.closed:
            self.masked = True
            self.rig.loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        if self.closed:
            return
        self.count += 1
        if not self.rig.lose_interrupts:
            self.handler()
        self.masked = False
        self.rig.send()
        self.level()

    def close(self) -> None:
        self.closed = True


class RigHost:
    """The rig, as the model sees it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def dma(self, fn: PciFunction, address: int, size: int) -> list[memoryview]:
        rig, at = self.rig, address - self.rig.base
        if not rig.mastering or at < 0 or at + size > rig.size:
            rig.reports.append(f"DMA of {size} at {address:#x}")
            raise DmaFault(rig.reports[-1])
        return [rig.memory[at : at + size]]

    def interrupt(self, fn: PciFunction, asserted: bool) -> None:
        self.rig.asserted = asserted
        if self.rig.irq is not None:
            self.rig.irq.level()

    def message(self, fn: PciFunction, address: int, data: int) -> None:
        raise AssertionError("no messages here")

    def defer(self, work: Callable[[], None], after: float = 0.0) -> None:
        if after:
            self.rig.loop.call_later(after, work)
        else:
            self.rig.loop.call_soon(work)

    def remap(self) -> None:
        pass

    def fault(self, fn: PciFunction, kind: Fault, where: range = range(0)) -> float | None:
        return self.rig.faults.get(kind)

    def report(self, fn: PciFunction, text: str) -> None:
        self.rig.reports.append(text)


class Rig:
    """Function for the driver."""

    bdf = "0000:00:1f.2"

    def __init__(
        self, fn: PciFunction, size: int = 32 << 20, base: int = BASE, far: bool = False
    ) -> None:
        self.fn, self.base, self.size, self.far = fn, base, size, far
        self.loop = asyncio.get_running_loop()
        self.memory = memoryview(mmap.mmap(-1, size))
        self.pool = Pool(size)
        self.buffers: dict[int, RigDma] = {}
        self.posted: deque[Callable[[], None]] = deque()
        self.reports: list[str] = []
        self.faults: dict[Fault, float] = {}
        self.irq: RigIrq | None = None
        self.asserted = self.mastering = self.lose_interrupts = False
        self.removed = self.revoked = False
        self.reads = self.sent = 0
        fn.host = RigHost(self)

    def post(self, act: Callable[[], None]) -> None:
        """Something that is done in its order, at the next look or the end of the turn."""
        self.posted.append(act)
        self.loop.call_soon(self.send)

    def send(self) -> None:
        while self.posted:
            self.posted.popleft()()

    def later(self, look: Callable[[], T]) -> Pending[T]:
        """The same for something whose answer is told later."""
        answer: Pending[T] = Pending()

        def act() -> None:
            try:
                self.loop.call_soon(answer.resolve, look())
            except Exception as error:
                self.loop.call_soon(answer.fail, error)

        self.post(act)
        return answer

    @property
    def config(self) -> Window:
        return RigConfig(self.fn)

    def bar(self, n: int) -> RigBar:
        if n not in self.fn.bars:
            raise NotFound(f"BAR{n}")
        return RigBar(self, n)

    def dma(self, size: int, align: int = 4096) -> RigDma:
        at = self.pool.take(size)
        if at is None:
            raise NoMemory(f"{size} bytes")
        buffer = self.buffers[at] = (FarDma if self.far else RigDma)(self, at, size)
        return buffer

    def interrupt(self, handler: Callable[[], None], prefer: Kind = "intx") -> RigIrq:
        self.irq = RigIrq(self, handler)
        self.irq.level()
        return self.irq

    def master(self, on: bool) -> None:
        self.mastering = on

    def pause(self, seconds: float) -> None:
        raise AssertionError("an asynchronous driver does not pause")
