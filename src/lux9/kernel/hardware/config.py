"""Configuration space as a driver gets it: all of it to read, and to write what concerns nobody else.

The policy is a table: KEPT names the registers, or the fields of them, that stay as they are, and why. Apart
from it, BARs and the command register are special: a BAR can be sized as on hardware, which is answered
from what the scan found, and stays where it is; bus master goes on as `master on` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...arch.pci import (
    Af,
    CapId,
    Command,
    ExtCapId,
    Found,
    Header0,
    Msi,
    Pcie,
    Pm,
)
from ...errors import BadArgument, PermissionDenied, Stale
from ...machine.functions import BarInfo
from ...regs import Slot
from ..process import Process
from .bus import Bus
from .function import Claim, Function

WIDTHS = {1: 0, 2: 1, 4: 3}  # access width: the offset's bits that must be zero
ONES = 0xFFFF_FFFF
COMMAND = range(0x04, 0x06)
BARS = range(0x10, 0x28)
ROM = range(0x30, 0x34)


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


class ConfigFile:
    """The configuration space of a function, open for a process. `length` is 256 or 4096."""

    def __init__(self, bus: Bus, process: Process, f: Function) -> None:
        self.bus, self.process, self.function, self.length = bus, process, f, f.size
        self.claim = f.claim if f.claim is not None and f.claim.owner is process else None
        self.rules: tuple[Kept, ...] | None = None

    def pread(self, count: int, offset: int) -> bytes:
        """One access of 1, 2 or 4 aligned bytes; anything else in pieces, cut at the end."""
        mask = WIDTHS.get(count)
        if mask is not None and not offset & mask and offset + count <= self.length:
            return self.read(offset, count).to_bytes(count, "little")
        out, end = bytearray(), min(offset + count, self.length)
        while offset < end:
            width = next(w for w in (4, 2, 1) if offset % w == 0 and offset + w <= end)
            out += self.read(offset, width).to_bytes(width, "little")
            offset += width
        return bytes(out)

    def read(self, offset: int, width: int) -> int:
        """One access. A BAR that the process is sizing reads as its size."""
        claim = self.claim
        if claim is not None and claim.sizing and (offset in BARS or offset in ROM):
            whole = self._sized(offset & ~3)
            return whole >> 8 * (offset & 3) & (1 << 8 * width) - 1
        return self.function.window.read(offset, width)

    def pwrite(self, data: bytes | memoryview, offset: int) -> int:
        """One access of 1, 2 or 4 aligned bytes, by the owner, within the policy."""
        width, mask = len(data), WIDTHS.get(len(data))
        if mask is None or offset & mask or offset + width > self.length:
            raise self._no(
                offset,
                BadArgument(f"{width} bytes; a write is 1, 2 or 4, at a multiple of its width"),
            )
        self.write(offset, width, int.from_bytes(data, "little"))
        return width

    def write(self, offset: int, width: int, value: int) -> None:
        """One access. Raises PermissionDenied or Stale, recorded, before anything is written."""
        claim = self._own(offset)
        if offset in BARS or offset in ROM:
            self._bar(claim, offset, width, value)
            return
        for rule in self._rules():
            self._check(rule, offset, width, value)
        if offset in COMMAND:
            self._command(claim, offset, width, value)
        else:
            self.function.window.write(offset, width, value)
        claim.touched = True

    def _own(self, offset: int) -> Claim:
        if self.claim is not None and not self.claim.alive:
            raise self._no(
                offset, Stale("the claim that it was opened under has ended; open it again")
            )
        if self.claim is None:
            self.claim = self.bus.own(self.process, "config write", self.function.name)
        return self.claim

    def _no(self, offset: int, error: BadArgument | PermissionDenied | Stale) -> Exception:
        target = f"{self.function.name} config {offset:#x}"
        named = type(error)(f"{target}: {error}")
        return self.bus.context.refuse(self.process, "config write", target, named)

    def _rules(self) -> tuple[Kept, ...]:
        if self.rules is None:
            self.rules = tuple(rules(self.function))
        return self.rules

    def _check(self, rule: Kept, offset: int, width: int, value: int) -> None:
        """Refuse to change a bit that the rule keeps."""
        start, end = max(offset, rule.offset), min(offset + width, rule.offset + rule.size)
        if start >= end:
            return
        kept = rule.mask >> 8 * (start - rule.offset) & (1 << 8 * (end - start)) - 1
        now = self.function.window.read(offset, width) >> 8 * (start - offset)
        asked = value >> 8 * (start - offset)
        if (now ^ asked) & kept:
            raise self._no(offset, PermissionDenied(f"{rule.name} stays as it is: {rule.why}"))

    # The command register

    def _command(self, claim: Claim, offset: int, width: int, value: int) -> None:
        """Write it; bus master goes on with an arena attached, and off before that is taken away."""
        f = self.function
        old = self.bus.command(f)
        shift, mask = 8 * (offset & 1), (1 << 8 * min(width, 2)) - 1
        new = Command.of((old.raw & ~(mask << shift) | (value & mask) << shift) & 0xFFFF)
        if claim.pins_off:
            value |= Command(intx_disable=True).raw >> shift & mask
        if new.master and not old.master:
            self.bus.master_on(claim)
        f.window.write(offset, width, value)
        if old.master and not new.master:
            self.bus.machine.detach(f.bdf)

    # BARs

    def _bar(self, claim: Claim, offset: int, width: int, value: int) -> None:
        """All ones begin the sizing, the address ends it; the register itself stays as it is."""
        at = offset & ~3
        now = self.function.window.read(at, 4)
        fixed = 0x7FF if at in ROM else 0xF
        if width == 4 and value | fixed == ONES:
            claim.sizing.add(at)
        elif value == now >> 8 * (offset & 3) & (1 << 8 * width) - 1 or (
            width == 4 and value | fixed == now | fixed
        ):
            claim.sizing.discard(at)
        else:
            what = "the expansion ROM" if at in ROM else f"bar{(at - BARS.start) // 4}"
            raise self._no(
                offset,
                PermissionDenied(f"{value:#x} would move {what}; it stays at {now & ~fixed:#x}"),
            )

    def _sized(self, at: int) -> int:
        claim = self.claim
        if claim is None or at not in claim.sizing:
            return self.function.window.read(at, 4)
        n = (at - BARS.start) // 4
        low = self.function.bars.get(n)
        high = self.function.bars.get(n - 1)
        if at in BARS and low is not None:
            return size_mask(low) & ONES
        if at in BARS and high is not None and high.wide:
            return size_mask(high) >> 32 & ONES
        return 0


def size_mask(bar: BarInfo) -> int:
    """What a BAR reads as after all ones were written to it, both halves. PCI 3.0 §6.2.5.1"""
    flags = 1 if bar.kind == "io" else bar.wide << 2 | bar.prefetch << 3
    return -bar.size | flags
