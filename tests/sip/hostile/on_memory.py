"""Attacks by way of a device: DMA that is none of its business."""

from __future__ import annotations

import errno
import struct
import time
from collections.abc import Callable, Mapping
from functools import partial

from lux9.driver.function import Bar, Dma
from lux9.tree import text
from tests.sip.hostile.tries import Attacks, Tries

PORT = 0x100  # registers of port 0. AHCI 1.3.1 §3.3
LIST_RUNS, FIS_RUNS, FATAL = 1 << 15, 1 << 14, 0x7800_0000  # PxCMD.CR, .FR; PxIS. §3.3.5, §3.3.7
LOW = 0xFFFF_FFFF
PLACES = ("fis", "list", "table", "data")


class OnMemory(Attacks):
    """Attacks by way of a device: DMA that is none of its business."""

    @text(0o444)
    def descriptor(self) -> str:
        """Point DMA outside the arena: a received FIS, a command list, a table, a transfer."""
        tries = Tries()
        with self.environment.function() as function:
            abar, buffer = function.bar(5), function.dma(0x4000)
            function.master(True)
            abar.write(0x04, 4, 1 << 31)
            for address in self.addresses():
                for what in PLACES:
                    places = {name: buffer.bus + n * 0x1000 for n, name in enumerate(PLACES)}
                    places[what] = address
                    tries(f"{what} at {address:#x}", partial(_transfer, abar, buffer, places))
        return str(tries)


def _transfer(abar: Bar, buffer: Dma, places: Mapping[str, int]) -> object:
    """One READ DMA EXT of a sector on port 0. Raises OSError when the controller says that it failed."""
    _prepare(buffer, places["table"], places["data"])
    for at, name in ((0x00, "list"), (0x08, "fis")):
        abar.write(PORT + at, 4, places[name] & LOW)
        abar.write(PORT + at + 4, 4, places[name] >> 32)
    for events in (0x30, 0x10):
        abar.write(PORT + events, 4, LOW)
    try:
        for start, runs in ((0x10, FIS_RUNS), (0x11, LIST_RUNS)):
            abar.write(PORT + 0x18, 4, start)
            if not abar.read(PORT + 0x18, 4) & runs:
                raise OSError(errno.EFAULT, f"PxCMD {start:#x} did not start")
        abar.write(PORT + 0x38, 4, 1)
        return _done(abar)
    finally:
        for stop, runs in ((0x10, LIST_RUNS), (0, FIS_RUNS)):
            abar.write(PORT + 0x18, 4, stop)
            _until(abar, partial(_clear, abar, runs))


def _prepare(buffer: Dma, table: int, data: int) -> None:
    """A command list at 0x1000, a table at 0x2000. AHCI 1.3.1 §4.2.2, §4.2.3"""
    header = struct.pack("<IIII", 5 | 1 << 16, 0, table & LOW, table >> 32)
    fis = struct.pack("<13B", 0x27, 0x80, 0x25, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 1)
    prd = struct.pack("<IIII", data & LOW, data >> 32, 0, 511)
    buffer.view[:] = bytes(len(buffer.view))
    for offset, content in ((0x1000, header), (0x2000, fis), (0x2080, prd)):
        buffer.view[offset : offset + len(content)] = content


def _done(abar: Bar) -> object:
    if not _until(abar, partial(_over, abar)):
        raise TimeoutError("the command did not complete")
    if (status := abar.read(PORT + 0x10, 4)) & FATAL:
        raise OSError(errno.EFAULT, f"PxIS {status:#x}")
    return "the command completed"


def _until(abar: Bar, true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 0.5
    while not true():
        if time.monotonic() > end:
            return False
        abar.pause(0.001)
    return True


def _clear(abar: Bar, bits: int) -> bool:
    return not abar.read(PORT + 0x18, 4) & bits


def _over(abar: Bar) -> bool:
    return bool(abar.read(PORT + 0x10, 4) & FATAL) or not abar.read(PORT + 0x38, 4) & 1
