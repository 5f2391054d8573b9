"""Registers at a prompt: attributes by the specification's names, values decoded.

`hba.ports[0].cmd` is a register: shown, it is read once and printed bit by bit; `hba.ports[0].cmd.st` reads it and
gives the bit; `hba.ports[0].cmd = 0x17` and `hba.ports[0].cmd.st = True` write it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast, overload

from .. import regs_view
from ..regs import RO, RW, W1C, W1S, WO, Bank, Block, Octets, Reg, Register
from .snapshot import Diff, Snapshot
from .told import register_page, told


class Owner(Protocol):
    """Whose registers they are: a function, that says whether they may be written."""

    def may_write(self, what: str) -> None:
        """Raises PermissionError with what has to be done first."""
        ...


class RegView:
    """One register of the device."""

    __slots__ = ("_effect", "_owner", "_reg")
    _reg: Reg[Any]
    _owner: Owner
    _effect: bool

    def __init__(self, reg: Reg[Any], owner: Owner, effect: bool = False) -> None:
        object.__setattr__(self, "_reg", reg)
        object.__setattr__(self, "_owner", owner)
        object.__setattr__(self, "_effect", effect)

    def read(self) -> Any:
        """One access; the value, a `Register`. Raises TypeError for a register that is only written."""
        if not isinstance(self._reg, RO):
            raise TypeError(f"{self._reg.name} can only be written")
        return self._reg.read()

    def write(self, value: Any) -> None:
        """One access: a number, a `Register`, or fields by name. Writing one clears, or sets, as declared."""
        reg = self._reg
        made = as_register(reg, value)
        self._owner.may_write(reg.name)
        if isinstance(reg, (RW, WO)):
            reg.write(made)
        elif isinstance(reg, W1C):
            reg.clear(made)
        elif isinstance(reg, W1S):
            reg.set(made)
        else:
            raise TypeError(f"{reg.name} can only be read")

    def update(self, **fields: int) -> None:
        """Read, change the named fields, write; where writing one clears or sets, only these are written."""
        reg = self._reg
        if isinstance(reg, RW):
            as_register(reg, fields)
            self._owner.may_write(reg.name)
            reg.update(**fields)
        else:
            self.write(fields)

    def __getattr__(self, name: str) -> Any:
        if name not in self._reg.kind.fields:
            raise AttributeError(unknown(self._reg.name, name, self._reg.kind.fields))
        return getattr(self.read(), name)

    def __setattr__(self, name: str, value: int) -> None:
        if name not in self._reg.kind.fields:
            raise AttributeError(unknown(self._reg.name, name, self._reg.kind.fields))
        self.update(**{name: value})

    def __dir__(self) -> list[str]:
        return [*self._reg.kind.fields, "page", "read", "update", "write"]

    def page(self) -> str:
        """What the specification says of it, from the declaration."""
        return register_page(self._reg.name, self._reg.kind, self._reg.access, self._effect)

    def __int__(self) -> int:
        return int(self.read())

    __index__ = __int__

    def __repr__(self) -> str:
        if self._effect:
            return f"{self._reg.name}: reading it does something to the device; .read() reads it"
        if not isinstance(self._reg, RO):
            return f"{self._reg.name}: can only be written"
        return told(self._reg.name, self._reg.read())


class BlockView:
    """A block of registers of the device."""

    __slots__ = ("_block", "_owner")
    _block: Block
    _owner: Owner

    def __init__(self, block: Block, owner: Owner) -> None:
        object.__setattr__(self, "_block", block)
        object.__setattr__(self, "_owner", owner)

    def snapshot(self) -> Snapshot:
        """All its registers now, one access each; those that change when they are read are left out."""
        return Snapshot.of(self._block)

    def diff(self, before: Snapshot) -> Diff:
        """What has changed since, by field: a snapshot of now against that one."""
        return before.diff(self.snapshot())

    def page(self) -> str:
        """What the specification says of it, from the declaration."""
        return regs_view.table(type(self._block))

    def __getattr__(self, name: str) -> Any:
        kind = type(self._block)
        if name in kind.slots:
            return RegView(getattr(self._block, name), self._owner, kind.slots[name].effect)
        if name in kind.parts:
            return BlockView(getattr(self._block, name), self._owner)
        if name in kind.runs:
            return getattr(self._block, name)
        for bank in kind.inner:
            if name in (bank, plural(bank)):
                return BankView(getattr(self._block, bank), self._owner)
        raise AttributeError(unknown(self._block.name or kind.__name__, name, self.__dir__()))

    def __setattr__(self, name: str, value: Any) -> None:
        found = getattr(self, name)
        if isinstance(found, Octets):
            self._owner.may_write(found.name)
            found.write(bytes(value))
        elif isinstance(found, RegView):
            found.write(value)
        else:
            raise TypeError(f"{name} is a block of registers; write to one of them")

    def __dir__(self) -> list[str]:
        kind = type(self._block)
        banks = [plural(name) for name in kind.inner]
        return [*kind.slots, *kind.parts, *kind.runs, *banks, "diff", "page", "snapshot"]

    def __repr__(self) -> str:
        return "\n".join([*regs_view.dump(self._block), *_left_out(type(self._block))])


class BankView:
    """A row of blocks."""

    __slots__ = ("_bank", "_owner")

    def __init__(self, bank: Bank[Any], owner: Owner) -> None:
        self._bank, self._owner = bank, owner

    def __len__(self) -> int:
        return len(self._bank)

    @overload
    def __getitem__(self, i: int) -> BlockView: ...
    @overload
    def __getitem__(self, i: slice) -> list[BlockView]: ...
    def __getitem__(self, i: int | slice) -> BlockView | list[BlockView]:
        if isinstance(i, slice):
            return [self[j] for j in range(len(self))[i]]
        return BlockView(self._bank[range(len(self))[i]], self._owner)

    def __iter__(self) -> Iterator[BlockView]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        first = self._bank[0]
        return f"{len(self)} × {type(first).__name__}, {first.name} and on"


def plural(bank: str) -> str:
    """What a bank is called at the prompt: the specification's `port[0]` is one of `ports`."""
    return bank if bank.endswith("s") else bank + "s"


def as_register(reg: Reg[Any], value: Any) -> Register:
    """What is to be written. Raises TypeError or ValueError with what would do."""
    kind: type[Register] = reg.kind
    if isinstance(value, dict):
        return kind().replace(**cast("dict[str, int]", value))
    if isinstance(value, Register) and not isinstance(value, kind):
        raise TypeError(f"{reg.name} is a {kind.__name__}, not a {type(value).__name__}")
    if not 0 <= int(value) <= kind.ones:
        raise ValueError(f"{reg.name} has {kind.width} bits: {int(value):#x} does not fit")
    return kind.of(int(value))


def unknown(where: str, name: str, names: Any) -> str:
    """Why there is no such attribute."""
    return f"{where} has no {name!r}; it has {' '.join(n for n in names if not n.startswith('_'))}"


def _left_out(kind: type[Block]) -> Iterator[str]:
    effects = [row.name for row in kind.rows() if row.effect]
    if effects:
        yield f"not read, because reading changes them: {' '.join(effects)}"
