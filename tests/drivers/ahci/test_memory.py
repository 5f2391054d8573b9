from __future__ import annotations

from collections.abc import Callable

import pytest

from lux9.arch.ahci import CommandHeader, CommandTable, ReceivedFis
from lux9.arch.ata import D2HHead, LbaLow, SdbHead
from lux9.driver.function import Bar, Dma, Irq, Kind
from lux9.drivers.ahci.commands import NCQ, Request
from lux9.drivers.ahci.memory import FISES, RFIS, SDB, SIZE, STRIDE, TABLES, PortMemory
from lux9.regs import U32, Memory, Window

BUS = 0x5_4321_0000


class Buffer:
    bus, size = BUS, SIZE

    def __init__(self) -> None:
        self.view = memoryview(bytearray(SIZE))

    def for_device(self, offset: int, size: int) -> None: ...

    def for_cpu(self, offset: int, size: int) -> None: ...

    def free(self) -> None: ...


class Fake:
    bdf = "0000:00:00.0"
    far = False

    @property
    def config(self) -> Window:
        raise NotImplementedError

    def bar(self, n: int) -> Bar:
        raise NotImplementedError

    def dma(self, size: int, align: int = 4096) -> Dma:
        assert size == SIZE
        return Buffer()

    def interrupt(self, handler: Callable[[], None], prefer: Kind = "intx") -> Irq:
        raise NotImplementedError

    def master(self, on: bool) -> None: ...

    def pause(self, seconds: float) -> None: ...


def memory() -> PortMemory:
    return PortMemory(Fake(), True)


@pytest.mark.parametrize("slot", [0, 1, 31])
def test_a_command_is_built_as_the_specification_draws_it(slot: int) -> None:
    m = memory()
    r = Request(NCQ.write, lambda r, e: None, lba=5, count=16, bus=0x7_0000_2000, size=8192)
    r.slot = slot
    m.put(r)
    header = CommandHeader(Memory(m.view), slot * 32)
    info = header.info.read()
    assert (info.cfl, info.w, info.prdtl, info.a, info.c) == (5, True, 1, False, False)
    table = header.ctba.read().raw | header.ctbau.read().raw << 32
    assert table == BUS + TABLES + slot * STRIDE
    assert table % 128 == 0
    block = CommandTable(Memory(m.view), table - BUS)
    assert block.cfis.read()[:20] == r.frame()
    prd = block.prdt[0]
    assert prd.dba.read().raw | prd.dbau.read().raw << 32 == 0x7_0000_2000
    assert prd.dbc.read().dbc == 8191


def test_a_command_without_data_has_no_prd() -> None:
    m = memory()
    r = Request(NCQ.read, lambda r, e: None)
    r.slot = 3
    m.put(r)
    assert CommandHeader(Memory(m.view), 3 * 32).info.read().prdtl == 0


def test_addresses_are_aligned_as_the_registers_want_them() -> None:
    m = memory()
    (low, high), (fis_low, fis_high) = m.list_bus, m.fises_bus
    assert low.raw | high.raw << 32 == BUS
    assert fis_low.raw | fis_high.raw << 32 == BUS + FISES
    assert FISES % 256 == 0


def test_the_hints_are_the_declared_fises() -> None:
    m = memory()
    fises = ReceivedFis(Memory(m.view), FISES)
    fises.sdbfs.act.write(U32.of(0xDEADBEEF))
    fises.sdbfs.head.write(SdbHead.of(0xA1))
    assert m.sdb[SDB] == 0xDEADBEEF_000000A1
    fises.rfis.head.write(D2HHead.of(0x34))
    fises.rfis.low.write(LbaLow.of(0x123456))
    assert m.rfis[RFIS] == 0x34
    m.wipe()
    assert (m.sdb[SDB], m.rfis[RFIS]) == (0, 0)
    assert fises.rfis.low.read().lba == 0x123456  # an answer, which a command may still want
