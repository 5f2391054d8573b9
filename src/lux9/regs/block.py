"""How registers lie together: slots, runs of octets, blocks in blocks, banks.

The members of a block are descriptors. On the class each is its own description (`HBA.ghc.offset`); on an instance
it makes its accessor once and leaves it in the instance, where it is found the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar, overload

from .value import U8, Register
from .window import RO, RW, W1C, W1S, WO, Memory, Octets, Reg, Window

R = TypeVar("R", bound=Register)
A = TypeVar("A", bound=Reg[Any])


Test = Callable[[Any], object]  # of a block: whether it has the register


class Slot(Generic[A]):
    """A register's place in a block.

    `effect`: reading it does something. `when`: it is there only where this is true of the block.
    """

    __slots__ = ("access", "effect", "kind", "name", "offset", "when")

    def __init__(
        self,
        access: type[A],
        offset: int,
        kind: type[Register],
        effect: bool = False,
        when: Test | None = None,
    ) -> None:
        self.access, self.offset, self.kind, self.name = access, offset, kind, ""
        self.effect, self.when = effect, when

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


def ro(
    offset: int, kind: type[R], *, effect: bool = False, when: Test | None = None
) -> Slot[RO[R]]:
    """A register that is read; `effect`: reading it does something; `when`: only some blocks have it."""
    return Slot(RO, offset, kind, effect, when)


def wo(offset: int, kind: type[R], *, when: Test | None = None) -> Slot[WO[R]]:
    """A register that is written."""
    return Slot(WO, offset, kind, False, when)


def rw(
    offset: int, kind: type[R], *, effect: bool = False, when: Test | None = None
) -> Slot[RW[R]]:
    """A register that is read and written; `effect` and `when` as for `ro`."""
    return Slot(RW, offset, kind, effect, when)


def w1c(offset: int, kind: type[R], *, when: Test | None = None) -> Slot[W1C[R]]:
    """A register whose bits are cleared by writing one."""
    return Slot(W1C, offset, kind, False, when)


def w1s(offset: int, kind: type[R], *, when: Test | None = None) -> Slot[W1S[R]]:
    """A register whose bits are set by writing one."""
    return Slot(W1S, offset, kind, False, when)


class Run:
    """Octets' place in a block."""

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
    """A run of octets: text, or bytes with a form of their own."""
    return Run(offset, length)


class Row(NamedTuple):
    """A register of a block, wherever it lies in its banks: `port[3].cmd`."""

    offset: int
    name: str
    kind: type[Register]
    access: str
    effect: bool = False  # reading it does something


class Block:
    """A bank of registers, or a structure in memory, at a base in a window.

    `class Prd(Block, size=16)` says where it ends, if its last bytes are reserved.
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
        cls.size = max([size, *_ends(cls)])

    def __init__(self, window: Window, base: int = 0, name: str = "") -> None:
        self.window, self.base, self.name = window, base, name

    def path(self, name: str) -> str:
        """A member's name from the outermost block: `port[3].cmd`."""
        name = name.rstrip("_")
        return f"{self.name}.{name}" if self.name else name

    def readable(self) -> Iterator[RO[Any]]:
        """The accessors of its own registers that are there, and that reading does not change."""
        for name, slot in type(self).slots.items():
            if issubclass(slot.access, WO) or slot.effect:
                continue
            if slot.when is None or slot.when(self):
                yield getattr(self, name)

    @classmethod
    def rows(
        cls, base: int = 0, prefix: str = "", counts: dict[str, int] | None = None
    ) -> Iterator[Row]:
        """Every register, banks unrolled; `counts` says how many of a bank's are there (`port=6`)."""
        for slot in cls.slots.values():
            yield _row(slot, base, prefix)
        for name, part in cls.parts.items():
            yield from part.kind.rows(base + part.offset, f"{prefix}{name.rstrip('_')}.", counts)
        for name, bank in cls.inner.items():
            for i in range((counts or {}).get(name, bank.count)):
                at = base + bank.offset + i * bank.stride
                yield from bank.kind.rows(at, f"{prefix}{name.rstrip('_')}[{i}].", counts)

    @classmethod
    def at(cls, offset: int) -> Row | None:
        """The register that holds a byte offset, or None; an octet of a run is `serial[3]`."""
        return _at(cls, offset)  # type: ignore[arg-type]  # mypy: a class is hashable all the same

    @classmethod
    def extent(cls) -> int:
        """Bytes from the base to the end of the last register, or what `size` says."""
        return cls.size

    @classmethod
    def pack(cls, **values: Register) -> bytes:
        """The structure as bytes, the named registers set and the rest zero."""
        out = bytearray(cls.size)
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


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    seen: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        seen.update(vars(base))
    return iter(seen.items())


def _ends(cls: type[Block]) -> Iterator[int]:
    yield from (s.offset + s.kind.size for s in cls.slots.values())
    yield from (r.offset + r.length for r in cls.runs.values())
    yield from (p.offset + p.kind.size for p in cls.parts.values())
    yield from (b.offset + (b.count - 1) * b.stride + b.kind.size for b in cls.inner.values())


@lru_cache(maxsize=1 << 14)
def _at(cls: type[Block], offset: int) -> Row | None:
    for slot in cls.slots.values():
        if slot.offset <= offset < slot.offset + slot.kind.size:
            return _row(slot)
    for run in cls.runs.values():
        if run.offset <= offset < run.offset + run.length:
            return Row(offset, f"{run.name.rstrip('_')}[{offset - run.offset}]", U8, "rw")
    return _deeper(cls, offset)


def _deeper(cls: type[Block], offset: int) -> Row | None:
    for part in cls.parts.values():
        if (row := part.kind.at(offset - part.offset)) is not None:
            return _moved(row, part.offset, part.name)
    for bank in cls.inner.values():
        i, inside = divmod(offset - bank.offset, bank.stride)
        if 0 <= i < bank.count and (row := bank.kind.at(inside)) is not None:
            return _moved(row, bank.offset + i * bank.stride, bank.name, f"[{i}]")
    return None


def _row(slot: Slot[Any], base: int = 0, prefix: str = "") -> Row:
    name = prefix + slot.name.rstrip("_")
    return Row(base + slot.offset, name, slot.kind, slot.access.access, slot.effect)


def _moved(row: Row, by: int, under: str, index: str = "") -> Row:
    return row._replace(offset=by + row.offset, name=f"{under.rstrip('_')}{index}.{row.name}")


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
    """`count` blocks of one kind, `stride` bytes apart. On an instance it is their sequence.

    `present` says which of them a device has, from the registers of the block that they are in.
    """

    __slots__ = ("count", "kind", "name", "offset", "present", "stride")

    def __init__(
        self,
        offset: int,
        stride: int,
        count: int,
        kind: type[B],
        present: Callable[[Any], Iterable[int]] | None = None,
    ) -> None:
        self.offset, self.stride, self.count, self.kind, self.name = offset, stride, count, kind, ""
        self.present = present

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


def banks(
    offset: int,
    stride: int,
    count: int,
    kind: type[B],
    present: Callable[[Any], Iterable[int]] | None = None,
) -> Banks[B]:
    """A bank of blocks; `present(block)` gives the indices that are there, where a register tells."""
    return Banks(offset, stride, count, kind, present)
