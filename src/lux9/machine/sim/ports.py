"""The ports that belong to the board: the configuration mechanism and the trigger modes of the ISA lines."""

from __future__ import annotations

from collections.abc import Callable

from ...arch import ich9
from .lines import Lines

ONES = 0xFFFF_FFFF


class BoardPorts:
    """CONFIG_ADDRESS and CONFIG_DATA (PCI 3.0 §3.2.2.3.2), ELCR1 and ELCR2."""

    def __init__(
        self,
        lines: Lines,
        config_read: Callable[[int, int, int], int],
        config_write: Callable[[int, int, int, int], None],
    ) -> None:
        self.lines = lines
        self.config_read, self.config_write = config_read, config_write
        self.address = ich9.ConfigAddress.of(0)

    def _config(self, port: int, width: int) -> tuple[int, int] | None:
        """The function and offset that an access of the data port reaches."""
        inside = port - ich9.CONFIG_DATA
        if inside >= 0 and inside + width <= 4 and self.address.enable:
            return self.address.bdf, self.address.reg << 2 | inside
        return None

    def read(self, port: int, width: int) -> int:
        """All ones where nothing is."""
        if (place := self._config(port, width)) is not None:
            return self.config_read(*place, width)
        if port == ich9.CONFIG_ADDRESS and width == 4:
            return self.address.raw
        if port in (ich9.ELCR1, ich9.ELCR2) and width == 1:
            return self.lines.elcr >> 8 * (port - ich9.ELCR1) & 0xFF
        return ONES >> 32 - 8 * width

    def write(self, port: int, width: int, value: int) -> None:
        """Lost where nothing is."""
        if (place := self._config(port, width)) is not None:
            self.config_write(*place, width, value)
        elif port == ich9.CONFIG_ADDRESS and width == 4:
            self.address = ich9.ConfigAddress.of(value & 0x80FF_FFFC)
        elif port == ich9.ELCR1 and width == 1:
            self.lines.elcr = self.lines.elcr & 0xFF00 | value & 0xF8
        elif port == ich9.ELCR2 and width == 1:
            self.lines.elcr = self.lines.elcr & 0x00FF | (value & 0xDE) << 8
