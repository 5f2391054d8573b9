"""Registers: named bits of a word, words at offsets of a window, banks of words.

The language that `arch/` is written in. One declaration serves the driver (typed access), the device model
(the same offsets and fields), a decoded dump, a trace by name and the manual's table. Values are immutable;
reading and writing are calls, so that every access to hardware shows in the code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import (
    Any,
    ClassVar,
    Generic,
    NamedTuple,
    Protocol,
    TypeVar,
    cast,
    dataclass_transform,
    overload,
)

from typing_extensions import Self

from .errors import DeviceTimeout


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

    def __init__(self, data: bytearray | memoryview) -> None:
        self.view = memoryview(data)

    def read(self, offset: int, width: int) -> int:
        """The word at a byte offset."""
        return int.from_bytes(self.view[offset : offset + width], "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """Set the word at a byte offset."""
        self.view[offset : offset + width] = value.to_bytes(width, "little")


class Field:
    """Bits `hi` to `lo` of a register, both included."""

    __slots__ = ("hi", "kind", "lo", "mask", "name", "w1c")

    def __init__(self, hi: int, lo: int, kind: type[int], w1c: bool = False) -> None:
        self.hi, self.lo, self.kind, self.w1c = hi, lo, kind, w1c
        self.mask = (1 << (hi - lo + 1)) - 1
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def span(self) -> int:
        """The field's bits in place."""
        return self.mask << self.lo

    def __get__(self, reg: Register | None, owner: type) -> Any:
        if reg is None:
            return self
        value = (reg.raw >> self.lo) & self.mask
        if self.kind is int:
            return value
        try:
            return self.kind(value)
        except ValueError:  # a value that the specification reserves: show it, do not die of it
            return value

    def __set__(self, reg: Register, value: int) -> None:
        raise AttributeError(f"{type(reg).__name__} is a value; use .replace({self.name}=...)")


E_ = TypeVar("E_", bound=IntEnum)


def bit(n: int, *, w1c: bool = False) -> bool:
    """One bit; `w1c`: writing one clears it."""
    return cast("bool", Field(n, n, bool, w1c))


@overload
def bits(hi: int, lo: int) -> int: ...
@overload
def bits(hi: int, lo: int, kind: type[E_]) -> E_: ...
def bits(hi: int, lo: int, kind: type[int] = int) -> int:
    """Bits hi..lo, both included, as data sheets write them."""
    return cast("int", Field(hi, lo, kind))


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
class Register:
    """The value of a register; a subclass names its bits, the docstring its specification and section."""

    __slots__ = ("raw",)
    width: ClassVar[int]
    size: ClassVar[int]
    fields: ClassVar[dict[str, Field]]
    events: ClassVar[int]
    raw: int

    def __init_subclass__(cls, width: int) -> None:
        cls.width, cls.size = width, width // 8
        cls.fields = {k: v for k, v in vars(cls).items() if isinstance(v, Field)}
        cls.events = sum(f.span for f in cls.fields.values() if f.w1c)
        used = 0
        for name, f in cls.fields.items():
            if f.hi >= width or f.hi < f.lo or used & f.span:
                raise TypeError(f"{cls.__name__}.{name}: bits {f.hi}:{f.lo} do not fit")
            used |= f.span

    def __init__(self, **values: int) -> None:
        self.raw = self._merge(0, values)

    @classmethod
    def of(cls, raw: int) -> Self:
        """The value with these bits."""
        self = cls.__new__(cls)
        self.raw = raw
        return self

    @classmethod
    def _merge(cls, raw: int, values: dict[str, int]) -> int:
        for name, value in values.items():
            f = cls.fields.get(name)
            if f is None:
                raise TypeError(f"{cls.__name__} has no field {name!r}")
            if not 0 <= value <= f.mask:
                raise ValueError(f"{cls.__name__}.{name}: {value:#x} does not fit {f.hi}:{f.lo}")
            raw = (raw & ~f.span) | (value << f.lo)
        return raw

    def replace(self, **values: int) -> Self:
        """The same value with the named fields changed."""
        return self.of(self._merge(self.raw, values))

    @property
    def all_ones(self) -> bool:
        """What a read gives when nothing answers: the function is gone."""
        return self.raw == (1 << self.width) - 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash((type(self), self.raw))

    def __int__(self) -> int:
        return self.raw

    def shown(self) -> str:
        """The fields that are not zero, `name` for a set bit, `name=value` for the rest."""
        return " ".join(self._shown())

    def _shown(self) -> Iterator[str]:
        for name, f in self.fields.items():
            value = getattr(self, name)
            if not value:
                continue
            if f.kind is bool:
                yield name
            else:
                yield f"{name}={value.name if isinstance(value, IntEnum) else format(value, '#x')}"

    def __repr__(self) -> str:
        fields = self.shown()
        return f"{type(self).__name__}({self.raw:#x}{': ' + fields if fields else ''})"


