"""The functions of a machine, read back from /dev/pci: from its `bus`, or from those that one may see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..arch.pci import class_name
from ..errors import ProtocolError

PCI = "/dev/pci"
BUS = f"{PCI}/bus"
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


def functions(read: Callable[[str], bytes], names: Callable[[str], Iterable[str]]) -> list[Listed]:
    """The functions that a client sees, by its way to read a file and to list a directory.

    Who has a few of them only has no `bus`, but their directories. Raises ProtocolError, and what the two raise.
    """
    there = sorted(names(PCI))
    if "bus" in there:
        return parse(read(BUS).decode())
    return [_one(name, read(f"{PCI}/{name}/ctl").decode()) for name in there]


def _one(address: str, text: str) -> Listed:
    """A function by its ctl."""
    facts = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    try:
        vendor, device, code = (facts[key] for key in ("vendor", "device", "class"))
        digits = code.replace(".", "")
        name = class_name(int(digits, 16))
        found = Listed(address, vendor[2:], device[2:], digits, name, int(facts["irq"]))
        for key, value in facts.items():
            if key.startswith("bar"):
                at, size = value.split()
                bar = {"bar": int(key[3:]), "address": int(at, 16), "size": int(size)}
                found.bars.append(bar)
    except (KeyError, ValueError):
        raise ProtocolError(f"{PCI}/{address}/ctl is not one of a function: {text!r}") from None
    return found


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
