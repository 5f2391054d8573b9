"""How registers lie together: a block's members, found by name and by offset, and what they fill."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Self

from .members import Banks, Part, Run, Slot
from .value import U8, Register
from .window import RO, WO, Memory, Window


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
