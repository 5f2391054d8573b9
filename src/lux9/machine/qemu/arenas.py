"""Guest memory, cut into memfds: a NUMA node each, one after another from address 0, and each an arena.

The first is the board's own and nobody's arena: low memory has holes. QEMU's memory is what it was started with,
so arenas are given from a stock, the one that was given back longest ago first: memory that a process had is
seldom another's soon, and never before it was emptied.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from collections.abc import Sequence

from ...errors import NoMemory, UserError

PIECE = (
    32 << 20
)  # what a process gets unless it asks for more; no buffer is aligned to more than 16 MiB
LEAST, MOST = 4 * PIECE, 64 << 30
LOW = 2 << 30  # bytes below 4 GiB; the rest goes on from there
HIGH = 4 << 30
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
PIECES = 64  # of 32 MiB, at most; QEMU has 128 nodes


def sizes(memory: int) -> list[int]:
    """The sizes of the nodes: the board's, then half in pieces, then a few large ones, each a power of two."""
    if memory % PIECE or not LEAST <= memory <= MOST:
        raise UserError(
            f"{memory >> 20} MiB of memory: a multiple of 32 MiB from 128 MiB to 64 GiB"
        )
    small = min(max(memory // 2 // PIECE, 3), PIECES)
    out = [PIECE] * small
    rest = memory - small * PIECE
    while rest:
        at = sum(out)
        size = min(
            1 << rest.bit_length() - 1, at & -at
        )  # a multiple of its own size: none spans 2 GiB
        out.append(size)
        rest -= size
    return out


class Node:
    """One memfd, mapped here, and where the guest has it."""

    def __init__(self, bus: int, size: int) -> None:
        self.bus, self.size = bus, size
        self.fd = os.memfd_create(f"qemu-{bus:x}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEALS)
        self._map = mmap.mmap(self.fd, size)
        self.memory = memoryview(self._map)

    def empty(self) -> None:
        """Give the pages back: all zeros from here."""
        self._map.madvise(mmap.MADV_REMOVE)

    def close(self) -> None:
        """Views that are still held keep their memory."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            with contextlib.suppress(BufferError):
                self.memory.release()
                self._map.close()


class QemuArena:
    """A node, given to somebody."""

    def __init__(self, node: Node, size: int, stock: Arenas) -> None:
        self.node, self.size, self.bus, self._stock = node, size, node.bus, stock
        self.open = True

    @property
    def fd(self) -> int:
        """The node's memfd; it may be larger than the arena."""
        return self.node.fd

    def view(self) -> memoryview:
        """All of it, writable."""
        return self.node.memory[: self.size]

    def close(self) -> None:
        """Give it back, emptied."""
        if self.open:
            self.open = False
            self._stock.back(self.node)


class Arenas:
    """The nodes of a machine with so many bytes of memory."""

    def __init__(self, memory: int) -> None:
        self.nodes: list[Node] = []
        at = 0
        for size in sizes(memory):
            self.nodes.append(Node(at if at < LOW else at - LOW + HIGH, size))
            at += size
        self.free = self.nodes[1:]

    @property
    def largest(self) -> int:
        """Bytes of the largest arena that could be had."""
        return max((node.size for node in self.free), default=0)

    def make(self, size: int) -> QemuArena:
        """The smallest that will do, among equals the one longest unused. Raises NoMemory."""
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        fit = [node for node in self.free if node.size >= size > 0]
        if not fit:
            raise NoMemory(
                f"an arena of {size >> 20} MiB: the largest that is free has {self.largest >> 20} MiB; "
                "boot with more --memory"
            )
        node = min(fit, key=lambda n: n.size)
        self.free.remove(node)
        return QemuArena(node, size, self)

    def back(self, node: Node) -> None:
        """Take one back."""
        if node.fd >= 0:
            node.empty()
            self.free.append(node)

    def close(self) -> None:
        """Close all."""
        for node in self.nodes:
            node.close()
        self.free.clear()


def options(nodes: Sequence[Node]) -> list[str]:
    """QEMU's options for these nodes; it inherits their descriptors."""
    out = ["-m", f"{sum(node.size for node in nodes) >> 20}M"]
    for n, node in enumerate(nodes):
        out += [
            "-object",
            f"memory-backend-file,id=m{n},mem-path=/dev/fd/{node.fd},size={node.size},share=on",
            "-numa",
            f"node,nodeid={n},memdev=m{n}",
        ]
    return out
