"""The arena: the memory that a driver shares with its devices, mapped where the kernel says it is.

`vaddr` in the answers of /dev/dma/alloc is true because of this mapping: it is at the address that
/proc/self/status promises, or the driver does not start.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
from dataclasses import dataclass

from ..errors import BadArgument, NoMemory

MAP_FIXED_NOREPLACE = 0x100000  # linux/mman.h: fail rather than map over something
_LINE = re.compile(r"^arena: vaddr=0x([0-9a-f]+) paddr=0x([0-9a-f]+) size=(\d+|0x[0-9a-f]+)$", re.M)


@dataclass(frozen=True)
class Arena:
    """All of a driver's device memory: `view` in this process, `vaddr` its address, `bus` the devices'."""

    view: memoryview
    vaddr: int
    bus: int

    def at(self, vaddr: int, size: int) -> memoryview:
        """`size` bytes at an address of this process. Raises BadArgument when they are not in the arena."""
        start = vaddr - self.vaddr
        if start < 0 or start + size > len(self.view):
            end = self.vaddr + len(self.view)
            raise BadArgument(f"{vaddr:#x}+{size} is outside the arena {self.vaddr:#x}-{end:#x}")
        return self.view[start : start + size]


def parse(status: str) -> tuple[int, int, int] | None:
    """Address here, address for devices and size, from the `arena:` line of /proc/N/status; or None."""
    if (found := _LINE.search(status)) is None:
        return None
    vaddr, bus, size = found.groups()
    return int(vaddr, 16), int(bus, 16), int(size, 0)


def map_fixed(fd: int, vaddr: int, bus: int, size: int) -> Arena:
    """Map the arena's file at `vaddr`. Raises NoMemory, with the reason, when it cannot be there."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    flags = mmap.MAP_SHARED | MAP_FIXED_NOREPLACE
    got = libc.mmap(vaddr, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0)
    if got != vaddr:  # an old kernel takes the address for a hint and maps elsewhere
        number = ctypes.get_errno() or errno.EEXIST
        raise NoMemory(f"the arena cannot be mapped at {vaddr:#x}+{size:#x}: {os.strerror(number)}")
    buffer = (ctypes.c_ubyte * size).from_address(vaddr)
    return Arena(memoryview(buffer).cast("B"), vaddr, bus)
