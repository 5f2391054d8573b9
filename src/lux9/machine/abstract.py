"""The machine, as the kernel sees it. Three packages have one: `sim`, `qemu` and `vfio`.

Register access is synchronous: it is short. Interrupts arrive as callbacks, on the event loop. Nothing here
decides who may do what: that is the kernel's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

Bdf = int  # bus << 8 | device << 3 | function, as PCI Express requester IDs are (PCIe 5.0 §2.2.6.2)
Sink = Callable[[int, bool], None]  # (line or vector number, asserted)
PLUGGED, PULLED = "plugged in", "pulled out"
Report = Callable[[str, str], None]  # (what it is about, text): for the audit and the kernel's log


class Arena(Protocol):
    """Memory that devices can reach. The file can be mapped by one process and handed to nobody else."""

    @property
    def fd(self) -> int:
        """A memfd of `size` bytes."""
        ...

    @property
    def bus(self) -> int:
        """The address that a device uses for offset 0."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def view(self) -> memoryview:
        """All of it, in this process, writable."""
        ...

    def close(self) -> None:
        """Give it back: no function can reach it any more."""
        ...


class Message(NamedTuple):
    """What a function writes to raise an interrupt by message (MSI, MSI-X)."""

    number: int  # what the sink will be called with; 32 and up
    address: int
    data: int


class Lack(NamedTuple):
    """One thing that this host does not have, and the command that mends it."""

    what: str
    remedy: str


@runtime_checkable
class Workbench(Protocol):
    """A machine whose hardware a command changes while it runs, as a hand changes what is real.

    Each is told by `report` as if it had happened by itself. All raise UserError or BadArgument with the remedy.
    """

    async def insert(self, card: str) -> Bdf:
        """Plug a card in, in the words of `lux9 boot --device`; where it is."""
        ...

    async def pull(self, bdf: Bdf) -> None:
        """Pull a card out, whatever it is doing. Raises NotFound."""
        ...

    async def spoil(self, rule: str) -> None:
        """One more fault from now on, in the words of `lux9 boot --fault`; `none` takes them away."""
        ...


@runtime_checkable
class Machine(Protocol):
    """PCI hardware: configuration space, memory, ports, arenas, interrupts.

    Widths are in bytes. One call is one access of that width, never split or merged; a read that nothing
    answers gives all ones, a write that nothing answers is lost, as on PCI.
    """

    name: str

    def why_not(self) -> list[Lack]:
        """What this host lacks for this machine; empty when it can start."""
        ...

    async def start(self, sink: Sink, report: Report) -> None:
        """Bring it up. From here `sink(n, asserted)` tells line changes and `sink(n, True)` messages.

        What firmware does is done when this returns: buses numbered, BARs placed, interrupts routed and
        told in the line registers, command registers of functions off. `report(name, PLUGGED)` and
        `report(name, PULLED)` tell that a function came, placed already, or went.
        """
        ...

    async def close(self) -> None:
        """Stop it and leave nothing behind."""
        ...

    def pump(self) -> None:
        """Do the work that is due, for a caller that waits without the event loop (in-process drivers)."""
        ...

    def config_read(self, bdf: Bdf, offset: int, width: int) -> int:
        """Configuration space, 1, 2 or 4 bytes at an aligned offset below `config_size(bdf)`."""
        ...

    def config_write(self, bdf: Bdf, offset: int, width: int, value: int) -> None:
        """As `config_read`."""
        ...

    def config_size(self, bdf: Bdf) -> int:
        """4096 where the function has extended configuration space, else 256."""
        ...

    def mem_read(self, address: int, width: int) -> int:
        """Physical memory space, 1, 2, 4 or 8 bytes."""
        ...

    def mem_write(self, address: int, width: int, value: int) -> None:
        """As `mem_read`."""
        ...

    def io_read(self, port: int, width: int) -> int:
        """Port space, 1, 2 or 4 bytes."""
        ...

    def io_write(self, port: int, width: int, value: int) -> None:
        """As `io_read`."""
        ...

    def arena(self, size: int) -> Arena:
        """A new arena of `size` bytes, zeroed. Raises NoMemory when the machine has no more."""
        ...

    def attach(self, bdf: Bdf, arena: Arena) -> None:
        """Let a function reach an arena, where the machine can tell functions apart (`protects`)."""
        ...

    def detach(self, bdf: Bdf) -> None:
        """Let a function reach no arena."""
        ...

    @property
    def protects(self) -> bool:
        """Whether a function's DMA outside its arenas is stopped (an IOMMU, or a model of one)."""
        ...

    def mask(self, line: int) -> None:
        """Keep a line (0 to 23) from reaching the sink."""
        ...

    def unmask(self, line: int) -> None:
        """Let it through; a level line that is still asserted reaches the sink again at once."""
        ...

    def messages(self, bdf: Bdf, count: int) -> list[Message]:
        """Vectors for a function: consecutive numbers, the first a multiple of the count's power of two."""
        ...

    def free_messages(self, bdf: Bdf) -> None:
        """Give back all the vectors of a function; later writes to their addresses are ignored."""
        ...

    def reset(self, bdf: Bdf) -> str:
        """Reset a function, its BARs and command register kept. Gives the method used, in words.

        Raises DeviceError when no method works.
        """
        ...
