"""What a port does with its command list: headers, command FISes, PRDs, data. Ref: AHCI 1.3.1 §4.2, §5.3, §5.5, §6.

One `run` takes the commands that are issued, in the order of the slots, until it has moved its share. Queued
commands that end in one run share one Set Device Bits FIS and one interrupt. Addresses are looked up again for
each run: bus master may have gone off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...arch.ahci import CommandHeader, CommandInfo, CommandList, CommandTable, Prd, PrdCount, PxIS
from ...arch.ata import H2D, Command, Control, Fis
from ..ata import ABRT, FAILED, FUA_BIT, GOOD, UNC, AtaError, Registers, Transfer, Views, execute
from ..pci import DmaFault
from ..registers import layout

if TYPE_CHECKING:
    from .port import Port

HEADER = layout(
    CommandHeader.info, CommandHeader.prdbc, CommandHeader.ctba, CommandHeader.ctbau, size=CommandHeader.size
)  # fmt: skip
FIS = layout(H2D.head, H2D.low, H2D.high, H2D.count, size=H2D.size)
PRD = layout(Prd.dba, Prd.dbau, Prd.dbc, size=Prd.size)
PRDT = CommandTable.prdt.offset
CFL, A, W, C = (CommandInfo.fields[f].span for f in ("cfl", "a", "w", "c"))
LONE = H2D.size // 4  # dwords of a Register FIS
PLAIN = Fis.REGISTER_H2D | 0x80 << 8  # a command, to no port multiplier
DBC = PrdCount.fields["dbc"].mask
HBFS, IFS, OFS, DPS = (PxIS.fields[f].span for f in ("hbfs", "ifs", "ofs", "dps"))
READ, WRITE = int(Command.READ_FPDMA_QUEUED), int(Command.WRITE_FPDMA_QUEUED)
QUEUED = frozenset((READ, WRITE, 0x63, 0x64, 0x65))  # SATA §13.6.3.2
TURN = 2 << 20  # bytes moved, about, before others on the loop have their turn
PRD_COST = 4096  # a PRD takes as long as so many bytes
SRST = Control(srst=True).raw


class Engine:
    """The command list of one port."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.hba = port.hba
        self.done = 0  # queued commands that ended in this run, a bit a tag
        self.left = 0  # bytes of the last transfer that the PRDT had no room for
        self.turn = 0  # how much more work this run may do
        self.marked = False  # a PRD with I was used
        self.list = memoryview(b"")

    # Memory

    def fetch(self, address: int, size: int) -> memoryview:
        """The bytes there, in one piece; writable only where they lie in one piece."""
        views = self.hba.host.dma(self.hba, address, size)
        return views[0] if len(views) == 1 else memoryview(b"".join(views))

    def _memory(self, table: memoryview, size: int) -> Views:
        """The first `size` bytes that a command table's PRDs name; `left` is what is missing. §4.2.3.3"""
        host, hba = self.hba.host, self.hba
        views: Views = []
        left = size
        self.turn -= size + PRD_COST * (len(table) - PRDT) // PRD.size
        for dba, dbau, dbc in PRD.iter_unpack(table[PRDT:]):
            if dba & 1 or not dbc & 1:
                self._odd_prd(dba | dbau << 32, (dbc & DBC) + 1)
            if dbc >> 31:
                self.marked = True
            count = (dbc & DBC | 1) + 1
            if count >= left:
                views += host.dma(hba, dba & ~1 | dbau << 32, left)
                self.left = 0
                return views
            views += host.dma(hba, dba & ~1 | dbau << 32, count)
            left -= count
        self.left = left
        return views

    def _odd_prd(self, address: int, count: int) -> None:
        self.hba.tell(
            f"{self.port.name}: a PRD of {count} bytes at {address:#x}: both must be even; bit 0 was ignored"
        )

    # The list

    def run(self) -> None:
        """Take all commands that are issued."""
        port, ci = self.port, self.port.ci
        slot = 0
        self.turn = TURN
        try:
            self.list = self.fetch(port.list_at, CommandList.size)
            while (due := ci.raw & ~self.port.held) and not port.halted and self.turn > 0:
                slot = (due & -due).bit_length() - 1
                self._take(slot)
        except DmaFault:
            port.stop_at(slot, HBFS)
        self.list = memoryview(b"")  # hold no arena
        self._post()
        if ci.raw & ~self.port.held and not port.halted:
            port.schedule()

    def _post(self) -> None:
        """Tell of the queued commands that ended."""
        if self.marked:
            self.marked = False
            self.port.raise_(DPS)
        if self.done:
            done, self.done = self.done, 0
            assert self.port.drive is not None
            # The error register is as the last command that was not queued, or the reset, left it: so QEMU
            self.port.send_device_bits(done, GOOD, self.port.drive.result.features)

    def _take(self, slot: int) -> None:
        info, _, ctba, ctbau = HEADER.unpack_from(self.list, slot * HEADER.size)
        table = self.fetch(ctba & ~0x7F | ctbau << 32, PRDT + PRD.size * (info >> 16))
        head, low, high, tail = FIS.unpack_from(table)
        if head & 0xFFFF != PLAIN or info & (CFL | A) != LONE:
            self._take_odd(slot, info, head, tail)
            if info & CFL != LONE or head & 0xFFFF != PLAIN:
                return
        command = Registers(
            head >> 16 & 0xFF,
            head >> 24 | high >> 24 << 8,
            low & 0xFFFFFF | (high & 0xFFFFFF) << 24,
            tail & 0xFFFF,
            low >> 24,
        )
        if command.command in QUEUED:
            self._queued(slot, table, command)
        else:
            self._post()
            self._direct(slot, info, table, command)

    def _take_odd(self, slot: int, info: int, head: int, tail: int) -> None:
        """What is not a plain command: device control, or what nobody should send."""
        port, name = self.port, f"{self.port.name} slot {slot}"
        if info & CFL != LONE:
            self.hba.tell(
                f"{name}: a command FIS of {info & CFL} dwords; a Register FIS has {LONE}"
            )
            port.stop_at(slot, IFS)
        elif head & 0xFFFF == Fis.REGISTER_H2D:
            self._control(slot, info, tail >> 24)
        elif head & 0xFFFF != PLAIN:
            self.hba.tell(f"{name}: a FIS that begins {head & 0xFFFF:#06x} is taken by nobody")
            self._taken(slot)
        else:
            self.hba.tell(f"{name}: an ATAPI command for a disk")

    def _control(self, slot: int, info: int, control: int) -> None:
        """Device control: SRST set, then clear, resets the device. ATA8-AST, AHCI §10.4.1"""
        port, reset = self.port, bool(control & SRST)
        self._post()
        if port.srst and not reset:
            self._taken(slot)
            port.software_reset()
        elif info & C:
            self._taken(slot)
        else:  # BSY stays until a FIS comes, and SRST brings none
            self.hba.tell(
                f"{port.name} slot {slot}: device control without C: the slot stays issued"
            )
            self.port.held |= 1 << slot
        port.srst = reset

    def _taken(self, slot: int) -> None:
        self.port.ci.raw &= ~(1 << slot)

    # Queued commands, §5.5.2 to §5.5.3; SATA §13.6

    def _queued(self, slot: int, table: memoryview, command: Registers) -> None:
        port, drive = self.port, self.port.drive
        assert drive is not None
        tag, count = command.count >> 3 & 31, command.features or 65536
        if tag != slot or not port.sact.raw >> tag & 1:
            self._mislabelled(slot, tag)
        try:
            drive.accept_queued(command, count)
            views = self._memory(table, count * 512)
            if self.left:
                self._short(slot, count * 512)
                return
            if command.command == READ:
                drive.read(command.lba, count, views)
            else:
                drive.write(command.lba, count, views, fua=bool(command.device & FUA_BIT))
        except AtaError as error:
            self._queue_failed(slot, tag, command, self._as_told(error))
            return
        self._taken(slot)
        self.done |= 1 << tag

    def _mislabelled(self, slot: int, tag: int) -> None:
        what = f"has tag {tag}" if tag != slot else "has no bit in PxSACT"
        self.hba.tell(f"{self.port.name} slot {slot}: a queued command {what}")

    def _short(self, slot: int, size: int) -> None:
        """The PRDT is too short for a queued command: nothing is moved, it never ends. §6.1.5"""
        self.hba.tell(f"{self.port.name} slot {slot}: PRDs for {size - self.left} bytes of {size}")
        self._taken(slot)
        self.port.raise_(OFS)

    def _queue_failed(self, slot: int, tag: int, command: Registers, error: AtaError) -> None:
        """The device gives up all queued commands; its log says which one failed. SATA §13.6.4"""
        port, drive = self.port, self.port.drive
        assert drive is not None
        self._post()
        self.hba.tell(f"{port.name} slot {slot}: {error}")
        drive.failed_queued(tag, command, error, keep=not self.hba.quirks.runs_on)
        self._taken(slot)
        port.send_device_bits(0, FAILED, error.error)
        self._failed(slot)

    def _as_told(self, error: AtaError) -> AtaError:
        """What software is told of an error: all of it, or as QEMU has it."""
        if error.error != UNC or not self.hba.quirks.nameless:
            return error
        return AtaError(ABRT, str(error))

    def _failed(self, slot: int) -> None:
        """The device said that a command failed: halted, but on QEMU. §6.2.2.1"""
        if self.hba.quirks.runs_on:
            self.port.held |= 1 << slot
        else:
            self.port.stop_at(slot, 0)

    # The others, §5.5.1, §5.4

    def _direct(self, slot: int, info: int, table: memoryview, command: Registers) -> None:
        port, drive = self.port, self.port.drive
        assert drive is not None
        self.port.store(port.list_at + slot * HEADER.size + CommandHeader.prdbc.offset, bytes(4))
        try:
            transfer = execute(drive, command)
            if transfer is not None and not self._carry(slot, info, table, transfer):
                return
        except AtaError as error:
            self.hba.tell(f"{port.name} slot {slot}: {error}")
            drive.failed(self._as_told(error))
            port.send_register()
            self._failed(slot)
            return
        self._taken(slot)
        port.send_register()

    def _carry(self, slot: int, info: int, table: memoryview, transfer: Transfer) -> bool:
        """Move the data; False when the command can never end."""
        port = self.port
        if bool(info & W) != transfer.out:
            self.hba.tell(
                f"{port.name} slot {slot}: W is {bool(info & W):d} for a transfer the other way"
            )
        views = self._memory(table, transfer.size)
        if self.left and not self._overflow(slot, views, transfer):
            return False
        transfer.move(views)
        if transfer.block:
            several = transfer.size > transfer.block
            last = (transfer.size - 1) % transfer.block + 1
            port.send_pio_setup(last, out=transfer.out, interrupt=not transfer.out or several)
        moved = transfer.size - self.left
        at = port.list_at + slot * HEADER.size + CommandHeader.prdbc.offset
        self.port.store(at, moved.to_bytes(4, "little"))
        self._post()
        return True

    def _overflow(self, slot: int, views: Views, transfer: Transfer) -> bool:
        """The PRDT is too short: of a read the rest is dropped, a write waits for data for ever. §6.1.5"""
        port, size = self.port, transfer.size
        self.hba.tell(f"{port.name} slot {slot}: PRDs for {size - self.left} bytes of {size}")
        if not transfer.out:
            views.append(memoryview(bytearray(self.left)))
            port.raise_(OFS)
            return True
        port.stall()
        port.stop_at(slot, OFS)
        return False
