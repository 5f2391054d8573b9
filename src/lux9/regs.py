"""Registers: named bits of a word, words at offsets of a window, banks of words.

The language that `arch/` is written in. One declaration serves the driver (typed access), the device model
(the same offsets and fields), a decoded dump, a trace by name and the manual's table. Values are immutable;
reading and writing are calls, so that every access to hardware shows in the code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
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

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.view = memoryview(data)

    def read(self, offset: int, width: int) -> int:
        """The word at a byte offset."""
        return int.from_bytes(self.view[offset : offset + width], "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """Set the word at a byte offset."""
        self.view[offset : offset + width] = value.to_bytes(width, "little")

    def read_bytes(self, offset: int, count: int) -> bytes:
        """Octets as they lie."""
        return bytes(self.view[offset : offset + count])

    def write_bytes(self, offset: int, data: bytes) -> None:
        """Set octets as they lie."""
        self.view[offset : offset + len(data)] = data


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


class W1S(RO[R]):
    """Read; writing one sets, writing zero changes nothing: the device clears (PxCI, PxSACT)."""

    __slots__ = ()
    access = "w1s"

    def set(self, value: R) -> None:
        """Set the bits that are set in `value`."""
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
        made = self.access(block.window, block.base + self.offset, self.kind, block.path(self.name))
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


def w1s(offset: int, kind: type[R]) -> Slot[W1S[R]]:
    """A register whose bits are set by writing one."""
    return Slot(W1S[R], offset, kind)


class Row(NamedTuple):
    """A register of a block, wherever it lies in its banks: `port[3].cmd`."""

    offset: int
    name: str
    kind: type[Register]
    access: str


class Octets:
    """A run of octets in a window: text, a FIS, parameter data."""

    __slots__ = ("length", "name", "offset", "window")

    def __init__(self, window: Window, offset: int, length: int, name: str = "") -> None:
        self.window, self.offset, self.length, self.name = window, offset, length, name

    def read(self) -> bytes:
        """All of them, in order of offset."""
        whole = getattr(self.window, "read_bytes", None)
        if whole is not None:
            return cast("bytes", whole(self.offset, self.length))
        return bytes(self.window.read(self.offset + i, 1) for i in range(self.length))

    def write(self, data: bytes) -> None:
        """Set the first `len(data)` of them; the rest stays. Raises ValueError when it is too long."""
        if len(data) > self.length:
            raise ValueError(f"{self.name}: {len(data)} bytes do not fit {self.length}")
        whole = getattr(self.window, "write_bytes", None)
        if whole is not None:
            whole(self.offset, data)
            return
        for i, octet in enumerate(data):
            self.window.write(self.offset + i, 1, octet)


class Run:
    """Octets' place in a block. On an instance it is the accessor, made once."""

    __slots__ = ("length", "name", "offset")

    def __init__(self, offset: int, length: int) -> None:
        self.offset, self.length, self.name = offset, length, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, block: None, owner: type) -> Self: ...
    @overload
    def __get__(self, block: Block, owner: type) -> Octets: ...
    def __get__(self, block: Block | None, owner: type) -> Self | Octets:
        if block is None:
            return self
        made = Octets(block.window, block.base + self.offset, self.length, block.path(self.name))
        block.__dict__[self.name] = made
        return made


def octets(offset: int, length: int) -> Run:
    """A run of octets with no inner order of bytes."""
    return Run(offset, length)


