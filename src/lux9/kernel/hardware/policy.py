"""What a driver cannot change in the configuration space of its function, and why: a table.

Whatever is not in it can be written by the owner. `rules` makes it concrete for one function, `table` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...arch.pci import Af, CapId, ExtCapId, Found, Header0, Msi, Pcie, Pm
from ...regs import Slot
from .function import Function


class Kept(NamedTuple):
    """A register, or a field of it, that a driver cannot change: where it is, which bits, and why."""

    offset: int
    size: int
    mask: int
    name: str
    why: str


def kept(slot: Slot[Any], field: str, why: str) -> Kept:
    """The table's row for a field of a register; for all of the register when `field` is empty."""
    kind = slot.kind
    mask = kind.fields[field].span if field else (1 << kind.width) - 1
    return Kept(slot.offset, kind.size, mask, f"{slot.name}.{field}" if field else slot.name, why)


HEADER = (
    kept(Header0.line, "", "the kernel routed it: `irq:` in ctl"),
    kept(Header0.bist, "start", "a self test takes the function off the bus; write `reset` to ctl"),
)
CAPABILITY: dict[int, tuple[Kept, ...]] = {
    CapId.PM: (kept(Pm.control, "state", "a function that sleeps forgets its BARs"),),
    CapId.PCIE: (
        kept(Pcie.devctl, "flr", "a reset forgets the BARs; write `reset` to ctl"),
        kept(Pcie.devctl, "payload", "all functions on a path must agree on it"),
    ),
    CapId.ADVANCED_FEATURES: (
        kept(Af.control, "flr", "a reset forgets the BARs; write `reset` to ctl"),
    ),
}


class Whole(NamedTuple):
    """A capability of which all but the head stays as it is."""

    size: int
    why: str


WHOLE: dict[int, Whole] = {
    CapId.MSI: Whole(24, "the kernel programs messages: write `msi` to /dev/irq/ctl"),
    CapId.MSI_X: Whole(12, "the kernel programs messages: write `msix` to /dev/irq/ctl"),
}
EXTENDED: dict[int, Whole] = {
    ExtCapId.ACS: Whole(8, "it keeps functions from one another"),
    ExtCapId.ATS: Whole(8, "addresses that a function translates itself are not checked"),
    ExtCapId.SR_IOV: Whole(0x40, "it makes functions that nobody has claimed"),
    ExtCapId.MULTICAST: Whole(0x30, "it reaches what others have claimed"),
    ExtCapId.PAGE_REQUEST: Whole(16, "the arena is there, and nothing else is"),
    ExtCapId.PASID: Whole(8, "the arena is the function's only address space"),
    ExtCapId.RESIZABLE_BAR: Whole(0x34, "the BARs were placed with the size that they have"),
    ExtCapId.VF_RESIZABLE_BAR: Whole(0x34, "the BARs were placed with the size that they have"),
}


def rules(f: Function) -> Iterator[Kept]:
    """The table, made concrete for the capabilities that a function has: offsets are absolute."""
    yield from HEADER
    for found in f.capabilities:
        name = cap_name(found)
        for row in CAPABILITY.get(found.id, ()):
            yield row._replace(offset=found.offset + row.offset, name=f"{name} {row.name}")
        if (whole := WHOLE.get(found.id)) is not None:
            yield _whole(found, 2, _size(f, found, whole), name, whole)
    for found in f.extended:
        if (whole := EXTENDED.get(found.id)) is not None:
            yield _whole(found, 4, whole.size, cap_name(found, extended=True), whole)


def cap_name(found: Found, extended: bool = False) -> str:
    """A capability's name, or its number where it has none."""
    try:
        return (ExtCapId if extended else CapId)(found.id).name
    except ValueError:
        return f"{found.id:#06x}" if extended else f"{found.id:#04x}"


def _whole(found: Found, head: int, size: int, name: str, whole: Whole) -> Kept:
    size -= head
    return Kept(found.offset + head, size, (1 << 8 * size) - 1, name, whole.why)


def _size(f: Function, found: Found, whole: Whole) -> int:
    """MSI is as long as its control register says. PCI 3.0 §6.8.1"""
    if found.id != CapId.MSI:
        return whole.size
    control = Msi(f.window, found.offset).control.read()
    return (14 if control.wide else 10) + (10 if control.maskable else 0)


SPECIAL = (  # what `ConfigFile` does itself
    (
        "header",
        "command.master",
        "goes on with the capability `dma` and an arena only, as `master on`",
    ),
    (
        "header",
        "bar, rom",
        "can be sized as on hardware, and written back; they stay where they are",
    ),
    ("bridges", "all", "the kernel keeps them: bus numbers and windows are other functions' too"),
)


def table() -> Iterator[tuple[str, str, str]]:
    """(capability, what of it, why) for the manual."""
    yield from SPECIAL
    yield from (("header", row.name, row.why) for row in HEADER)
    for id, rows in CAPABILITY.items():
        yield from ((CapId(id).name, row.name, row.why) for row in rows)
    yield from ((CapId(id).name, "all", whole.why) for id, whole in WHOLE.items())
    yield from ((ExtCapId(id).name, "all", whole.why) for id, whole in EXTENDED.items())
