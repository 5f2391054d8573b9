"""Configuration space: by the two ports on any PC, and by memory (ECAM) where the chipset has PCIEXBAR.

The host bridge of a q35 is a Memory Controller Hub: PCIEXBAR at 0x60 says where 256 buses of 1 MiB are. One
function is ours alone, the doorbell, and answers nobody.
"""

from __future__ import annotations

from ...arch import ich9, q35
from ...arch.pci import Header
from ..abstract import Bdf
from .doorbell import BDF as HIDDEN
from .qtest import Qtest

ECAM = 0xB000_0000  # 256 MiB of it, below what firmware places; clear of RAM, which ends at 2 GiB
SMALL, WHOLE = 256, 4096
ONES = 0xFFFF_FFFF
READ = {1: b"readb", 2: b"readw", 4: b"readl"}
WRITE = {1: b"writeb", 2: b"writew", 4: b"writel"}
IN = {1: b"inb", 2: b"inw", 4: b"inl"}
OUT = {1: b"outb", 2: b"outw", 4: b"outl"}


class ConfigSpace:
    """Reads and writes; `extended` says whether there is more than 256 bytes of any function."""

    def __init__(self, qtest: Qtest) -> None:
        self.qtest = qtest
        self.extended = False
        host = self._read_port(0, 0, 4)
        if (host & 0xFFFF, host >> 16) == ich9.HOST_BRIDGE:
            self._map()

    def _map(self) -> None:
        high, low = q35.HostBridge.pciex_high.offset, q35.HostBridge.pciex_low.offset
        value = q35.PciexLow(addr=ECAM >> 26, length=q35.PciexLength.BUSES_256, enable=True)
        self._write_port(0, high, 4, 0)
        self._write_port(0, low, 4, value.raw)
        self.extended = True

    def read(self, bdf: Bdf, offset: int, width: int) -> int:
        """One access; all ones where nobody is."""
        if bdf == HIDDEN:
            return ONES >> 32 - 8 * width
        if self.extended:
            return int(self.qtest.ask(b"%s 0x%x" % (READ[width], ECAM + (bdf << 12) + offset)), 16)
        if offset >= SMALL:
            return ONES >> 32 - 8 * width
        return self._read_port(bdf, offset, width)

    def write(self, bdf: Bdf, offset: int, width: int, value: int) -> None:
        """One access; lost where nobody is."""
        if bdf == HIDDEN:
            return
        if self.extended:
            at = ECAM + (bdf << 12) + offset
            self.qtest.post(b"%s 0x%x 0x%x" % (WRITE[width], at, value))
        elif offset < SMALL:
            self._write_port(bdf, offset, width, value)

    def size(self, bdf: Bdf) -> int:
        """4096 where the function has that much: what is not there reads as all ones."""
        if not self.extended or self.read(bdf, Header.vendor.offset, 2) == 0xFFFF:
            return SMALL
        return SMALL if self.read(bdf, SMALL, 4) == ONES else WHOLE

    # The ports: PCI 3.0 §3.2.2.3.2

    def _select(self, bdf: Bdf, offset: int) -> int:
        address = ich9.ConfigAddress(enable=True, bdf=bdf, reg=offset >> 2)
        self.qtest.post(b"outl 0x%x 0x%x" % (ich9.CONFIG_ADDRESS, address.raw))
        return ich9.CONFIG_DATA + (offset & 3)

    def _read_port(self, bdf: Bdf, offset: int, width: int) -> int:
        port = self._select(bdf, offset)
        return int(self.qtest.ask(b"%s 0x%x" % (IN[width], port)), 16)

    def _write_port(self, bdf: Bdf, offset: int, width: int, value: int) -> None:
        port = self._select(bdf, offset)
        self.qtest.post(b"%s 0x%x 0x%x" % (OUT[width], port, value))

    def hidden_write(self, offset: int, width: int, value: int) -> None:
        """To the doorbell's own configuration space."""
        self._write_port(HIDDEN, offset, width, value)