class Block:
    """A bank of registers, or a structure in memory, at a base in a window.

    `class Prd(Block, size=16)`: its bytes with the reserved ones at the end, where the last register does not tell.
    """

    slots: ClassVar[dict[str, Slot[Any]]] = {}
    runs: ClassVar[dict[str, Run]] = {}
    parts: ClassVar[dict[str, Part[Any]]] = {}
    inner: ClassVar[dict[str, Banks[Any]]] = {}
    size: ClassVar[int] = 0

    def __init_subclass__(cls, size: int = 0) -> None:
        cls.slots = {k: v for k, v in _members(cls) if isinstance(v, Slot)}
        cls.runs = {k: v for k, v in _members(cls) if isinstance(v, Run)}
        cls.parts = {k: v for k, v in _members(cls) if isinstance(v, Part)}
        cls.inner = {k: v for k, v in _members(cls) if isinstance(v, Banks)}
        cls.size = size or cls.extent()

    def __init__(self, window: Window, base: int = 0, name: str = "") -> None:
        self.window, self.base, self.name = window, base, name

    def path(self, name: str) -> str:
        """A member's name from the outermost block: `port[3].cmd`."""
        name = name.rstrip("_")
        return f"{self.name}.{name}" if self.name else name

    @classmethod
    def rows(cls, base: int = 0, prefix: str = "", counts: dict[str, int] | None = None) -> Iterator[Row]:
        """Every register, banks unrolled; `counts` says how many of a bank's are there (`port=6`)."""
        for name, slot in cls.slots.items():
            yield Row(base + slot.offset, prefix + name.rstrip("_"), slot.kind, slot.access.access)
        for name, part in cls.parts.items():
            yield from part.kind.rows(base + part.offset, f"{prefix}{name.rstrip('_')}.", counts)
        for name, bank in cls.inner.items():
            for i in range((counts or {}).get(name, bank.count)):
                at = base + bank.offset + i * bank.stride
                yield from bank.kind.rows(at, f"{prefix}{name.rstrip('_')}[{i}].", counts)

    @classmethod
    def at(cls, offset: int) -> Row | None:
        """The register that holds a byte offset, or None; an octet of a run is `serial[3]`."""
        for slot in cls.slots.values():
            if slot.offset <= offset < slot.offset + slot.kind.size:
                return Row(slot.offset, slot.name.rstrip("_"), slot.kind, slot.access.access)
        for run in cls.runs.values():
            if run.offset <= offset < run.offset + run.length:
                return Row(offset, f"{run.name.rstrip('_')}[{offset - run.offset}]", U8, "rw")
        return cls._deeper(offset)

    @classmethod
    def _deeper(cls, offset: int) -> Row | None:
        for part in cls.parts.values():
            row = part.kind.at(offset - part.offset)
            if row is not None:
                return _moved(row, part.offset, part.name.rstrip("_"))
        for bank in cls.inner.values():
            i, inside = divmod(offset - bank.offset, bank.stride)
            if 0 <= i < bank.count and (row := bank.kind.at(inside)) is not None:
                return _moved(row, bank.offset + i * bank.stride, f"{bank.name.rstrip('_')}[{i}]")
        return None

    @classmethod
    def extent(cls) -> int:
        """Bytes from the base to the end: `size` where it was given, else of the last register."""
        ends = [s.offset + s.kind.size for s in cls.slots.values()]
        ends += [r.offset + r.length for r in cls.runs.values()]
        ends += [p.offset + p.kind.extent() for p in cls.parts.values()]
        ends += [b.offset + (b.count - 1) * b.stride + b.kind.extent() for b in cls.inner.values()]
        return max([*ends, vars(cls).get("size", 0)])

    @classmethod
    def pack(cls, **values: Register) -> bytes:
        """The structure as bytes, the named registers set and the rest zero."""
        out = bytearray(cls.extent())
        for name, value in values.items():
            slot = cls.slots[name]
            if not isinstance(value, slot.kind):
                raise TypeError(f"{cls.__name__}.{name} is a {slot.kind.__name__}, not {value!r}")
            out[slot.offset : slot.offset + value.size] = value.raw.to_bytes(value.size, "little")
        return bytes(out)

    @classmethod
    def over(cls, data: bytes | bytearray | memoryview, base: int = 0) -> Self:
        """The structure that lies in these bytes."""
        return cls(Memory(data), base)


def _moved(row: Row, by: int, under: str) -> Row:
    return row._replace(offset=by + row.offset, name=f"{under}.{row.name}")


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    seen: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        seen.update(vars(base))
    return iter(seen.items())


B = TypeVar("B", bound=Block)


class Part(Generic[B]):
    """A block's place in a block. On an instance it is that block."""

    __slots__ = ("kind", "name", "offset")

    def __init__(self, offset: int, kind: type[B]) -> None:
        self.offset, self.kind, self.name = offset, kind, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, block: None, owner: type) -> Self: ...
    @overload
    def __get__(self, block: Block, owner: type) -> B: ...
    def __get__(self, block: Block | None, owner: type) -> Self | B:
        if block is None:
            return self
        made = self.kind(block.window, block.base + self.offset, block.path(self.name))
        block.__dict__[self.name] = made
        return made


def part(offset: int, kind: type[B]) -> Part[B]:
    """One block inside another."""
    return Part(offset, kind)


class Bank(Sequence[B]):
    """The blocks of a bank, each made when it is first asked for."""

    __slots__ = ("_made", "_of", "_parent")

    def __init__(self, parent: Block, of: Banks[B]) -> None:
        self._parent, self._of = parent, of
        self._made: dict[int, B] = {}

    def __len__(self) -> int:
        return self._of.count

    @overload
    def __getitem__(self, i: int) -> B: ...
    @overload
    def __getitem__(self, i: slice) -> list[B]: ...
    def __getitem__(self, i: int | slice) -> B | list[B]:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        made = self._made.get(i)
        return self._make(i) if made is None else made

    def _make(self, i: int) -> B:
        of, parent = self._of, self._parent
        if not 0 <= i < of.count:
            raise IndexError(f"{parent.path(of.name)}[{i}]: there are {of.count}")
        at = parent.base + of.offset + i * of.stride
        self._made[i] = made = of.kind(parent.window, at, f"{parent.path(of.name)}[{i}]")
        return made


class Banks(Generic[B]):
    """`count` blocks of one kind, `stride` bytes apart. On an instance it is their sequence."""

    __slots__ = ("count", "kind", "name", "offset", "stride")

    def __init__(self, offset: int, stride: int, count: int, kind: type[B]) -> None:
        self.offset, self.stride, self.count, self.kind, self.name = offset, stride, count, kind, ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, block: None, owner: type) -> Self: ...
    @overload
    def __get__(self, block: Block, owner: type) -> Bank[B]: ...
    def __get__(self, block: Block | None, owner: type) -> Self | Bank[B]:
        if block is None:
            return self
        made: Bank[B] = Bank(block, self)
        block.__dict__[self.name] = made
        return made


def banks(offset: int, stride: int, count: int, kind: type[B]) -> Banks[B]:
    """A bank of blocks."""
    return Banks(offset, stride, count, kind)
