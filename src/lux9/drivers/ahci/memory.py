"""What a port has in memory: its command list, its command tables, the FISes that it receives.

One piece of device memory a port. A command's data is contiguous, so that every table has one PRD. What is written
here is given to the device before the doorbell; the FISes that came are fetched where they have to be.
"""

from __future__ import annotations

import struct

from ...arch.ahci import (
    COMMAND_TABLE_ALIGN,
    MAX_SLOTS,
    PRD_BYTES,
    CommandHeader,
    CommandList,
    CommandTable,
    Prd,
    PxCLB,
    PxFB,
    ReceivedFis,
    table_size,
)
from ...arch.ata import D2H, SECTOR
from ...driver.function import Dma, Function
from ...errors import DeviceError
from ...pending import Maybe
from ...regs import U32, Memory
from .commands import Request

FISES = CommandList.extent()  # offset of the received FISes: aligned to 256 behind a list of 1 KiB
TABLES = FISES + ReceivedFis.extent()
STRIDE = -(-table_size(1) // COMMAND_TABLE_ALIGN) * COMMAND_TABLE_ALIGN
SCRATCH = TABLES + MAX_SLOTS * STRIDE  # data of the driver's own commands
SIZE = SCRATCH + SECTOR
PRDT = CommandTable.prdt.offset

HEADER = struct.Struct(
    "<II"
)  # CommandHeader.info and .prdbc; the table's address is there for good
PRD = struct.Struct("<QII")  # Prd: address, reserved, count less one
DWORDS_OF_FIS = D2H.extent() // 4
WRITE = 1 << 6  # CommandInfo.w
ONE_PRD = 1 << 16  # CommandInfo.prdtl
SDB = (FISES + ReceivedFis.sdbfs.offset) // 8  # quadword of the Set Device Bits FIS
RFIS = (FISES + ReceivedFis.rfis.offset) // 4  # dword 0 of the Register FIS
HINTS = FISES + ReceivedFis.rfis.offset
HINTS_END = FISES + ReceivedFis.sdbfs.offset + 8
REACH = 1 << 32  # what an HBA without CAP.S64A can address


class PortMemory:
    """The structures of one port, laid out in one buffer."""

    def __init__(self, function: Function, wide: bool) -> None:
        self.dma = function.dma(SIZE)
        check_reach(self.dma, wide)
        self.view = self.dma.view[:SIZE]
        self.sdb = self.view[:TABLES].cast("Q")  # by SDB: a FIS of 8 bytes in one access
        self.rfis = self.view[:TABLES].cast("I")  # by RFIS
        self.far = function.far
        self.list = CommandList(Memory(self.view))
        self.fises = ReceivedFis(Memory(self.view), FISES)
        for slot in range(MAX_SLOTS):
            self._point(self.list.header[slot], self.dma.bus + TABLES + slot * STRIDE)
        self.dma.for_device(0, FISES)

    def _point(self, header: CommandHeader, table: int) -> None:
        header.ctba.write(header.ctba.kind.of(table & 0xFFFFFFFF))
        header.ctbau.write(U32.of(table >> 32))

    @property
    def list_bus(self) -> tuple[PxCLB, U32]:
        """PxCLB and PxCLBU."""
        bus = self.dma.bus
        return PxCLB.of(bus & 0xFFFFFFFF), U32.of(bus >> 32)

    @property
    def fises_bus(self) -> tuple[PxFB, U32]:
        """PxFB and PxFBU."""
        bus = self.dma.bus + FISES
        return PxFB.of(bus & 0xFFFFFFFF), U32.of(bus >> 32)

    def put(self, request: Request) -> None:
        """Build the command in its slot: header, FIS and PRD."""
        assert request.size <= PRD_BYTES, "one PRD has 4 MiB at most"
        slot, frame = request.slot, request.frame()
        at = TABLES + slot * STRIDE
        self.view[at : at + len(frame)] = frame
        info = DWORDS_OF_FIS | (WRITE if request.op.write else 0)
        if request.size:
            info |= ONE_PRD
            PRD.pack_into(self.view, at + PRDT, request.bus, 0, request.size - 1)
        HEADER.pack_into(self.view, slot * CommandHeader.extent(), info, 0)
        if self.far:
            self.dma.for_device(at, PRDT + PRD.size if request.size else len(frame))
            self.dma.for_device(slot * CommandHeader.extent(), HEADER.size)

    def wipe(self) -> None:
        """Clear the FISes that completions are seen by."""
        self.sdb[SDB] = 0
        self.rfis[RFIS] = 0  # and no more: the LBA behind it is some command's answer
        if self.far:
            self.dma.for_device(SDB * 8, 8)
            self.dma.for_device(RFIS * 4, 4)

    def fetch(self) -> Maybe[None]:
        """Have the FISes that completions are seen by."""
        return self.dma.for_cpu(HINTS, HINTS_END - HINTS)

    @property
    def scratch(self) -> int:
        """The bus address of a sector for the driver's own commands."""
        return self.dma.bus + SCRATCH

    def scratched(self) -> bytes:
        """What came there."""
        return bytes(self.view[SCRATCH:SIZE])

    def free(self) -> None:
        """Give it back. The port must be stopped."""
        self.dma.free()


def check_reach(dma: Dma, wide: bool) -> None:
    """Refuse memory that a 32-bit HBA cannot address (CAP.S64A)."""
    if not wide and dma.bus + dma.size > REACH:
        raise DeviceError(
            f"the HBA has 32-bit addresses (CAP.S64A is 0), its memory is at {dma.bus:#x}+{dma.size:#x}; "
            "give the machine an arena below 4 GiB"
        )


assert Prd.extent() == PRD.size, "PRD is the declared structure"
