"""A register's value, bit by bit, and its page."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..regs import Field, Register
from ..regs_view import comments, decoded

ACCESS = {
    "ro": "read only",
    "wo": "write only",
    "rw": "read and write",
    "w1c": "writing one clears a bit",
    "w1s": "writing one sets a bit, writing zero does nothing",
}


def told(name: str, value: Register) -> str:
    """`port[0].cmd = 0x00000006 pod sud`, then a line a field."""
    head = f"{name} = {decoded(value)}"
    return "\n".join([head, *_fields(value)])


def _fields(value: Register) -> Iterator[str]:
    words = comments(type(value))
    width = max((len(_plain(name)) for name in value.fields), default=0)
    for name, field in sorted(value.fields.items(), key=lambda item: -item[1].hi):
        is_ = shown(field, getattr(value, name))
        line = f"  {_bits(field):>5} {_plain(name):{width}} {is_:<11} {words.get(name, '')}"
        yield line.rstrip()


def shown(field: Field, value: int) -> str:
    """A field's value: 0 or 1 for a bit, a name where the specification has one, else hexadecimal."""
    if isinstance(value, IntEnum):
        return value.name
    return str(int(value)) if field.kind is bool else f"{value:#x}"


def register_page(name: str, kind: type[Register], access: str, effect: bool) -> str:
    """What the specification says of a register: its source, what may be done to it, its fields."""
    lines = [f"{name}: {kind.__name__}, {kind.width} bits, {ACCESS[access]}"]
    if effect:
        lines.append("Reading it does something to the device.")
    if doc := (kind.__doc__ or "").strip():
        lines += ["", *(line.strip() for line in doc.splitlines())]
    words = comments(kind)
    lines += [""] if kind.fields else []
    for field in sorted(kind.fields.values(), key=lambda f: -f.hi):
        what = [words.get(field.name, ""), _names(field), "writing one clears" * field.w1c]
        said = "; ".join(filter(None, what))
        lines.append(f"  {_bits(field):>5} {_plain(field.name):8} {said}".rstrip())
    return "\n".join(lines)


def _names(field: Field) -> str:
    if not issubclass(field.kind, IntEnum):
        return ""
    return ", ".join(f"{int(v):#x} {v.name}" for v in field.kind)


def _bits(field: Field) -> str:
    return str(field.lo) if field.hi == field.lo else f"{field.hi}:{field.lo}"


def _plain(name: str) -> str:
    return name.rstrip("_")
