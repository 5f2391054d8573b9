"""What a model may ask of its machine, and what that can answer."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from ..errors import DeviceError

if TYPE_CHECKING:
    from .pci import PciFunction


class DmaFault(DeviceError):
    """A transfer that did not happen: bus master is off, or the address is not the function's to reach."""


class Fault(Enum):
    """What a plan of faults can do to a function (`Host.fault`)."""

    SLOW = "slow"  # a state that software waits for comes late (ready, running, reset done)
    ONES = "ones"  # a read is answered by nobody
    LOST = "lost"  # an interrupt never arrives
    LATE = "late"  # the work, and the DMA in it, is done late
    GONE = "gone"  # the function is pulled out
    MEDIA = "media"  # the medium gives an error at an address


class Host(Protocol):
    """What a model may use of its machine."""

    def dma(self, fn: PciFunction, address: int, size: int) -> list[memoryview]:
        """Writable views, in order, of the arenas that cover the range.

        Raises DmaFault, already reported, when bus master is off or the function may not reach all of it.
        """
        ...

    def interrupt(self, fn: PciFunction, asserted: bool) -> None:
        """The level of the function's INTx pin."""
        ...

    def message(self, fn: PciFunction, address: int, data: int) -> None:
        """A memory write of 4 bytes that is an interrupt message."""
        ...

    def defer(self, work: Callable[[], None], after: float = 0.0) -> None:
        """Call `work` when the access in hand has been answered, `after` seconds later at the soonest."""
        ...

    def remap(self) -> None:
        """What some function decodes has changed."""
        ...

    def fault(self, fn: PciFunction, kind: Fault, where: range = range(0)) -> float | None:
        """Whether a fault of this kind is due now: None, or its number.

        That is its seconds where time means something, of MEDIA the first bad unit, else 0. `where` is what the work
        touches, in the model's unit (sectors for a disk's MEDIA).
        """
        ...

    def report(self, fn: PciFunction, text: str) -> None:
        """Tell whoever runs the machine: something that software should not have done, or that went wrong."""
        ...


class Unplugged:
    """The host of a function that is in no machine: nothing reaches it, and it reaches nothing."""

    def dma(self, fn: PciFunction, address: int, size: int) -> list[memoryview]:
        """Always a fault."""
        raise DmaFault(f"{fn.name} is not plugged in: {size} bytes at {address:#x} went nowhere")

    def interrupt(self, fn: PciFunction, asserted: bool) -> None:
        """Lost."""

    def message(self, fn: PciFunction, address: int, data: int) -> None:
        """Lost."""

    def defer(self, work: Callable[[], None], after: float = 0.0) -> None:
        """Lost."""

    def remap(self) -> None:
        """Nobody decodes anything."""

    def fault(self, fn: PciFunction, kind: Fault, where: range = range(0)) -> float | None:
        """None is planned."""
        return None

    def report(self, fn: PciFunction, text: str) -> None:
        """Lost."""
