"""A block at a moment, and what two moments differ in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from ..regs import Block, Register
from ..regs_view import decoded, readings
from .told import shown


@dataclass(frozen=True)
class Snapshot:
    """Values by the registers' names, in the order of their offsets."""

    values: Mapping[str, Register]

    @classmethod
    def of(cls, block: Block) -> Self:
        """What a dump would read, read now: one access a register."""
        return cls(dict(readings(block)))

    def diff(self, after: Snapshot) -> Diff:
        """What is otherwise in the later one."""
        changed = {
            name: (old, after.values[name])
            for name, old in self.values.items()
            if name in after.values and after.values[name] != old
        }
        gone = [name for name in self.values if name not in after.values]
        come = [name for name in after.values if name not in self.values]
        return Diff(changed, gone, come)

    def __getitem__(self, name: str) -> Register:
        return self.values[name]

    def __repr__(self) -> str:
        width = max((len(name) for name in self.values), default=0)
        return "\n".join(f"{n:{width}} {decoded(v)}" for n, v in self.values.items())


@dataclass(frozen=True)
class Diff:
    """Registers that changed, with the old value and the new; those that went away or came, by name."""

    changed: Mapping[str, tuple[Register, Register]]
    gone: list[str]
    come: list[str]

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone or self.come)

    def __repr__(self) -> str:
        return "\n".join(self._lines()) or "nothing changed"

    def _lines(self) -> Iterator[str]:
        width = max((len(name) for name in self.changed), default=0)
        for name, (old, new) in self.changed.items():
            digits = old.width // 4 + 2
            values = f"{old.raw:#0{digits}x} → {new.raw:#0{digits}x}"
            yield f"{name:{width}} {values}  {' '.join(_fields(old, new))}".rstrip()
        yield from (f"{name} is no longer there" for name in self.gone)
        yield from (f"{name} has come" for name in self.come)


def _fields(old: Register, new: Register) -> Iterator[str]:
    for name, field in old.fields.items():
        was, is_ = getattr(old, name), getattr(new, name)
        if was != is_:
            yield f"{name.rstrip('_')}: {shown(field, was)} → {shown(field, is_)}"
