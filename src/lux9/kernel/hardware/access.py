"""Open files over registers: the hot path. One read or write is one access of that width.

A `BarFile` is what the server calls: no wrapper between. The short way through `read` and `write` is a handful of
operations; whatever is not a plain access goes to `_read_run` and `_write_run`, which explain the refusal or do it in
pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ...errors import BadArgument, PermissionDenied, Stale
from ...machine.functions import BarInfo
from ..process import Process
from ..recorder import Place
from .context import Context
from .function import Claim, Guard

MEMORY = {1: 0, 2: 1, 4: 3, 8: 7}  # access width: the offset's bits that must be zero
PORTS = {1: 0, 2: 1, 4: 3}
RUN = 64 << 10  # bytes of the longest run: other clients wait while it is done
Data: TypeAlias = "bytes | memoryview"


class BarFile:
    """A BAR under a claim. `length` is its size in bytes; `closed` is told when it is closed."""

    __slots__ = (
        *("base", "claim", "closed", "context", "get", "length", "name", "note", "place", "put"),
        "widths",
    )

    def __init__(
        self,
        context: Context,
        claim: Claim,
        bar: BarInfo,
        closed: Callable[[Claim], None] | None = None,
    ) -> None:
        machine = context.machine
        self.context, self.claim, self.closed = context, claim, closed
        self.base, self.length = bar.address, bar.size
        self.name = f"{claim.function.name} bar{bar.index}"
        self.place = Place(claim.function.name, claim.function.info.code, bar.index)
        self.note = claim.owner.recent.append
        io = bar.kind == "io"
        self.widths = PORTS if io else MEMORY
        self.get = machine.io_read if io else machine.mem_read
        self.put = machine.io_write if io else machine.mem_write

    def read(self, offset: int, count: int) -> bytes:
        """One access of `count` bytes, or a run of 4-byte ones."""
        mask, claim = self.widths.get(count), self.claim
        if mask is None or offset & mask or offset + count > self.length or not claim.alive:
            return self._read_run(count, offset)
        claim.touched = True
        value = self.get(self.base + offset, count)
        self.note((self.place, False, offset, count, value))
        return value.to_bytes(count, "little")

    def write(self, offset: int, data: Data) -> int:
        """One access as wide as the data, or a run of 4-byte ones."""
        count, claim = len(data), self.claim
        mask = self.widths.get(count)
        if mask is None or offset & mask or offset + count > self.length or not claim.alive:
            return self._write_run(data, offset)
        claim.touched = True
        value = int.from_bytes(data, "little")
        self.note((self.place, True, offset, count, value))
        self.put(self.base + offset, count, value)
        return count

    def handle(self) -> BarFile:
        """What the server calls."""
        return self

    def pread(self, count: int, offset: int) -> bytes:
        """As `read`, for whoever takes it as a Raw."""
        return self.read(offset, count)

    def pwrite(self, data: Data, offset: int) -> int:
        """As `write`."""
        return self.write(offset, data)

    def close(self) -> None:
        """A claim that came with an open goes with the last close."""
        if self.closed is not None:
            closed, self.closed = self.closed, None
            closed(self.claim)

    def _read_run(self, count: int, offset: int) -> bytes:
        count = self._fit("read", count, offset)
        self.note((self.place, False, offset, count, -1))
        get, at = self.get, self.base + offset
        return b"".join(get(at + i, 4).to_bytes(4, "little") for i in range(0, count, 4))

    def _write_run(self, data: Data, offset: int) -> int:
        count = self._fit("write", len(data), offset)
        if data and not count:
            raise self._refusal(
                "write", f"{offset:#x} is past the {self.length:#x} bytes of the BAR"
            )
        self.note((self.place, True, offset, count, -1))
        put, at = self.put, self.base + offset
        for i in range(0, count, 4):
            put(at + i, 4, int.from_bytes(data[i : i + 4], "little"))
        return count

    def _fit(self, action: str, count: int, offset: int) -> int:
        """How long a run may be. Raises Stale, or BadArgument for what is neither access nor run."""
        if not self.claim.alive:
            error = Stale(
                f"{self.name}: the claim that it was opened under has ended; open it again"
            )
            raise self.context.refuse(self.claim.owner, f"bar {action}", self.name, error)
        fit = min(count, RUN, max(self.length - offset, 0))
        if fit and (offset % 4 or fit % 4):
            raise self._refusal(
                action,
                f"{count} bytes at {offset:#x}; an access is {', '.join(map(str, self.widths))} bytes "
                "at a multiple of its width, a longer run is of 4-byte ones",
            )
        self.claim.touched = True
        return fit

    def _refusal(self, action: str, why: str) -> Exception:
        error = BadArgument(f"{self.name}: {action} of {why}")
        return self.context.refuse(self.claim.owner, f"bar {action}", self.name, error)


class GuardedBarFile(BarFile):
    """A BAR in which the kernel keeps something: that part can be read and not written."""

    __slots__ = ("guards",)

    def __init__(
        self,
        context: Context,
        claim: Claim,
        bar: BarInfo,
        closed: Callable[[Claim], None] | None,
        guards: list[Guard],
    ) -> None:
        super().__init__(context, claim, bar, closed)
        self.guards = guards

    def write(self, offset: int, data: Data) -> int:
        """As BarFile. Raises PermissionDenied where the kernel's part begins."""
        end = offset + len(data)
        for guard in self.guards:
            if offset < guard.end and guard.start < end and self.claim.alive:
                error = PermissionDenied(
                    f"{self.name}: {offset:#x} is in {guard.what}, which the kernel keeps; "
                    "write `msix` to /dev/irq/ctl"
                )
                raise self.context.refuse(self.claim.owner, "bar write", self.name, error)
        return super().write(offset, data)


