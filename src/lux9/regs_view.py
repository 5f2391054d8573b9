"""Registers for people: a decoded dump, a line of a trace, the manual's table. All from the one declaration.

>>> print(explain(HBA, 0x118, 4, 0x10006))
port[0].cmd = 0x10006: cps pod sud
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any, TypeVar, cast

from .regs import RO, Banks, Block, Field, Octets, Reg, Register

K = TypeVar("K", bound=type)

# `st: bool = bit(0)  # start the list` and `cmd = rw(0x18, PxCMD)  # command and status`
_COMMENTED = re.compile(r"\s+(\w+)\s*(?::[^=]+)?=\s*\w+\(.*\)\s*#\s*(.+)")
_SOURCE = re.compile(r"\s*[A-Z][\w/ -]* [\d.]+ §[\d.]+\S*$")


# --- dump -------------------------------------------------------------------------------------


def dump(block: Block, banks: Mapping[str, Iterable[int]] | None = None) -> Iterator[str]:
    """A line a register: offset from the block's base, name, value, the fields that are not zero.

    Left out is what is not there (`when`), cannot be read, or changes when it is read. Octets are shown of
    memory only, where looking is free. Of a bank come those that the device says are there (`present`), or
    those of `banks` by the bank's name. One access a register.
    """
    found = sorted(_readable(block, banks or {}), key=lambda reg: reg.offset)
    width = max((len(reg.name) for reg in found), default=0)
    for reg in found:
        yield f"{reg.offset - block.base:#06x} {reg.name:{width}} {_read(reg)}".rstrip()


def readings(block: Block) -> Iterator[tuple[str, Register]]:
    """The registers that a dump reads, by name, each read once, in the order of their offsets."""
    found = [reg for reg in _readable(block, {}) if isinstance(reg, Reg)]
    for reg in sorted(found, key=lambda reg: reg.offset):
        yield reg.name, cast("RO[Any]", reg).read()


def _readable(block: Block, banks: Mapping[str, Iterable[int]]) -> Iterator[Reg[Any] | Octets]:
    yield from block.readable()
    if hasattr(block.window, "read_bytes"):
        yield from (getattr(block, name) for name in type(block).runs)
    for name in type(block).parts:
        yield from _readable(getattr(block, name), banks)
    for name, bank in type(block).inner.items():
        blocks = getattr(block, name)
        for i in _there(block, bank, banks):
            yield from _readable(blocks[i], banks)


def _there(block: Block, bank: Banks[Any], banks: Mapping[str, Iterable[int]]) -> Iterable[int]:
    if bank.name in banks:
        return banks[bank.name]
    return range(bank.count) if bank.present is None else bank.present(block)


def _read(reg: Any) -> str:
    if isinstance(reg, Octets):
        data = reg.read()
        return data.hex(" ") if any(data) else f"{reg.length} zero bytes"
    return decoded(reg.read())


def decoded(value: Register) -> str:
    """A value in its full width, and what it means: `0x00010006 cps pod sud`."""
    return f"{value.raw:#0{value.width // 4 + 2}x} {value.shown()}".rstrip()


# --- trace ------------------------------------------------------------------------------------


def explain(block: type[Block], offset: int, width: int, value: int) -> str:
    """One access by name: `port[0].cmd = 0x10006: cps pod sud`.

    An access that covers several registers names them all, `; ` between; one that covers part of a register
    says which bits, and decodes these. Where nothing is declared, the offset stands for the name.
    """
    return "; ".join(_explained(block, offset, width, value))


def _explained(block: type[Block], offset: int, width: int, value: int) -> Iterator[str]:
    end = offset + width
    while offset < end:
        row = block.at(offset)
        if row is None:
            stop = next((at for at in range(offset + 1, end) if block.at(at)), end)
            yield f"{offset:#x} = {value & _ones(stop - offset):#x}"
        else:
            stop = min(end, row.offset + row.kind.size)
            yield _piece(row.name, row.kind, offset - row.offset, stop - offset, value)
        value >>= 8 * (stop - offset)
        offset = stop


def _piece(name: str, kind: type[Register], skipped: int, width: int, value: int) -> str:
    raw = value & _ones(width)
    if width < kind.size:
        name += f"[{8 * (skipped + width) - 1}:{8 * skipped}]"
    fields = kind.of(raw << 8 * skipped).shown()
    return f"{name} = {raw:#x}{': ' + fields if fields else ''}"


def _ones(width: int) -> int:
    return (1 << 8 * width) - 1


# --- table ------------------------------------------------------------------------------------


def table(block: type[Block], level: int = 3) -> str:
    """The manual's page of a block, in Markdown: its registers, those of the blocks in it, then each one's bits.

    `level` is the depth of the first heading. The words are the docstrings and comments of the declaration.
    """
    return "\n".join(_page(block, level)) + "\n"


def _page(block: type[Block], level: int) -> Iterator[str]:
    blocks = _once(_blocks(block))
    for each in blocks:
        yield from _block(each, level)
    for kind in _once(slot.kind for each in blocks for slot in each.slots.values()):
        if kind.fields:
            yield from _bits(kind, level + 1)


def _once(kinds: Iterable[K]) -> list[K]:
    return list({id(kind): kind for kind in kinds}.values())


def _blocks(block: type[Block]) -> Iterator[type[Block]]:
    yield block
    kinds = [part.kind for part in block.parts.values()]
    kinds += [bank.kind for bank in block.inner.values()]
    for kind in kinds:
        yield from _blocks(kind)


def _block(block: type[Block], level: int) -> Iterator[str]:
    yield from _head(block, level, "offset", "name", "bytes", "access", "what")
    for offset, cells in sorted(_members(block)):
        yield _row(f"`{offset:#05x}`", *cells)
    yield ""


def _members(block: type[Block]) -> Iterator[tuple[int, tuple[str, ...]]]:
    words = comments(block)
    for name, slot in block.slots.items():
        what = words.get(name) or _summary(slot.kind)
        yield slot.offset, (_plain(name), str(slot.kind.size), slot.access.access, what)
    for name, run in block.runs.items():
        yield run.offset, (_plain(name), str(run.length), "rw", words.get(name, ""))
    for name, part in block.parts.items():
        yield part.offset, (_plain(name), str(part.kind.size), "", _linked(part.kind))
    for name, bank in block.inner.items():
        what = f"{bank.count} × {_linked(bank.kind)}, {bank.stride:#x} apart"
        yield (
            bank.offset,
            (f"{_plain(name)}[{bank.count}]", str(bank.stride * bank.count), "", what),
        )


def _plain(name: str) -> str:
    return name.rstrip("_")


def _bits(kind: type[Register], level: int) -> Iterator[str]:
    yield from _head(kind, level, "bits", "name", "what")
    words = comments(kind)
    for field in sorted(kind.fields.values(), key=lambda f: -f.hi):
        said = (words.get(field.name, ""), _values(field), "one clears" if field.w1c else "")
        yield _row(str(field).split()[1], _plain(field.name), "; ".join(filter(None, said)))
    yield ""


def _values(field: Field) -> str:
    if not issubclass(field.kind, IntEnum):
        return ""
    return ", ".join(f"{v:#x} {v.name}" if v > 9 else f"{v} {v.name}" for v in field.kind)


def _head(kind: type, level: int, *names: str) -> Iterator[str]:
    yield from ("#" * level + " " + kind.__name__, "")
    if doc := _first(kind):
        yield from (doc, "")
    yield from (_row(*names), _row(*("---" for _ in names)))


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _first(kind: type) -> str:
    return " ".join((vars(kind).get("__doc__") or "").strip().partition("\n\n")[0].split())


def _summary(kind: type[Register]) -> str:
    """The docstring's first words, without its source; nothing where the register has no bits to tell."""
    return _SOURCE.sub("", _first(kind)).rstrip(".") if kind.fields else ""


def _linked(kind: type) -> str:
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


_said: dict[type, dict[str, str]] = {}


def comments(cls: type) -> dict[str, str]:
    """What the declaration's comments say of each member, by name; those of its bases too.

    Empty where the source is not at hand.
    """
    if cls not in _said:
        bases = [
            b
            for b in reversed(cls.__mro__)
            if not b.__module__.startswith(("lux9.regs", "builtins"))
        ]
        _said[cls] = {name: text for base in bases for name, text in _comments(base)}
    return _said[cls]


def _comments(cls: type) -> Iterator[tuple[str, str]]:
    try:
        lines = inspect.getsource(cls).splitlines()
    except (OSError, TypeError):
        return
    for line in lines:
        if match := _COMMENTED.match(line):
            yield match[1], match[2].strip()
