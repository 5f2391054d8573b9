"""Configuration space as a driver gets it: all of it to read, and to write what concerns nobody else.

What stays as it is, `policy` says. BARs and the command register are special: a BAR can be sized as on
hardware, which is answered from what the scan found, and stays where it is; bus master goes on as
`master on` does.
"""

from __future__ import annotations

from ...arch.pci import Command
from ...errors import BadArgument, PermissionDenied, Stale
from ...machine.functions import BarInfo
from ..process import Process
from .bus import Bus
from .function import Claim, Function
from .policy import Kept, rules

WIDTHS = {1: 0, 2: 1, 4: 3}  # access width: the offset's bits that must be zero
ONES = 0xFFFF_FFFF
COMMAND = range(0x04, 0x06)
BARS = range(0x10, 0x28)
ROM = range(0x30, 0x34)


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
