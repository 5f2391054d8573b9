"""QEMU as a machine: its chipset and its devices, with no guest. We are the kernel of that machine.

Accesses go over one qtest socket, synchronously; interrupts come back over it, messages as eventfds. When QEMU is
gone, every read gives all ones, as from a slot whose card was pulled out.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ...arch import ich9
from ...arch.pci import NO_FUNCTION, Command, Header0, bdf_text
from ...errors import DeviceError, DeviceGone, UserError
from .. import firmware
from ..abstract import PLUGGED, PULLED, Arena, Bdf, Lack, Message, Report, Sink
from ..controllers import by_class
from ..functions import FunctionInfo
from ..reset import by_config
from . import doorbell, hotplug
from .arenas import Arenas, options as memory_options
from .board import Board
from .config import IN, OUT, READ, WRITE, ConfigSpace
from .doorbell import Doorbell
from .events import Events
from .launch import Child
from .media import Media
from .qmp import Monitor
from .qtest import QemuGone

READY = 20.0  # seconds until QEMU answers its first command
Range = tuple[int, int]  # start, end
MEM_READ = {**READ, 8: b"readq"}
MEM_WRITE = {**WRITE, 8: b"writeq"}


def ones(width: int) -> int:
    """What a read of `width` bytes gives when nobody answers."""
    return (1 << 8 * width) - 1


class Qemu:
    """A machine in QEMU."""

    name = "qemu"

    def __init__(self, board: Board | None = None) -> None:
        self.board = board or Board()
        self.known: list[FunctionInfo] = []  # as firmware left them
        self.gone: list[Range] = []  # where functions were that are pulled out
        self._media = Media(self.board.media)
        self._arenas: Arenas | None = None
        self._bell: Doorbell | None = None
        self._monitor: Monitor | None = None
        self._child: Child | None = None
        self._events: Events | None = None
        self._elcr = 0  # as it was written to the two ports

    # Its life

    def why_not(self) -> list[Lack]:
        """Only the program is needed."""
        program = self.board.program
        if self.board.found is not None:
            return []
        if Path(program).exists():
            return [
                Lack(f"{program} cannot be run, or is not on PATH", "name a program: --qemu /…")
            ]
        remedy = "sudo apt-get install --no-install-recommends qemu-system-x86 qemu-utils"
        return [Lack(f"{program} is not there", remedy)]

    async def start(self, sink: Sink, report: Report) -> None:
        """Start QEMU, be its firmware, and tell interrupts from here. Raises UserError with QEMU's own words."""
        if lacks := self.why_not():
            raise UserError("; ".join(f"{lack.what}: {lack.remedy}" for lack in lacks))
        self._report = report
        try:
            await self._launch(sink)
            self.events.start()
            self._firmware()
        except QemuGone:
            why = self._child.fate() if self._child else self.events.why
            await self.close()
            raise UserError(f"the machine did not come up: {why}") from None
        except BaseException:
            await self.close()
            raise

    async def _launch(self, sink: Sink) -> None:
        self._arenas = arenas = Arenas(self.board.memory)
        self._bell = bell = Doorbell()
        log = Path(f"qemu-{os.getpid()}.log") if self.board.keep_log else None
        first = bell.options(self.board.bus)  # before cards that take the next slot that is free
        options = [*first, *self.board.options(), *memory_options(arenas.nodes)]
        keep = [bell.theirs.fileno(), *(node.fd for node in arenas.nodes)]
        assert self.board.found is not None, "why_not was asked"
        self._child = child = Child(self.board.found, options, keep, log)
        bell.theirs.close()
        self._monitor = Monitor(child.monitor)
        self._events = events = Events(child, bell, sink, self._over, self.board.limit)
        self.qtest, self.lines = events.qtest, events.lines
        with contextlib.suppress(BrokenPipeError):  # it has ended already: its end tells why
            child.qtest.sendall(b"irq_intercept_in ioapic\n")
        await child.answered(READY)
        self.qtest.owed = 1

    def _firmware(self) -> None:
        """As firmware would: configuration space mapped, the doorbell placed, then everything else."""
        self.config = config = ConfigSpace(self.qtest)
        config.hidden_write(Header0.bar.offset, 4, doorbell.REGISTERS)
        config.hidden_write(Header0.command.offset, 2, Command(mem=True).raw)
        self.assign()

    def assign(self) -> None:
        """Places for whatever has none."""
        spaces = firmware.pc_spaces() if self.board.kind == "pc" else firmware.q35_spaces()
        self.known = firmware.assign(self, self.known, spaces)
        taken = [(bar.address, bar.end) for f in self.known for bar in f.bars]
        self.gone = [
            (a, b) for a, b in self.gone if not any(a < end and at < b for at, end in taken)
        ]
        self.qtest.collect()

    async def close(self) -> None:
        """End QEMU; nothing of it stays."""
        if self._events is not None:
            self._events.close()
        if self._monitor is not None:
            await self._monitor.close()
        if self._child is not None:
            child, self._child = self._child, None
            await child.close()
        if self._bell is not None:
            self._bell.close()
            self._bell = None
        if self._arenas is not None:
            self._arenas.close()
            self._arenas = None

    def pump(self) -> None:
        """Wait a millisecond for something to happen, and tell it."""
        self.events.pump()

    # Plugging

    @property
    def monitor(self) -> Monitor:
        """QEMU's monitor, for what else it can do."""
        assert self._monitor is not None, "the machine was not started"
        return self._monitor

    async def insert(self, card: str) -> Bdf:
        """Plug a card in, as `-device` has it, and find it a place. Raises BadArgument with QEMU's words."""
        id = await hotplug.add(self.monitor, card)
        bdf = await hotplug.place(self.monitor, id)
        if (slot := hotplug.slot_of(self, self.known, bdf)) is not None:
            hotplug.power(slot, True)
        self.assign()
        bdf = await hotplug.place(self.monitor, id)  # as the buses are numbered now
        self._report(bdf_text(bdf), PLUGGED)
        return bdf

    async def spoil(self, rule: str) -> None:
        """Make sectors of the disks bad: `media where=FIRST-LAST`; or `none`."""
        await self._media.spoil(self.monitor, rule)

    async def pull(self, bdf: Bdf) -> None:
        """Pull a card out. Raises NotFound, BadArgument where it has no name in QEMU."""
        await self.unplug(await hotplug.name_of(self.monitor, bdf))

    async def unplug(self, id: str) -> None:
        """Pull a device out without a word to anybody: its registers read all ones from here."""
        bdf = await hotplug.place(self.monitor, id)
        gone, kept = hotplug.with_it(self.known, bdf), self.gone
        self.gone = [
            *kept,
            *((bar.address, bar.end) for f in gone for bar in f.bars if bar.address),
        ]
        try:
            await hotplug.remove(self.monitor, self, self.known, id, bdf)
        except BaseException:
            self.gone = kept
            raise
        self.assign()
        for each in gone:
            self._report(each.name, PULLED)
            self.events.wake(each.bdf)

    def _over(self, why: str) -> None:
        """QEMU is no more, and took what was in it along."""
        self._report("qemu", f"{why}; every function counts as removed")
        for each in self.known:
            self._report(each.name, PULLED)

    @property
    def events(self) -> Events:
        """What happens on it."""
        assert self._events is not None, "the machine was not started"
        return self._events

    @property
    def pid(self) -> int:
        """QEMU's process."""
        assert self._child is not None, "the machine was not started"
        return self._child.pid

    # Configuration space

    def config_read(self, bdf: Bdf, offset: int, width: int) -> int:
        """One access; all ones where no function is."""
        try:
            return self.config.read(bdf, offset, width)
        except QemuGone:
            return ones(width)

    def config_write(self, bdf: Bdf, offset: int, width: int, value: int) -> None:
        """One access, posted; in order with every other access. Lost where no function is."""
        with contextlib.suppress(QemuGone):
            self.config.write(bdf, offset, width, value)

    def config_size(self, bdf: Bdf) -> int:
        """4096 for PCI Express functions on q35; else 256."""
        try:
            return self.config.size(bdf)
        except QemuGone:
            return 256

    # Memory and ports

    def mem_read(self, address: int, width: int) -> int:
        """One access: one round trip."""
        try:
            value = int(self.qtest.ask(b"%s 0x%x" % (MEM_READ[width], address)), 16)
        except QemuGone:
            return ones(width)
        if not value and any(start <= address < end for start, end in self.gone):
            return ones(width)  # nobody is there: QEMU would have it zero
        return value

    def mem_write(self, address: int, width: int, value: int) -> None:
        """One access, posted."""
        self.qtest.post(b"%s 0x%x 0x%x" % (MEM_WRITE[width], address, value))

    def io_read(self, port: int, width: int) -> int:
        """One access: one round trip."""
        try:
            return int(self.qtest.ask(b"%s 0x%x" % (IN[width], port)), 16)
        except QemuGone:
            return ones(width)

    def io_write(self, port: int, width: int, value: int) -> None:
        """One access, posted."""
        self.qtest.post(b"%s 0x%x 0x%x" % (OUT[width], port, value))
        if port in (ich9.ELCR1, ich9.ELCR2):
            shift = 8 * (port - ich9.ELCR1)
            self._elcr = self._elcr & ~(0xFF << shift) | value << shift
            self.lines.elcr(self._elcr)

    # Arenas: QEMU's devices reach all of memory

    protects = False

    def arena(self, size: int) -> Arena:
        """A new arena."""
        assert self._arenas is not None, "the machine was not started"
        return self._arenas.make(size)

    def attach(self, bdf: Bdf, arena: Arena) -> None:
        """Nothing stands between."""

    def detach(self, bdf: Bdf) -> None:
        """Nothing stands between."""

    # Interrupts

    def mask(self, line: int) -> None:
        """Keep a line from the sink."""
        self.lines.mask(line)

    def unmask(self, line: int) -> None:
        """Let it through again."""
        self.lines.unmask(line)

    def messages(self, bdf: Bdf, count: int) -> list[Message]:
        """Vectors for a function."""
        assert self._bell is not None, "the machine was not started"
        return self._bell.give(bdf, count)

    def free_messages(self, bdf: Bdf) -> None:
        """Take them back."""
        if self._bell is not None:
            self._bell.free(bdf)

    # Reset

    def reset(self, bdf: Bdf) -> str:
        """By the function's own means, or its class's. Raises DeviceError where there are none."""
        if self.qtest.gone:
            raise DeviceGone(f"{bdf_text(bdf)} went with QEMU: {self.events.why}")
        if self.config_read(bdf, Header0.vendor.offset, 2) == NO_FUNCTION:
            raise DeviceGone(f"{bdf_text(bdf)} is not there, so there is nothing to reset")
        how = by_config(self, bdf, lambda seconds: None) or by_class(self, bdf)
        self.qtest.flush()
        if how is None:
            raise DeviceError(
                f"{bdf_text(bdf)} cannot be reset: it has no function level reset, loses no state in D3hot, "
                "and is not alone behind a bridge"
            )
        return how