def open_bar(
    context: Context, claim: Claim, bar: BarInfo, closed: Callable[[Claim], None] | None = None
) -> BarFile:
    """A BAR as a file, guarded where it has to be."""
    guards = [g for g in claim.function.guards() if g.bar == bar.index]
    if guards:
        return GuardedBarFile(context, claim, bar, closed, guards)
    return BarFile(context, claim, bar, closed)


class SpaceFile:
    """All of memory or port space that a process has claimed: /dev/mem, /dev/io. Offset is the address."""

    __slots__ = ("claims", "context", "end", "file", "io", "process", "start")

    def __init__(
        self, context: Context, process: Process, io: bool, claims: Callable[[Process], list[Claim]]
    ) -> None:
        self.context, self.process, self.io, self.claims = context, process, io, claims
        self.start = self.end = 0  # the BAR that was used last
        self.file: BarFile | None = None

    def pread(self, count: int, offset: int) -> bytes:
        """One access at the address `offset`, in a BAR that the process has claimed. Raises PermissionDenied."""
        return self._at("read", offset).read(offset - self.start, count)

    def pwrite(self, data: Data, offset: int) -> int:
        """One access at the address `offset`, in a BAR that the process has claimed. Raises PermissionDenied."""
        return self._at("write", offset).write(offset - self.start, data)

    def _at(self, action: str, address: int) -> BarFile:
        file = self.file
        if file is not None and self.start <= address < self.end and file.claim.alive:
            return file
        return self._find(action, address)

    def _find(self, action: str, address: int) -> BarFile:
        for claim in self.claims(self.process):
            for bar in claim.function.bars.values():
                if (
                    (bar.kind == "io") == self.io
                    and bar.address
                    and 0 <= address - bar.address < bar.size
                ):
                    self.start, self.end = bar.address, bar.address + bar.size
                    self.file = open_bar(self.context, claim, bar)
                    return self.file
        device = "io" if self.io else "mem"
        error = PermissionDenied(
            f"{device}: {address:#x} is not in a BAR that {self.process.name} has claimed"
        )
        raise self.context.refuse(self.process, f"{device} {action}", f"{address:#x}", error)
