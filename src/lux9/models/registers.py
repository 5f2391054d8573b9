"""Registers as a chip keeps them: memory over the `Block` that the driver uses too, and methods for those that act.

    class Port(Model):
        block = ahci.Port
        resets: ClassVar[Resets] = {ahci.Port.cmd: PxCMD(sud=True, pod=True)}
        read_only: ClassVar[ReadOnly] = {ahci.Port.cmd: ("cr", "fr")}

        @on_write(ahci.Port.ci)
        def issue(self, new: PxCI, old: PxCI) -> PxCI: ...

What a bit does on a write (keep, clear, set, ignore) comes from the declaration; a method sees the value that the
declaration made of the write, and gives the one to keep. Nothing here raises for what software did: a write that the
specification forbids is dropped and reported.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

from ..regs import RO, RW, W1C, W1S, WO, Block, Register, Slot

R = TypeVar("R", bound=Register)
M = TypeVar("M")

Readable = Slot[RO[R]] | Slot[RW[R]] | Slot[W1C[R]] | Slot[W1S[R]]
Writable = Slot[RW[R]] | Slot[W1C[R]] | Slot[W1S[R]] | Slot[WO[R]]
Place = Slot[RO[R]] | Slot[RW[R]] | Slot[W1C[R]] | Slot[W1S[R]] | Slot[WO[R]]
Resets = Mapping[Slot[Any], Register]
ReadOnly = Mapping[Slot[Any], Sequence[str]]

_READ, _WRITE = "_on_read", "_on_write"


def on_write(slot: Writable[R]) -> Callable[[Callable[[M, R, R], R]], Callable[[M, R, R], R]]:
    """Mark the method that a write calls: `(self, new, old)` gives the value to keep."""

    def mark(method: Callable[[M, R, R], R]) -> Callable[[M, R, R], R]:
        setattr(method, _WRITE, slot)
        return method

    return mark


def on_read(slot: Readable[R]) -> Callable[[Callable[[M, R], R]], Callable[[M, R], R]]:
    """Mark the method that a read calls: `(self, kept)` gives the value to answer."""

    def mark(method: Callable[[M, R], R]) -> Callable[[M, R], R]:
        setattr(method, _READ, slot)
        return method

    return mark


class Cell(Generic[R]):
    """One register's memory. `raw` is the model's to change as it likes: no method is called."""

    __slots__ = (
        "clears",
        "initial",
        "keeps",
        "kind",
        "name",
        "on_read",
        "on_write",
        "raw",
        "sets",
        "size",
    )

    def __init__(self, slot: Slot[Any], name: str) -> None:
        self.kind = cast("type[R]", slot.kind)
        self.name, self.size = name, slot.kind.size
        self.raw = self.initial = 0
        self.keeps, self.clears, self.sets = _rules(slot)
        self.on_read: Callable[[R], R] | None = None
        self.on_write: Callable[[R, R], R] | None = None

    @property
    def value(self) -> R:
        """What it holds, with its fields."""
        return self.kind.of(self.raw)

    @value.setter
    def value(self, value: R) -> None:
        self.raw = value.raw

    def written(self, value: int) -> None:
        """A write by software of the whole register."""
        old = self.raw
        new = (old & ~self.keeps | value & self.keeps | value & self.sets) & ~(value & self.clears)
        act = self.on_write
        if act is None:
            self.raw = new
        else:
            self.raw = act(self.kind.of(new), self.kind.of(old)).raw

    @property
    def inert(self) -> bool:
        """No write by software changes it."""
        return not (self.keeps | self.clears | self.sets or self.on_write)


def _rules(slot: Slot[Any]) -> tuple[int, int, int]:
    """Bits that a write keeps, that a one clears, that a one sets; bits with no name are reserved and stay zero."""
    kind: type[Register] = slot.kind
    named = sum(f.span for f in kind.fields.values()) if kind.fields else (1 << kind.width) - 1
    access = slot.access.access
    if access == "w1c":
        return 0, kind.events or named, 0
    if access == "w1s":
        return 0, 0, named
    return (named & ~kind.events, kind.events, 0) if access in ("rw", "wo") else (0, 0, 0)


def ignore(text: str) -> None:
    """Nobody listens to the reports."""


class Model:
    """The registers of one block; `mount` puts another model's registers among them.

    A `regs.Window`: a driver's block can stand straight on it. `report` is told what software did wrong.
    """

    block: ClassVar[type[Block]]
    resets: ClassVar[Resets] = {}
    read_only: ClassVar[ReadOnly] = {}  # fields that only the chip changes
    narrowest: ClassVar[int] = (
        4  # writes of fewer bytes than this, and than the register, are refused
    )
    widest: ClassVar[int] = 8  # an access of this width may cover several registers
    _acts: ClassVar[tuple[tuple[str, str, Slot[Any]], ...]] = ()

    def __init_subclass__(cls) -> None:
        acts = [
            (name, how, getattr(member, how))
            for name, member in vars(cls).items()
            for how in (_READ, _WRITE)
            if hasattr(member, how)
        ]
        cls._acts = (*cls._acts, *acts)

    def __init__(self, name: str = "", report: Callable[[str], None] = ignore) -> None:
        self.name, self.report = name, report
        self.cells: dict[int, Cell[Any]] = {}
        self._own = [self._make(slot) for slot in self.block.slots.values()]
        self._bind()

    def _make(self, slot: Slot[Any]) -> Cell[Any]:
        label = slot.name.rstrip("_")
        made = self.cells[slot.offset] = Cell(slot, f"{self.name}.{label}" if self.name else label)
        fixed = sum(slot.kind.fields[field].span for field in self.read_only.get(slot, ()))
        made.keeps &= ~fixed
        made.clears &= ~fixed
        made.raw = made.initial = self.resets[slot].raw if slot in self.resets else 0
        return made

    def _bind(self) -> None:
        for name, how, slot in self._acts:
            act, cell = getattr(self, name), self.cells[slot.offset]
            if how == _READ:
                cell.on_read = act
            else:
                cell.on_write = act

    def cell(self, slot: Place[R]) -> Cell[R]:
        """The memory of one of this model's own registers."""
        return self.cells[slot.offset]

    def mount(self, base: int, model: Model) -> None:
        """Put another model's registers at `base`; both share the same cells from here."""
        self.cells.update((base + offset, cell) for offset, cell in model.cells.items())

    def restore(self, keep: Iterable[Slot[Any]] = ()) -> None:
        """Its own registers back to their reset values, but for those in `keep`."""
        kept = {id(self.cells[slot.offset]) for slot in keep}
        for cell in self._own:
            if id(cell) not in kept:
                cell.raw = cell.initial

    # Accesses by software

    def read(self, offset: int, width: int) -> int:
        """The word at an offset; zero where there is no register, all ones when it is misaligned."""
        cell = self.cells.get(offset)
        if cell is None or cell.size != width:
            return self._read_odd(offset, width)
        act = cell.on_read
        return cell.raw if act is None else act(cell.value).raw

    def write(self, offset: int, width: int, value: int) -> None:
        """A write of a whole register; other widths go the long way round."""
        cell = self.cells.get(offset)
        if cell is None or cell.size != width:
            self._write_odd(offset, width, value)
        elif cell.inert:
            self.report(f"{cell.name} is read-only: a write of {value:#x} is ignored")
        else:
            cell.written(value)

    def _read_odd(self, offset: int, width: int) -> int:
        if offset % width or width > self.widest:
            self.report(f"a read of {width} bytes at {offset:#x} is misaligned: it gives all ones")
            return (1 << 8 * width) - 1
        start, cell = self._holder(offset, width)
        if cell is not None:
            return self.read(start, cell.size) >> 8 * (offset - start) & ((1 << 8 * width) - 1)
        if not self._inside(offset, width):
            return 0
        half = width // 2
        return self.read(offset, half) | self.read(offset + half, half) << 8 * half

    def _write_odd(self, offset: int, width: int, value: int) -> None:
        if offset % width or width > self.widest:
            self.report(f"a write of {width} bytes at {offset:#x} is misaligned: ignored")
            return
        start, cell = self._holder(offset, width)
        if cell is not None:
            self._write_part(cell, offset - start, width, value)
        elif not self._inside(offset, width):
            self.report(f"there is no register at {offset:#x}: a write of {value:#x} is ignored")
        else:
            half = width // 2
            for at, part in (
                (offset, value & ((1 << 8 * half) - 1)),
                (offset + half, value >> 8 * half),
            ):
                if self._inside(at, half):
                    self.write(at, half, part)

    def _inside(self, offset: int, width: int) -> bool:
        """Whether registers begin among these bytes."""
        return any(at in self.cells for at in range(offset, offset + width))

    def _write_part(self, cell: Cell[Any], at: int, width: int, value: int) -> None:
        if width < self.narrowest or cell.inert:
            why = "is read-only" if cell.inert else f"takes {cell.size} bytes at once, not {width}"
            self.report(f"{cell.name} {why}: a write of {value:#x} is ignored")
            return
        span = ((1 << 8 * width) - 1) << 8 * at
        cell.written(cell.raw & cell.keeps & ~span | value << 8 * at)

    def _holder(self, offset: int, width: int) -> tuple[int, Cell[Any] | None]:
        """The register that this is a part of, and where it starts."""
        for size in (2, 4, 8):
            start = offset & -size
            cell = self.cells.get(start)
            if size > width and cell is not None and cell.size == size:
                return start, cell
        return offset, None


_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def layout(*slots: Slot[Any], size: int = 0) -> struct.Struct:
    """A `struct` for these registers of a block in memory, in the order of their offsets, `size` bytes in all."""
    form, at = "<", 0
    for slot in slots:
        assert slot.offset >= at, f"{slot.name} is out of order"
        form += f"{slot.offset - at}x{_CODES[slot.kind.size]}"
        at = slot.offset + slot.kind.size
    return struct.Struct(f"{form}{max(size - at, 0)}x")
