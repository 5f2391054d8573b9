"""A PCI function as the kernel knows it: its identity, its BARs, where its interrupts arrive, whose it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ...arch.pci import (
    CONFIG_SIZE,
    NO_FUNCTION,
    CapId,
    Command,
    Found,
    Msix,
    extended_capabilities,
)
from ...machine.abstract import Machine
from ...machine.functions import Config, FunctionInfo
from ..process import Process


class Guard(NamedTuple):
    """Bytes of a BAR that the kernel writes and a driver only reads."""

    bar: int
    start: int
    end: int
    what: str


@dataclass(eq=False)
class Function:
    """What a scan found, and what the kernel adds. Only `claim` changes."""

    info: FunctionInfo
    window: Config  # its configuration space
    size: int  # of configuration space: 256 or 4096
    lines: frozenset[int]  # every line that its INTx pin arrives at
    extended: tuple[Found, ...] = ()  # the capabilities from 0x100 on
    claim: Claim | None = None

    def __post_init__(self) -> None:
        self.bdf, self.name = self.info.bdf, self.info.name
        self.bars = {bar.index: bar for bar in self.info.bars}
        self.capabilities = self.info.capabilities

    @property
    def bridge(self) -> bool:
        """Base class 06: what others hang on. The kernel keeps it."""
        return self.info.code >> 16 == 0x06

    @property
    def present(self) -> bool:
        """Whether anything answers."""
        return self.window.read(0, 2) != NO_FUNCTION

    def find(self, id: CapId) -> Found | None:
        """The first capability with an id."""
        return next((c for c in self.capabilities if c.id == id), None)

    def guards(self) -> list[Guard]:
        """Where MSI-X keeps its table and its pending bits. PCI 3.0 §6.8.2"""
        found = self.find(CapId.MSI_X)
        if found is None:
            return []
        block = Msix(self.window, found.offset)
        count = block.control.read().last + 1
        table, pba = block.table.read(), block.pba.read()
        return [
            Guard(table.bir, table.at, table.at + 16 * count, "the MSI-X table"),
            Guard(pba.bir, pba.at, pba.at + 8 * -(-count // 64), "the MSI-X pending bits"),
        ]


def function(machine: Machine, info: FunctionInfo, lines: frozenset[int]) -> Function:
    """The kernel's view of what a scan described."""
    window, size = Config(machine, info.bdf), machine.config_size(info.bdf)
    extended = tuple(extended_capabilities(window)) if size > CONFIG_SIZE else ()
    return Function(info, window, size, lines, extended)


@dataclass(eq=False)
class Claim:
    """A function in the hands of a process. `alive` falls for good when it ends: what was opened under it is stale."""

    function: Function
    owner: Process
    since: float  # seconds since 1970
    generation: int
    before: Command  # the command register as it was
    explicit: bool = True  # else it ends with the last open BAR file
    opens: int = 0  # BAR files that are open
    alive: bool = True
    touched: bool = False  # a register was read or written since the last interrupt
    mastered: bool = False  # bus master was on at some time
    pins_off: bool = False  # the kernel disabled the INTx pin
    messages: list[int] = field(default_factory=list[int])
    sizing: set[int] = field(default_factory=set[int])  # BAR registers that read as their size now