class U8(Register, width=8):
    """A byte with no fields."""


class U16(Register, width=16):
    """A 16-bit word with no fields."""


class U32(Register, width=32):
    """A 32-bit word with no fields."""


class U64(Register, width=64):
    """A 64-bit word with no fields."""


R = TypeVar("R", bound=Register)
POLL = 50e-6  # seconds between two reads of a register that is waited for


class Reg(Generic[R]):
    """A register in a window: what its declaration allows can be done to it."""

    __slots__ = ("kind", "name", "offset", "window")
    access: ClassVar[str] = ""

    def __init__(self, window: Window, offset: int, kind: type[R], name: str = "") -> None:
        self.window, self.offset, self.kind, self.name = window, offset, kind, name


class RO(Reg[R]):
    """Read only."""

    __slots__ = ()
    access = "ro"

    def read(self) -> R:
        """One access; the value."""
        return self.kind.of(self.window.read(self.offset, self.kind.size))

    def wait(self, until: Callable[[R], object], timeout: float) -> R:
        """Read until the value will do, and give it; `timeout` in seconds, from the specification.

        Raises DeviceTimeout with the last value, decoded.
        """
        end = time.monotonic() + timeout
        pause: Callable[[float], None] = getattr(self.window, "pause", time.sleep)
        while not until(got := self.read()):
            if time.monotonic() > end:
                raise DeviceTimeout(f"{self.name} is still {got!r} after {timeout:g} s")
            pause(POLL)
        return got


class WO(Reg[R]):
    """Write only."""

    __slots__ = ()
    access = "wo"

    def write(self, value: R) -> None:
        """One access."""
        self.window.write(self.offset, self.kind.size, value.raw)


class RW(RO[R]):
    """Read and write."""

    __slots__ = ()
    access = "rw"

    def write(self, value: R) -> None:
        """One access."""
        self.window.write(self.offset, self.kind.size, value.raw)

    def update(self, **values: int) -> None:
        """Read, change the named fields, write; events that are not named stay pending."""
        kept = self.kind.of(self.read().raw & ~self.kind.events)
        self.write(kept.replace(**values))


class W1C(RO[R]):
    """Read; writing one clears."""

    __slots__ = ()
    access = "w1c"

    def clear(self, value: R) -> None:
        """Clear the bits that are set in `value`."""
        self.window.write(self.offset, self.kind.size, value.raw)


A = TypeVar("A", bound=Reg[Any])


class Slot(Generic[A]):
    """A register's place in a block. On an instance it is the accessor, made once."""

    __slots__ = ("access", "kind", "name", "offset")

    def __init__(self, access: type[A], offset: int, kind: type[Register]) -> None:
        self.access, self.offset, self.kind, self.name = access, offset, kind, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, block: None, owner: type) -> Self: ...
    @overload
    def __get__(self, block: Block, owner: type) -> A: ...
    def __get__(self, block: Block | None, owner: type) -> Self | A:
        if block is None:
            return self
        name = f"{block.name}.{self.name.rstrip('_')}" if block.name else self.name.rstrip("_")
        made = self.access(block.window, block.base + self.offset, self.kind, name)
        block.__dict__[self.name] = made  # found there next time, before this descriptor
        return made


def ro(offset: int, kind: type[R]) -> Slot[RO[R]]:
    """A register that is read."""
    return Slot(RO[R], offset, kind)


