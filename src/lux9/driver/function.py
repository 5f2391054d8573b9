"""What a driver sees of its function: windows, memory that the device reaches, interrupts.

These are protocols. `files.py` has them over the kernel's files; a test may have them over a model. A driver
knows nothing else of where it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from ..regs import Window

Kind = Literal["intx", "msi", "msix"]


class Bar(Window, Protocol):
    """A base address register's range. Writes are posted; a read is ordered behind the writes before it."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def read_bytes(self, offset: int, count: int) -> bytes:
        """`count` bytes as a run of 4-byte accesses, ascending; both aligned to 4. One round trip."""
        ...

    def post(self) -> None:
        """Send the writes that were posted, now."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait a little between two reads of a register that is waited for."""
        ...


class Dma(Protocol):
    """Memory that the device reaches: contiguous, zeroed when it was made."""

    @property
    def view(self) -> memoryview:
        """All of it, writable, bytes."""
        ...

    @property
    def bus(self) -> int:
        """The address that the device uses for its first byte."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def free(self) -> None:
        """Give it back. The device must have let go of it."""
        ...


class Irq(Protocol):
    """Interrupts that arrive at a handler."""

    @property
    def kind(self) -> Kind:
        """How they come: the function's pin, or messages."""
        ...

    def close(self) -> None:
        """No more of them."""
        ...


class Function(Protocol):
    """One PCI function, claimed."""

    @property
    def bdf(self) -> str:
        """`0000:00:1f.2`."""
        ...

    @property
    def config(self) -> Window:
        """Configuration space."""
        ...

    def bar(self, n: int) -> Bar:
        """Base address register `n`. Raises NotFound when the function has none there."""
        ...

    def dma(self, size: int, align: int = 4096) -> Dma:
        """`size` bytes at a multiple of `align`. Raises NoMemory or LimitReached."""
        ...

    def interrupt(self, handler: Callable[[], None], prefer: Kind = "intx") -> Irq:
        """Call `handler` at each interrupt; when it returns, the interrupt is acknowledged.

        The handler must have quieted the device, or a level line fires again. `prefer` is tried first; a
        function that cannot do it has its pin.
        """
        ...

    def master(self, on: bool) -> None:
        """Let the function reach memory, or not."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass for the device; for waits outside the event loop."""
        ...
