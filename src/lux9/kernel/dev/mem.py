"""/dev/mem and /dev/io: memory and port space, as far as the opener has claimed it."""

from __future__ import annotations

from ...tree import Dir, Raw, raw
from ..hardware import Hardware
from ..process import Process


class MemDir(Dir):
    """Memory and ports. Nothing outside the BARs of claimed functions: no RAM, no interrupt controller."""

    def __init__(self, hardware: Hardware, process: Process) -> None:
        self.hardware, self.process = hardware, process

    @raw(0o660)
    def mem(self) -> Raw:
        """Memory space: offset is the physical address, count the access width (1, 2, 4, 8)."""
        return self.hardware.open_space(self.process, io=False)

    @raw(0o660)
    def io(self) -> Raw:
        """Port space: offset is the port, count the access width (1, 2, 4)."""
        return self.hardware.open_space(self.process, io=True)
