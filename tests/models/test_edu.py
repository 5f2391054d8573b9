"""The educational device: what its registers do, and that QEMU's do the same."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator

import pytest

from lux9.arch import edu
from lux9.arch.edu import DmaCommand, Status
from lux9.arch.pci import Command, Header0, MsiControl
from lux9.errors import UserError
from lux9.machine.abstract import Machine
from lux9.machine.functions import FunctionInfo, scan
from lux9.machine.qemu import Board, Qemu
from lux9.machine.sim import q35
from lux9.models.cards import card
from lux9.models.edu import Edu
from lux9.regs import U32, U64
from tests.machine.qemu.system import needs_qemu
from tests.models.rig import DATA, FakeHost

LIMIT = 20.0
ONES = (1 << 32) - 1


class Bar:
    """BAR 0, as a window."""

    def __init__(self, fn: Edu) -> None:
        self.fn = fn

    def read(self, offset: int, width: int) -> int:
        return self.fn.bar_read(edu.BAR, offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        self.fn.bar_write(edu.BAR, offset, width, value)


class Rig:
    """The card in a machine of nothing but memory."""

    def __init__(self) -> None:
        self.host, self.fn = FakeHost(), Edu()
        self.fn.host = self.host
        self.window = Bar(self.fn)
        self.regs = edu.Edu(self.window)
        self.fn.config_write(Header0.command.offset, 2, Command(mem=True, master=True).raw)

    def msi(self) -> None:
        self.fn.config_write(0x44, 4, 0xFEE0_0000)
        self.fn.config_write(0x4C, 2, 0x41)
        self.fn.config_write(0x42, 2, MsiControl(enable=True).raw)

    def dma(self, source: int, destination: int, count: int, command: DmaCommand) -> None:
        self.regs.source.write(U64.of(source))
        self.regs.destination.write(U64.of(destination))
        self.regs.count.write(U64.of(count))
        self.regs.command.write(command)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    assert not made.host.reports


class TestRegisters:
    def test_what_it_is(self, rig: Rig) -> None:
        assert rig.regs.id.read().raw == 0x010000ED
        assert rig.fn.config_read(0, 4) == 0x11E8_1234
        assert rig.fn.config_read(8, 4) == 0x00FF_0010

    def test_the_inverter(self, rig: Rig) -> None:
        rig.regs.inverter.write(U32.of(0x12345678))
        assert rig.regs.inverter.read().raw == 0xEDCBA987

    @pytest.mark.parametrize("n", [0, 1, 5, 12, 13, 33, 34, 1000, ONES])
    def test_a_factorial_takes_its_time(self, rig: Rig, n: int) -> None:
        rig.regs.factorial.write(U32.of(n))
        assert rig.regs.status.read().computing
        assert rig.regs.factorial.read().raw == n
        rig.regs.factorial.write(U32.of(3))  # lost
        rig.host.run()
        assert not rig.regs.status.read().computing
        assert rig.regs.factorial.read().raw == math.factorial(min(n, 40)) & ONES
        assert not rig.host.edges

    def test_only_the_irq_bit_of_status_can_be_written(self, rig: Rig) -> None:
        rig.regs.status.write(Status.of(ONES))
        assert rig.regs.status.read() == Status(irq=True)


class TestInterrupts:
    def test_at_the_end_of_a_factorial(self, rig: Rig) -> None:
        rig.regs.status.write(Status(irq=True))
        rig.regs.factorial.write(U32.of(4))
        assert not rig.host.level()
        rig.host.run()
        assert rig.host.level()
        assert rig.regs.irq_status.read() == edu.Cause(factorial=True)
        rig.regs.irq_ack.write(U32.of(1))
        assert not rig.host.level()

    def test_the_pin_falls_with_the_last_cause(self, rig: Rig) -> None:
        rig.regs.irq_raise.write(U32.of(0x50))
        rig.regs.irq_ack.write(U32.of(0x10))
        assert rig.host.level()
        rig.regs.irq_ack.write(U32.of(0x40))
        assert not rig.host.level()

    def test_nothing_raised_is_no_interrupt(self, rig: Rig) -> None:
        rig.regs.irq_raise.write(U32.of(0))
        assert not rig.host.edges

    def test_a_message_for_each(self, rig: Rig) -> None:
        rig.msi()
        for _ in range(2):
            rig.regs.irq_raise.write(U32.of(1))
        assert rig.host.messages == [(0xFEE0_0000, 0x41)] * 2
        assert not rig.host.edges


class TestDma:
    def test_there_and_back(self, rig: Rig) -> None:
        rig.host.memory(DATA, 4)[:] = b"lux9"
        rig.dma(DATA, edu.BUFFER + 100, 4, DmaCommand(run=True))
        assert rig.regs.command.read().run
        rig.host.run(edu.DMA_SECONDS)
        assert not rig.regs.command.read().run
        assert bytes(rig.fn.buffer[100:104]) == b"lux9"
        command = DmaCommand(run=True, to_memory=True, irq=True)
        rig.dma(edu.BUFFER + 100, DATA + 64, 4, command)
        rig.host.run(1)
        assert bytes(rig.host.memory(DATA + 64, 4)) == b"lux9"
        assert rig.host.level()
        assert rig.regs.irq_status.read() == edu.Cause(dma=True)

    def test_it_takes_100_ms(self, rig: Rig) -> None:
        rig.dma(DATA, edu.BUFFER, 4, DmaCommand(run=True))
        rig.host.run(edu.DMA_SECONDS * 0.99)
        assert rig.regs.command.read().run

    def test_its_registers_stand_still(self, rig: Rig) -> None:
        rig.dma(DATA, edu.BUFFER, 4, DmaCommand(run=True))
        rig.dma(1, 2, 3, DmaCommand(run=True, to_memory=True))
        read = [r.read().raw for r in (rig.regs.source, rig.regs.destination, rig.regs.count)]
        assert read == [DATA, edu.BUFFER, 4]
        assert not rig.regs.command.read().to_memory

    def test_a_command_that_does_not_run_is_none(self, rig: Rig) -> None:
        rig.regs.command.write(DmaCommand(to_memory=True))
        assert not rig.regs.command.read().raw
        rig.host.run(1)

    @pytest.mark.parametrize(("at", "count"), [(-1, 4), (4093, 4), (0, 4097), (1 << 40, 1)])
    def test_not_beyond_its_buffer(self, rig: Rig, at: int, count: int) -> None:
        rig.host.memory(DATA, 8192)[:] = b"x" * 8192
        rig.dma(DATA, edu.BUFFER + at, count, DmaCommand(run=True))
        rig.host.run(1)
        assert not any(rig.fn.buffer)
        assert "not within its buffer" in rig.host.reports.pop()
        assert not rig.regs.command.read().run

    def test_28_bits(self, rig: Rig) -> None:
        rig.host.memory(DATA, 2)[:] = b"ok"
        rig.dma(1 << 28 | DATA, edu.BUFFER, 2, DmaCommand(run=True))
        rig.host.run(1)
        assert bytes(rig.fn.buffer[:2]) == b"ok"
        assert "clamped" in rig.host.reports.pop()

    def test_not_without_bus_master(self, rig: Rig) -> None:
        rig.fn.config_write(Header0.command.offset, 2, Command(mem=True).raw)
        rig.host.memory(DATA, 2)[:] = b"no"
        rig.dma(DATA, edu.BUFFER, 2, DmaCommand(run=True))
        rig.host.run(1)
        assert not any(rig.fn.buffer)
        assert "DMA fault" in rig.host.reports.pop()


class TestCards:
    def test_the_first_free_slot(self) -> None:
        assert card("edu", [0, 1 << 3, 0x1F << 3])[0] == 2 << 3

    def test_as_asked(self) -> None:
        place, fn = card("edu,addr=1e.7,dma_mask=0xffffffff", [])
        assert place == 0xF7
        assert isinstance(fn, Edu)
        assert fn.dma_mask == ONES

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("nonesuch", "it has: edu ahci"),
            ("edu,addr=0", "is taken"),
            ("edu,addr=20", "not a number below 0x20"),
            ("edu,addr=x", "not a number"),
            ("edu,colour=red", "no option 'colour'"),
        ],
    )
    def test_refused(self, text: str, said: str) -> None:
        with pytest.raises(UserError, match=said):
            card(text, [0])

    def test_a_full_board(self) -> None:
        with pytest.raises(UserError, match="every slot"):
            card("edu", range(256))


# The same accesses, one by one, on both machines

READ, WRITE = "read", "write"
ACCESSES: list[tuple[str, int, int, int]] = [
    *((READ, at, width, 0) for at in (0, 4, 8, 0x0C, 0x20, 0x24, 0x60, 0x64) for width in (4, 8)),
    *((READ, at, width, 0) for at in (0x80, 0x84, 0x88, 0x98, 0xA0, 0x7FFF8) for width in (4, 8)),
    *((READ, at, width, 0) for at in (0, 1, 2, 0x80) for width in (1, 2)),
    (READ, 2, 4, 0),
    (WRITE, 4, 4, 0x12345678),
    (READ, 4, 4, 0),
    (WRITE, 4, 2, 0),
    (WRITE, 8, 8, 3),
    (READ, 8, 4, 0),
    (READ, 4, 4, 0),
    (WRITE, 0, 4, 0),
    (READ, 0, 4, 0),
    (WRITE, 0x20, 4, 0xFFFFFFFF),
    (READ, 0x20, 4, 0),
    (WRITE, 0x20, 4, 0),
    (READ, 0x20, 4, 0),
    (WRITE, 0x60, 4, 0x80000001),
    (READ, 0x24, 4, 0),
    (WRITE, 0x64, 4, 0x1),
    (READ, 0x24, 4, 0),
    (WRITE, 0x64, 4, 0xFFFFFFFF),
    (READ, 0x24, 4, 0),
    (WRITE, 0x80, 8, 0x1122334455667788),
    (READ, 0x80, 8, 0),
    (READ, 0x80, 4, 0),
    (READ, 0x84, 4, 0),
    (WRITE, 0x84, 4, 7),
    (WRITE, 0x80, 4, 0x99),
    (READ, 0x80, 8, 0),
    (WRITE, 0x98, 8, 6),
    (READ, 0x98, 8, 0),
]


async def told(machine: Machine) -> tuple[FunctionInfo, list[int]]:
    """What the reads among the accesses give, and what the function says it is."""
    await machine.start(lambda line, asserted: None, lambda about, text: None)
    try:
        found = next(f for f in scan(machine) if (f.vendor, f.device) == edu.DEVICE)
        bar = found.bars[0].address
        machine.config_write(found.bdf, Header0.command.offset, 2, Command(mem=True).raw)
        read: list[int] = []
        for what, at, width, value in ACCESSES:
            if what == READ:
                read.append(machine.mem_read(bar + at, width))
            else:
                machine.mem_write(bar + at, width, value)
        return found, read
    finally:
        await machine.close()


@needs_qemu
def test_the_same_as_qemu() -> None:
    machines: list[Callable[[], Machine]] = [
        lambda: q35(devices=["edu"]),
        lambda: Qemu(Board("q35", devices=["edu"])),
    ]

    async def both() -> None:
        async with asyncio.timeout(LIMIT):
            (mine, ours), (yours, theirs) = [await told(make()) for make in machines]
        reads = [access for access in ACCESSES if access[0] == READ]
        assert [r for r, a, b in zip(reads, ours, theirs, strict=True) if a != b] == []
        assert (mine.name, mine.code, mine.irq) == (yours.name, yours.code, yours.irq)

    asyncio.run(both())
