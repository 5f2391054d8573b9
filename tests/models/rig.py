"""A machine of nothing but memory around one AHCI function, driven through the registers of `arch`."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lux9.arch.ahci import ABAR, HBA, Port, PxCI, PxCMD, PxIE, PxIS, PxSACT, ReceivedFis
from lux9.arch.ata import Command, h2d
from lux9.arch.pci import Command as PciCommand, Header0
from lux9.models.ahci import Ahci, Quirks
from lux9.models.disk import Disk
from lux9.models.pci import DmaFault, Fault, PciFunction

LOW, HIGH = 0x0400_0000, 0x2_0000_0000  # bus addresses of the two arenas
SIZE = 8 << 20
LIST, FIS, TABLES, DATA = LOW, LOW + 0x1000, LOW + 0x10000, LOW + 0x100000
TABLE_SIZE = 0x1000
Prds = Sequence[tuple[int, int]]  # address and bytes
MASTER = PciCommand(master=True).raw


class FakeHost:
    """Memory, a clock that only `run` moves, and ears."""

    def __init__(self) -> None:
        self.arenas = {LOW: bytearray(SIZE), HIGH: bytearray(SIZE)}
        self.reports: list[str] = []
        self.messages: list[tuple[int, int]] = []
        self._level = False
        self.edges = 0
        self.faults: dict[Fault, list[float | None]] = {}
        self.media: list[range] = []
        self.now = 0.0
        self._work: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.turns = 0  # pieces of work done

    def dma(self, fn: PciFunction, address: int, size: int) -> list[memoryview]:
        for base, memory in self.arenas.items():
            if fn.command & MASTER and base <= address and address + size <= base + len(memory):
                return [memoryview(memory)[address - base : address - base + size]]
        self.report(fn, f"DMA fault: {size} bytes at {address:#x}")
        raise DmaFault(f"{size} bytes at {address:#x}")

    def interrupt(self, fn: PciFunction, asserted: bool) -> None:
        self._level = asserted
        self.edges += asserted

    def level(self) -> bool:
        """The pin."""
        return self._level

    def message(self, fn: PciFunction, address: int, data: int) -> None:
        self.messages.append((address, data))

    def defer(self, work: Callable[[], None], after: float = 0.0) -> None:
        self._count += 1
        heapq.heappush(self._work, (self.now + after, self._count, work))

    def remap(self) -> None: ...

    def fault(self, fn: PciFunction, kind: Fault, where: range = range(0)) -> float | None:
        if kind is Fault.MEDIA:
            hit = any(m.start < where.stop and where.start < m.stop for m in self.media)
            return 0.0 if hit else None
        turns = self.faults.get(kind)
        return turns.pop(0) if turns else None

    def report(self, fn: PciFunction, text: str) -> None:
        self.reports.append(text)

    def run(self, until: float = 0.0) -> None:
        """All the work that is due by then."""
        until = max(until, self.now)
        while self._work and self._work[0][0] <= until:
            self.now, _, work = heapq.heappop(self._work)
            self.turns += 1
            work()
        self.now = until

    def memory(self, address: int, size: int) -> memoryview:
        """Memory as the processor sees it."""
        base = HIGH if address >= HIGH else LOW
        return memoryview(self.arenas[base])[address - base : address - base + size]


class Abar:
    """The registers of the function, as a window."""

    def __init__(self, fn: Ahci) -> None:
        self.fn = fn

    def read(self, offset: int, width: int) -> int:
        return self.fn.bar_read(ABAR, offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        self.fn.bar_write(ABAR, offset, width, value)


class Rig:
    """One adapter, `host`, and what a driver needs of port 0."""

    def __init__(self, disk: Disk | None = None, quirks: Quirks | None = None) -> None:
        self.host = FakeHost()
        self.fn = Ahci({0: disk} if disk else {}, quirks=quirks)
        self.fn.host = self.host
        self.window = Abar(self.fn)
        self.hba = HBA(self.window)
        self.port: Port = self.hba.port[0]
        self.master(True)

    def master(self, on: bool) -> None:
        self.fn.config_write(
            Header0.command.offset, 2, PciCommand(io=True, mem=True, master=on).raw
        )

    @property
    def reports(self) -> list[str]:
        return self.host.reports

    def addresses(self) -> None:
        """Where the list and the received FISes are."""
        self.window.write(0x100, 4, LIST)
        self.window.write(0x104, 4, 0)
        self.window.write(0x108, 4, FIS)
        self.window.write(0x10C, 4, 0)

    def start(self, *, interrupts: bool = True) -> None:
        """The port runs."""
        self.addresses()
        self.port.cmd.update(fre=True)
        self.port.cmd.update(st=True)
        if interrupts:
            self.port.ie.write(PxIE.of(0xFDC000FF))
            self.hba.ghc.update(ie=True)
        self.ack()

    def ack(self) -> PxIS:
        """What happened, cleared."""
        seen = self.port.is_.read()
        self.port.is_.clear(seen)
        self.hba.is_.clear(self.hba.is_.read())
        return seen

    @property
    def fis(self) -> ReceivedFis:
        return ReceivedFis.over(self.host.memory(FIS, 256))

    def put(
        self,
        slot: int,
        fis: bytes,
        prds: Prds = (),
        *,
        write: bool = False,
        flags: int = 0,
        cfl: int = 5,
    ) -> None:
        """A command into a slot, not issued."""
        table = TABLES + slot * TABLE_SIZE
        head = len(prds) << 16 | flags | write << 6 | cfl
        for i, word in enumerate((head, 0xFFFFFFFF, table & 0xFFFFFFFF, table >> 32)):
            self._word(LIST + 32 * slot + 4 * i, word)
        self.host.memory(table, len(fis))[:] = fis
        for i, (address, size) in enumerate(prds):
            at = table + 0x80 + 16 * i
            for j, word in enumerate((address & 0xFFFFFFFF, address >> 32, 0, size - 1)):
                self._word(at + 4 * j, word)

    def _word(self, address: int, value: int) -> None:
        self.host.memory(address, 4)[:] = (value & 0xFFFFFFFF).to_bytes(4, "little")

    def issue(self, *slots: int, queued: bool = False) -> None:
        """Ring, and let the adapter work."""
        bits = sum(1 << s for s in slots)
        if queued:
            self.port.sact.set(PxSACT(ds=bits))
        self.port.ci.set(PxCI(ci=bits))
        self.host.run()

    def do(self, fis: bytes, prds: Prds = (), *, write: bool = False, slot: int = 0) -> None:
        """One command that is not queued, to its end."""
        self.put(slot, fis, prds, write=write)
        self.issue(slot)

    def ncq(
        self,
        slot: int,
        lba: int,
        count: int,
        prds: Prds,
        *,
        write: bool = False,
        tag: int | None = None,
    ) -> None:
        """A queued command into a slot, not issued."""
        command = Command.WRITE_FPDMA_QUEUED if write else Command.READ_FPDMA_QUEUED
        tag = slot if tag is None else tag
        fis = h2d(command, lba, tag << 3, features=count & 0xFFFF, device=0x40)
        self.put(slot, fis, prds, write=write)

    def prdbc(self, slot: int = 0) -> int:
        return int.from_bytes(self.host.memory(LIST + 32 * slot + 4, 4), "little")

    def data(self, prds: Prds) -> bytes:
        return b"".join(bytes(self.host.memory(a, n)) for a, n in prds)

    def fill(self, prds: Prds, data: bytes) -> None:
        at = 0
        for address, size in prds:
            self.host.memory(address, size)[:] = data[at : at + size]
            at += size

    def comreset(self) -> None:
        self.port.cmd.write(PxCMD.of(self.port.cmd.read().raw & ~1))
        self.window.write(0x12C, 4, 1)
        self.window.write(0x12C, 4, 0)


def image(path: Path, sectors: int = 2048, seed: int = 1) -> bytes:
    """A file whose every 8 bytes differ; gives its bytes."""
    words: Iterable[int] = range(sectors * 64)
    data = b"".join(
        (w * 0x9E3779B97F4A7C15 + seed & (1 << 64) - 1).to_bytes(8, "little") for w in words
    )
    path.write_bytes(data)
    return data
