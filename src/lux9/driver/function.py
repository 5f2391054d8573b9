"""What a driver sees of its function: windows, memory that the device reaches, interrupts.

These are protocols. `files.py` has them over the kernel's files; a test may have them over a model. A driver
knows nothing else of where it runs, but for one thing: whether its function is `far`.

Far. On another host than its function's, a driver shares no memory with the device, and each look at a register
is a round trip through a network. `view` then is a copy, and says so by two calls, as Linux's DMA API has them
(Documentation/core-api/dma-api.rst, dma_sync_single_for_device and _for_cpu): what was written into it is
given to the device by `for_device`, what the device wrote comes by `for_cpu`. With shared memory both do
nothing. Everything goes through one connection in order: memory that was given away before a doorbell is
there when that rings, and memory that is asked for behind a register is no older than it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from ..pending import Maybe
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

    def ask(self, offset: int, count: int) -> Maybe[bytes]:
        """As `read_bytes`; far away the answer comes later, and several may be on their way."""
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

    def for_device(self, offset: int, size: int) -> None:
        """What was written there is the device's from here on. Posted, as register writes are."""
        ...

    def for_cpu(self, offset: int, size: int) -> Maybe[None]:
        """What the device wrote there is in `view`, now or later."""
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
    def far(self) -> bool:
        """Whether no memory is shared, and a read is a round trip through a network."""
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
