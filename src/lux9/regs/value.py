"""The value of a register: a word with named bits.

A field is a `property` whose getter is made for its kind when the class is made: reading one is a shift and a
mask, and an enumerated value comes from a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any, ClassVar, Self, TypeVar, cast, dataclass_transform, overload

E = TypeVar("E", bound=IntEnum)
_new = object.__new__


class Field(property):
    """Bits `hi` to `lo` of a register, both included.

    A value that its enumeration does not have is reserved by the specification, and reads as a plain int.
    """

    def __init__(self, hi: int, lo: int, kind: type[int], w1c: bool = False) -> None:
        if not 0 <= lo <= hi:
            raise TypeError(f"bits {hi}:{lo} does not fit any register")
        self.hi, self.lo, self.kind, self.w1c = hi, lo, kind, w1c
        self.mask = (1 << (hi - lo + 1)) - 1
        self.span = self.mask << lo  # the field's bits in place
        self.name = ""
        super().__init__(_getter(lo, self.mask, self.span, kind), self._refuse)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"bit {self.lo}" if self.hi == self.lo else f"bits {self.hi}:{self.lo}"

    def _refuse(self, reg: Register, value: int) -> None:
        raise AttributeError(f"{type(reg).__name__} is a value; use .replace({self.name}=...)")


def _getter(lo: int, mask: int, span: int, kind: type[int]) -> Callable[[Register], Any]:
    if kind is bool:
        return lambda reg: reg.raw & span != 0
    if kind is int:
        return lambda reg: reg.raw >> lo & mask
    named = {int(v): v for v in cast("type[IntEnum]", kind)}.get

    def get(reg: Register) -> int:
        value = reg.raw >> lo & mask
        return named(value, value)

    return get


def bit(n: int, *, w1c: bool = False) -> bool:
    """One bit; `w1c`: writing one clears it."""
    return cast("bool", Field(n, n, bool, w1c))


@overload
def bits(hi: int, lo: int) -> int: ...
@overload
def bits(hi: int, lo: int, kind: type[E]) -> E: ...
def bits(hi: int, lo: int, kind: type[int] = int) -> int:
    """Bits hi..lo, both included, as data sheets write them."""
    return cast("int", Field(hi, lo, kind))


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
class Register:
    """The value of a register; a subclass names its bits, the docstring its specification and section."""

    __slots__ = ("raw",)
    width: ClassVar[int]  # bits
    size: ClassVar[int]  # bytes
    ones: ClassVar[int]  # all bits set
    fields: ClassVar[dict[str, Field]]
    named: ClassVar[int]  # the bits that are in a field
    events: ClassVar[int]  # the bits that writing one clears
    _places: ClassVar[dict[str, tuple[int, int, int]]]  # shift, mask, all other bits
    raw: int

    def __init_subclass__(cls, width: int) -> None:
        cls.fields = {k: v for k, v in vars(cls).items() if isinstance(v, Field)}
        cls.named = 0
        for name, f in cls.fields.items():
            if hasattr(Register, name) or name in Register.__annotations__:
                raise TypeError(f"{cls.__name__}.{name}: the name is taken by Register itself")
            if f.hi >= width or cls.named & f.span:
                raise TypeError(f"{cls.__name__}.{name}: {f} does not fit")
            cls.named |= f.span
        cls.width, cls.size, cls.ones = width, width // 8, (1 << width) - 1
        cls.events = sum(f.span for f in cls.fields.values() if f.w1c)
        cls._places = {k: (f.lo, f.mask, ~f.span) for k, f in cls.fields.items()}

    def __init__(self, **values: int) -> None:
        self.raw = self._merge(0, values)

    @classmethod
    def of(cls, raw: int) -> Self:
        """The value with these bits."""
        self = _new(cls)
        self.raw = raw
        return self

    @classmethod
    def _merge(cls, raw: int, values: dict[str, int]) -> int:
        places = cls._places
        for name, value in values.items():
            try:
                lo, mask, others = places[name]
            except KeyError:
                raise TypeError(f"{cls.__name__} has no field {name!r}") from None
            if not 0 <= value <= mask:
                raise ValueError(
                    f"{cls.__name__}.{name}: {value:#x} does not fit {cls.fields[name]}"
                )
            raw = raw & others | value << lo
        return raw

    def replace(self, **values: int) -> Self:
        """The same value with the named fields changed."""
        return self.of(self._merge(self.raw, values))

    @property
    def all_ones(self) -> bool:
        """What a read gives when nothing answers; it may be a value too where all bits have a meaning."""
        return self.raw == self.ones

    @property
    def gone(self) -> bool:
        """All ones, reserved bits too: no device says this, so nothing answered."""
        return self.raw == self.ones and self.named not in (0, self.ones)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash((type(self), self.raw))

    def __int__(self) -> int:
        return self.raw

    def shown(self) -> str:
        """The fields that are not zero, `name` for a set bit, `name=value` for the rest.

        Nothing where the only field is a number: the word itself says it.
        """
        return " ".join(self._shown())

    def _shown(self) -> Iterator[str]:
        if len(self.fields) == 1 and next(iter(self.fields.values())).kind is int:
            return
        for name, f in self.fields.items():
            value, name = getattr(self, name), name.rstrip("_")
            if value and f.kind is bool:
                yield name
            elif value:
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
