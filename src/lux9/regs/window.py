"""Where words are, and what a declaration allows to be done to one.

A window is a BAR, a configuration space or a stretch of memory. An accessor (`RO`, `RW`, …) is a register in a
window: it has only the calls that its kind of register takes, so that a type checker refuses the rest.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

from ..errors import DeviceGone, DeviceTimeout
from .value import Register

R = TypeVar("R", bound=Register)
POLL = 50e-6  # seconds between two reads of a register that is waited for

_new = object.__new__
# Native order, where it is little endian, copies a word whole: a device or another process never shows half of it.
_ORDER = "@" if sys.byteorder == "little" else "<"
_GET = {
    n: struct.Struct(_ORDER + c).unpack_from for n, c in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))
}
_PUT = {n: struct.Struct(_ORDER + c).pack_into for n, c in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))}


class Window(Protocol):
    """Words of 1, 2, 4 or 8 bytes at byte offsets, little endian; one call is one access of that width."""

    def read(self, offset: int, width: int) -> int:
        """The word at a byte offset; `width` in bytes."""
        ...

    def write(self, offset: int, width: int, value: int) -> None:
        """Set the word at a byte offset; `width` in bytes."""
        ...


class Memory:
    """A window over bytes: structures in DMA memory, a configuration space that was read whole."""

    __slots__ = ("view",)

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.view = memoryview(data)

    def read(self, offset: int, width: int) -> int:
        """The word at a byte offset."""
        return cast("int", _GET[width](self.view, offset)[0])

    def write(self, offset: int, width: int, value: int) -> None:
        """Set the word at a byte offset."""
        _PUT[width](self.view, offset, value)

    def read_bytes(self, offset: int, count: int) -> bytes:
        """Octets as they lie."""
        return bytes(self.view[offset : offset + count])

    def write_bytes(self, offset: int, data: bytes) -> None:
        """Set octets as they lie."""
        self.view[offset : offset + len(data)] = data


class Reg(Generic[R]):
    """A register in a window: what its declaration allows can be done to it."""

    __slots__ = ("kind", "name", "offset", "size", "window")
    access: ClassVar[str] = ""

    def __init__(self, window: Window, offset: int, kind: type[R], name: str = "") -> None:
        self.window, self.offset, self.kind, self.name = window, offset, kind, name
        self.size = kind.size


class RO(Reg[R]):
    """Read only."""

    __slots__ = ()
    access = "ro"

    def read(self) -> R:
        """One access; the value."""
        got = _new(self.kind)  # `kind.of`, without the call
        got.raw = self.window.read(self.offset, self.size)
        return got

    def wait(self, until: Callable[[R], object], timeout: float) -> R:
        """Read until the value will do, and give it; `timeout` in seconds, from the specification.

        Raises DeviceTimeout with the last value, decoded; DeviceGone when nothing answers the reads.
        """
        end = time.monotonic() + timeout
        pause: Callable[[float], None] = getattr(self.window, "pause", time.sleep)
        while not until(got := self.read()):
            late = time.monotonic() > end
            if got.gone or (late and got.all_ones):
                raise DeviceGone(f"{self.name} reads all ones: the function was removed")
            if late:
                raise DeviceTimeout(f"{self.name} is still {got!r} after {timeout:g} s")
            pause(POLL)
        return got


class WO(Reg[R]):
    """Write only."""

    __slots__ = ()
    access = "wo"

    def write(self, value: R) -> None:
        """One access."""
        self.window.write(self.offset, self.size, value.raw)


class RW(RO[R]):
    """Read and write."""

    __slots__ = ()
    access = "rw"

    def write(self, value: R) -> None:
        """One access."""
        self.window.write(self.offset, self.size, value.raw)

    def update(self, **values: int) -> None:
        """Read, change the named fields, write; events that are not named stay pending."""
        kind = self.kind
        kept = self.window.read(self.offset, self.size) & ~kind.events
        self.write(kind.of(kept).replace(**values))


class W1C(RO[R]):
    """Read; writing one clears."""

    __slots__ = ()
    access = "w1c"

    def clear(self, value: R) -> None:
        """Clear the bits that are set in `value`."""
        self.window.write(self.offset, self.size, value.raw)


class W1S(RO[R]):
    """Read; writing one sets, writing zero changes nothing: the device clears (PxCI, PxSACT)."""

    __slots__ = ()
    access = "w1s"

    def set(self, value: R) -> None:
        """Set the bits that are set in `value`."""
        self.window.write(self.offset, self.size, value.raw)


class Octets:
    """A run of octets in a window: text, a FIS, parameter data.

    A window that has `read_bytes` and `write_bytes` gives and takes them at once, any other one by one.
    """

    __slots__ = ("length", "name", "offset", "window")

    def __init__(self, window: Window, offset: int, length: int, name: str = "") -> None:
        self.window, self.offset, self.length, self.name = window, offset, length, name

    def read(self) -> bytes:
        """All of them, in order of offset."""
        whole: Any = getattr(self.window, "read_bytes", None)
        if whole is not None:
            return cast("bytes", whole(self.offset, self.length))
        return bytes(self.window.read(self.offset + i, 1) for i in range(self.length))

    def write(self, data: bytes) -> None:
        """Set the first `len(data)` of them; the rest stays. Raises ValueError when it is too long."""
        if len(data) > self.length:
            raise ValueError(f"{self.name}: {len(data)} bytes do not fit {self.length}")
        whole: Any = getattr(self.window, "write_bytes", None)
        if whole is not None:
            whole(self.offset, data)
            return
        for i, octet in enumerate(data):
            self.window.write(self.offset + i, 1, octet)
