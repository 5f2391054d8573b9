"""/dev/dma: pieces of the process's arena, allocated by writing and told by reading."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import ControlError
from ...tree import Dir, File, entries, rpc, text, verb
from ...wire.numeral import numeral
from ..hardware import Hardware
from ..hardware.dma import PAGE
from ..process import Cap, Process
from .irq import number


class DmaDir(Dir):
    """DMA buffers."""

    def __init__(self, hardware: Hardware, process: Process) -> None:
        self.hardware, self.process, self.dma = hardware, process, hardware.dma

    @text(0o664)
    def ctl(self) -> str:
        """How much is allocated, by all and by this process; takes `free`."""
        buffers, mine = self.dma.buffers.values(), self.dma.of(self.process)
        return (
            f"allocations: {len(buffers)}\n"
            f"total bytes: {sum(b.size for b in buffers)}\n"
            f"process allocations: {len(mine)}\n"
            f"process bytes: {self.dma.bytes_of(self.process)}\n"
        )

    @verb(1)
    def free(self, handle: str) -> None:
        """Give a buffer back."""
        self.dma.free(self.process, number(handle, "handle"))

    @rpc(0o600)
    def alloc(self, request: str) -> str:
        """Write `size N [align N]`; read `vaddr:0x… paddr:0x… size:N handle:N`."""
        match request.split():
            case ["size", size]:
                align = str(PAGE)
            case ["size", size, "align", align]:
                pass
            case _:
                raise ControlError(f"dma: {request.strip()!r}; usage: size N [align N]")
        return self.dma.alloc(self.process, number(size, "size"), number(align, "align")).line

    def check(self, name: str, perm: int, mode: int) -> None:
        """As every file; `alloc` is only for those who may allocate."""
        super().check(name, perm, mode)
        if name == "alloc":
            self.hardware.context.need(self.process, Cap.DMA, "dma open", "dma alloc")

    @entries
    def buffers(self) -> Mapping[str, File]:
        """The bytes of a buffer of this process, for whoever cannot map it."""
        return {str(b.handle): self._file(b.handle, b.size) for b in self.dma.of(self.process)}

    def child(self, name: str) -> File | None:
        """A buffer of this process."""
        buffer = self.dma.buffers.get(numeral(name))
        if buffer is None or buffer.owner is not self.process:
            return None
        return self._file(buffer.handle, buffer.size)

    def _file(self, handle: int, size: int) -> File:
        return File(0o600, lambda mode: self.dma.open(self.process, handle), lambda: size)
