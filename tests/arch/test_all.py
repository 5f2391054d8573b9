"""Every register and every block of `arch/`, whatever it is: fields tile, offsets ascend, the source is cited."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import lux9.arch
from lux9.arch import BLOCKS, registers_of
from lux9.arch.ahci import HBA
from lux9.arch.ata import Identify
from lux9.regs import Block, Register
from lux9.regs_view import dump, explain, table

MODULES = [
    importlib.import_module(f"lux9.arch.{m.name}") for m in pkgutil.iter_modules(lux9.arch.__path__)
]


def declared(base: type[Any]) -> list[type[Any]]:
    """The subclasses of `base` that the modules declare, in order of name."""
    found = {
        cls
        for module in MODULES
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, base) and cls.__module__ == module.__name__
    }
    return sorted(found, key=lambda cls: (cls.__module__, cls.__name__))


def name(cls: type[Any]) -> str:
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"


REGISTERS: list[type[Register]] = declared(Register)
BLOCKS_ALL: list[type[Block]] = declared(Block)


def test_there_is_something_to_test() -> None:
    assert len(REGISTERS) > 100
    assert len(BLOCKS_ALL) > 30


@pytest.mark.parametrize("cls", REGISTERS, ids=name)
def test_fields_tile_from_the_top_down(cls: type[Register]) -> None:
    assert cls.width in (8, 16, 32, 64)
    assert cls.fields, "a register with no fields is a U8, U16, U32 or U64"
    above = cls.width
    for field in cls.fields.values():
        assert field.lo <= field.hi < above, f"{field.name} is not below what stands above it"
        above = field.lo


@pytest.mark.parametrize("cls", REGISTERS, ids=name)
def test_enumerations_fit_their_fields(cls: type[Register]) -> None:
    for field in cls.fields.values():
        if field.kind not in (int, bool):
            assert all(0 <= int(v) <= field.mask for v in field.kind)  # type: ignore[attr-defined]  # an IntEnum


def places(cls: type[Block]) -> Iterator[tuple[int, int, str]]:
    """(offset, end, name) of every member in the order of the declaration."""
    members = {**cls.slots, **cls.runs, **cls.parts, **cls.inner}
    order = [n for base in reversed(cls.__mro__) for n in vars(base) if n in members]
    for n in order:
        m: Any = members[n]
        if n in cls.inner:
            size = (m.count - 1) * m.stride + m.kind.extent()
        else:
            size = m.length if n in cls.runs else m.kind.size
        yield m.offset, m.offset + size, n


@pytest.mark.parametrize("cls", BLOCKS_ALL, ids=name)
def test_offsets_ascend_and_nothing_overlaps(cls: type[Block]) -> None:
    end = 0
    for offset, stop, member in places(cls):
        assert offset >= end, f"{member} at {offset:#x} lies on what ends at {end:#x}"
        end = stop
    assert end <= cls.extent()


@pytest.mark.parametrize("cls", BLOCKS_ALL, ids=name)
def test_words_are_aligned(cls: type[Block]) -> None:
    for slot in cls.slots.values():
        size = 2 if cls is Identify else min(slot.kind.size, 4)  # IDENTIFY is made of 16-bit words
        assert slot.offset % size == 0, slot.name


@pytest.mark.parametrize("cls", BLOCKS_ALL, ids=name)
def test_banks_do_not_overlap_themselves(cls: type[Block]) -> None:
    for bank in cls.inner.values():
        assert bank.kind.extent() <= bank.stride


@pytest.mark.parametrize("cls", [*REGISTERS, *BLOCKS_ALL], ids=name)
def test_the_source_is_cited(cls: type[Any]) -> None:
    cited = cls.__doc__ or ""
    assert "§" in cited or "Ref:" in cited or "PCI" in cited, "specification and section"


@pytest.mark.parametrize("cls", REGISTERS, ids=name)
@settings(max_examples=25)
@given(data=st.data())
def test_every_value_survives_its_fields(cls: type[Register], data: st.DataObject) -> None:
    raw = data.draw(st.integers(0, cls.ones))
    reg = cls.of(raw)
    values = {n: int(getattr(reg, n)) for n in cls.fields}
    assert cls(**values).raw == raw & cls.named
    assert reg.replace(**values) == reg


@pytest.mark.parametrize("cls", BLOCKS_ALL, ids=name)
def test_every_block_can_be_shown(cls: type[Block]) -> None:
    few = {n: range(min(b.count, 2)) for n, b in cls.inner.items()}
    list(dump(cls.over(bytearray(min(cls.extent(), 1 << 16))), few))
    assert explain(cls, 0, 4, 0)
    assert table(cls).startswith(f"### {cls.__name__}\n")


def test_registers_are_found_by_class_code() -> None:
    assert registers_of(0x010601) == (5, HBA, "hba")
    assert registers_of(0xFFFFFF) is None
    edu = registers_of(0x00FF00, (0x1234, 0x11E8))
    assert edu is not None
    assert edu.name == "edu"
    assert all(0 <= code <= 0xFFFFFF and 0 <= found.bar < 6 for code, found in BLOCKS.items())
