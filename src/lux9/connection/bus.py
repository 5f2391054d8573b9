"""/dev/pci/bus, read back: the functions of a machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..arch.pci import class_name
from ..errors import ProtocolError

BUS = "/dev/pci/bus"
FUNCTION = re.compile(
    r"(\S+) vendor=0x(\w{4}) device=0x(\w{4}) class=(\w\w)\.(\w\w)\.(\w\w) irq=(-?\d+)$"
)
BAR = re.compile(r"  bar(\d): addr=0x(\w+) size=0x(\w+)$")


@dataclass
class Listed:
    """A function, as /dev/pci/bus has it; owner and capabilities are asked for only where they are shown."""

    address: str
    vendor: str
    device: str
    code: str
    name: str
    irq: int
    bars: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    owner: str | None = None
    capabilities: list[str] = field(default_factory=list[str])

    @property
    def card(self) -> tuple[int, int]:
        """Vendor and device, as numbers."""
        return int(self.vendor, 16), int(self.device, 16)


def parse(text: str) -> list[Listed]:
    """The functions in /dev/pci/bus. Raises ProtocolError when it is something else."""
    found: list[Listed] = []
    for line in text.splitlines():
        if match := FUNCTION.match(line):
            address, vendor, device, *code, irq = match.groups()
            name = class_name(int("".join(code), 16))
            found.append(Listed(address, vendor, device, "".join(code), name, int(irq)))
        elif (match := BAR.match(line)) and found:
            n, at, size = match.groups()
            found[-1].bars.append({"bar": int(n), "address": int(at, 16), "size": int(size, 16)})
        else:
            raise ProtocolError(f"{BUS} has a line {line!r}")
    return found
