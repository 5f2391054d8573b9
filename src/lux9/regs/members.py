"""What a block is declared of: registers, runs of octets, blocks within it and banks of them.

Each is a descriptor. On the class it is its own description (`HBA.ghc.offset`); on an instance it makes its
accessor once and leaves it in the instance, where it is found the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from .value import Register
from .window import RO, RW, W1C, W1S, WO, Octets, Reg

if TYPE_CHECKING:
    from .block import Block

R = TypeVar("R", bound=Register)
A = TypeVar("A", bound=Reg[Any])
B = TypeVar("B", bound="Block")


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