def wo(offset: int, kind: type[R]) -> Slot[WO[R]]:
    """A register that is written."""
    return Slot(WO[R], offset, kind)


def rw(offset: int, kind: type[R]) -> Slot[RW[R]]:
    """A register that is read and written."""
    return Slot(RW[R], offset, kind)


def w1c(offset: int, kind: type[R]) -> Slot[W1C[R]]:
    """A register whose bits are cleared by writing one."""
    return Slot(W1C[R], offset, kind)


class Row(NamedTuple):
    """A register of a block, wherever it lies in its banks: `port[3].cmd`."""

    offset: int
    name: str
    kind: type[Register]
    access: str


class Block:
    """A bank of registers, or a structure in memory, at a base in a window."""

    slots: ClassVar[dict[str, Slot[Any]]] = {}
    inner: ClassVar[dict[str, Banks[Any]]] = {}

    def __init_subclass__(cls) -> None:
        cls.slots = {k: v for k, v in _members(cls) if isinstance(v, Slot)}
        cls.inner = {k: v for k, v in _members(cls) if isinstance(v, Banks)}

    def __init__(self, window: Window, base: int = 0, name: str = "") -> None:
        self.window, self.base, self.name = window, base, name

    @classmethod
    def rows(cls, base: int = 0, prefix: str = "", counts: dict[str, int] | None = None) -> Iterator[Row]:
        """Every register, banks unrolled; `counts` says how many of a bank's are there (`port=6`)."""
        for name, slot in cls.slots.items():
            yield Row(base + slot.offset, prefix + name.rstrip("_"), slot.kind, slot.access.access)
        for name, bank in cls.inner.items():
            for i in range((counts or {}).get(name, bank.count)):
                at = base + bank.offset + i * bank.stride
                yield from bank.kind.rows(at, f"{prefix}{name}[{i}].", counts)

    @classmethod
    def at(cls, offset: int) -> Row | None:
        """The register that holds a byte offset, or None."""
        for slot in cls.slots.values():
            if slot.offset <= offset < slot.offset + slot.kind.size:
                return Row(slot.offset, slot.name.rstrip("_"), slot.kind, slot.access.access)
        for name, bank in cls.inner.items():
            i, inside = divmod(offset - bank.offset, bank.stride)
            if 0 <= i < bank.count and (row := bank.kind.at(inside)) is not None:
                base = bank.offset + i * bank.stride
                return row._replace(offset=base + row.offset, name=f"{name}[{i}].{row.name}")
        return None

    @classmethod
    def extent(cls) -> int:
        """Bytes from the base to the end of the last register."""
        own = [s.offset + s.kind.size for s in cls.slots.values()]
        banked = [b.offset + (b.count - 1) * b.stride + b.kind.extent() for b in cls.inner.values()]
        return max(own + banked, default=0)

    @classmethod
    def pack(cls, **values: Register) -> bytes:
        """The structure as bytes, the named registers set and the rest zero."""
        out = bytearray(cls.extent())
        for name, value in values.items():
            at = cls.slots[name].offset
            out[at : at + value.size] = value.raw.to_bytes(value.size, "little")
        return bytes(out)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    seen: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        seen.update(vars(base))
    return iter(seen.items())


B = TypeVar("B", bound=Block)


class Banks(Generic[B]):
    """`count` blocks of one kind, `stride` bytes apart. On an instance it is their list."""

    __slots__ = ("count", "kind", "name", "offset", "stride")

    def __init__(self, offset: int, stride: int, count: int, kind: type[B]) -> None:
        self.offset, self.stride, self.count, self.kind, self.name = offset, stride, count, kind, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, block: None, owner: type) -> Self: ...
    @overload
    def __get__(self, block: Block, owner: type) -> list[B]: ...
    def __get__(self, block: Block | None, owner: type) -> Self | list[B]:
        if block is None:
            return self
        made = [
            self.kind(block.window, block.base + self.offset + i * self.stride, f"{self.name}[{i}]")
            for i in range(self.count)
        ]
        block.__dict__[self.name] = made
        return made


def banks(offset: int, stride: int, count: int, kind: type[B]) -> Banks[B]:
    """A bank of blocks."""
    return Banks(offset, stride, count, kind)
