"""The bus: which functions there are, who has claimed them, and what a claim turns on and off.

A claim is refused before anything is touched. It turns decoding on; its end turns bus master off, then
decoding back to what it was. What was opened under a claim is stale when the claim has ended, even if the
same process claims the function again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from ...arch.pci import Command, Header
from ...errors import (
    BadArgument,
    Busy,
    DeviceError,
    DeviceGone,
    Lux9Error,
    NotFound,
    PermissionDenied,
)
from ...machine.abstract import Machine
from ...machine.functions import BarInfo, FunctionInfo
from ...wire.steady import changed
from ..process import Cap, Process
from .context import Context
from .function import Claim, Function, function
from .routes import routes

Scan = Callable[
    [Machine, Iterable[FunctionInfo]], Sequence[FunctionInfo]
]  # as machine.functions.scan
DECODE = Command(io=True, mem=True, intx_disable=True)  # what comes back when a claim ends


def when(seconds: float) -> str:
    """A time as people write it, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Bus:
    """All functions, by name; scanned when somebody looks, and again on `rescan`."""

    def __init__(self, context: Context, scan: Scan) -> None:
        self.context, self.machine, self._scan = context, context.machine, scan
        self.end: Callable[[Claim], object] = (
            self.drop
        )  # what ends a claim when its function was replaced
        self.changed: Callable[[], None] = lambda: None  # called when functions came or went
        self._functions: dict[str, Function] | None = None
        self._generation = 0

    # What there is

    @property
    def functions(self) -> dict[str, Function]:
        """Every function by name, in the order of the bus."""
        if self._functions is None:
            self._functions = self._look({})
        return self._functions

    def _look(self, known: dict[str, Function]) -> dict[str, Function]:
        """Scan; a function that is as it was stays the same object, with its claim."""
        found: dict[str, Function] = {}
        infos = self._scan(self.machine, [f.info for f in known.values()])
        lines = routes(infos)
        for info in infos:
            old = known.get(info.name)
            same = old is not None and old.info == info
            found[info.name] = (
                old if old and same else function(self.machine, info, lines[info.bdf])
            )
        return found

    def rescan(self, process: Process) -> str:
        """Look again. A claim outlives its function's absence, and ends when another one is in its place."""
        self.context.need(process, Cap.PCI, "pci rescan", "pci")
        outcome = self.look()
        self.context.allow(process, "pci rescan", "pci", outcome=outcome)
        return outcome

    def look(self) -> str:
        """Look again, for the kernel itself; what was found, in words."""
        old = self.functions
        new = self._look(old)
        for claim in self.held():
            f = claim.function
            if f.name not in new:
                new[f.name] = f
            elif new[f.name] is not f:
                self.end(claim)
        self._functions = {f.name: f for f in sorted(new.values(), key=lambda f: f.bdf)}
        if any(old.get(name) is not f for name, f in new.items()) or len(old) != len(new):
            changed()
            self.changed()
        return f"{len(new)} functions, {len(new.keys() - old.keys())} new"

    def find(self, name: str) -> Function:
        """A function by name. Raises NotFound."""
        f = self.functions.get(name)
        if f is None:
            raise NotFound(f"pci: there is no function {name}; /dev/pci/bus lists them")
        return f

    def held(self) -> list[Claim]:
        """Every claim. Does not scan: before the first scan there are none."""
        return [f.claim for f in (self._functions or {}).values() if f.claim is not None]

    def claims_of(self, process: Process) -> list[Claim]:
        """The claims of one process."""
        return [c for c in self.held() if c.owner is process]

    # Claims

    def claim(self, process: Process, name: str, explicit: bool = True) -> Claim:
        """Take a function. Raises Busy when another has it, PermissionDenied without Cap.PCI."""
        self.context.need(process, Cap.PCI, "pci claim", name)
        f = self.find(name)
        if f.claim is not None and f.claim.owner is process:
            if explicit and not f.claim.explicit:
                f.claim.explicit = True
                self.context.allow(process, "pci claim", name, by="claim")
            return f.claim
        try:
            self._claimable(process, f)
        except Lux9Error as error:
            raise self.context.refuse(process, "pci claim", name, error) from None
        return self._take(process, f, explicit)

    def _claimable(self, process: Process, f: Function) -> None:
        if f.claim is not None:
            raise Busy(self._whose(f.claim))
        if f.bridge:
            raise PermissionDenied(
                f"{f.name} is a bridge: other functions hang on it, so the kernel keeps it; "
                "its configuration can be read"
            )
        if not f.present:
            raise DeviceGone(f"{f.name} does not answer; write `rescan` to /dev/pci/ctl")

    def _whose(self, claim: Claim) -> str:
        owner = claim.owner
        command = f", {owner.command!r}" if owner.command else ""
        return (
            f"{claim.function.name} is claimed by {owner.name} (process {owner.number}{command}) "
            f"since {when(claim.since)}; it has to write `release`, or end"
        )

    def _take(self, process: Process, f: Function, explicit: bool) -> Claim:
        before = self.command(f)
        self._generation += 1
        f.claim = Claim(f, process, self.context.clock(), self._generation, before, explicit)
        self.decode(f, True)
        how = "claim" if explicit else "open"
        self.context.allow(
            process, "pci claim", f.name, by=how, generation=self._generation, before=repr(before)
        )
        return f.claim

    def own(self, process: Process, action: str, name: str) -> Claim:
        """The process's own claim. Raises PermissionDenied, recorded, when it has none."""
        self.context.need(process, Cap.PCI, action, name)
        f = self.find(name)
        if f.claim is not None and f.claim.owner is process:
            return f.claim
        owner = f.claim.owner.name if f.claim is not None else "nobody"
        error = PermissionDenied(
            f"{name} is claimed by {owner}, not by {process.name}; write `claim` to its ctl first"
        )
        raise self.context.refuse(process, action, name, error)

    def drop(self, claim: Claim) -> str:
        """The last step of a claim: decoding as it was, handles stale, the function free."""
        claim.alive = False
        claim.function.claim = None
        now = self.command(claim.function).replace(master=False)
        value = Command.of(now.raw & ~DECODE.raw | claim.before.raw & DECODE.raw)
        self._set_command(claim.function, value)
        return repr(value)

    def open_bar(self, process: Process, name: str, n: int) -> tuple[Claim, BarInfo]:
        """The claim to open a BAR file under, and the BAR. Opening an unclaimed function's claims it.

        Raises Busy when another has it, PermissionDenied, NotFound.
        """
        f = self.find(name)
        bar = f.bars.get(n)
        if bar is None:
            raise NotFound(f"{name} has no bar{n}")
        self.context.need(
            process, Cap.IO if bar.kind == "io" else Cap.MEM, "pci open", f"{name} bar{n}"
        )
        if not bar.address:
            error = BadArgument(f"{name} bar{n} was given no address: no room for {bar.size} bytes")
            raise self.context.refuse(process, "pci open", f"{name} bar{n}", error)
        claim = self.claim(process, name, explicit=False)
        claim.opens += 1
        return claim, bar

    # The command register

    def command(self, f: Function) -> Command:
        """The command register. PCI 3.0 §6.2.2"""
        return Header(f.window).command.read()

    def _set_command(self, f: Function, value: Command) -> None:
        Header(f.window).command.write(value)

    def decode(self, f: Function, on: bool) -> None:
        """Let the function answer at its BARs that have an address, or not."""
        placed = [b for b in f.bars.values() if b.address]
        value = self.command(f)
        if any(b.kind == "io" for b in placed):
            value = value.replace(io=on)
        if any(b.kind == "mem" for b in placed):
            value = value.replace(mem=on)
        self._set_command(f, value)

    def intx(self, f: Function, on: bool) -> None:
        """Let the function drive its INTx pin, or not; what its driver chose comes back."""
        claim = f.claim
        if claim is None or claim.pins_off == (not on):
            return
        value = self.command(f)
        if not on and value.intx_disable:
            return  # its driver did so
        claim.pins_off = not on
        self._set_command(f, value.replace(intx_disable=not on))

    def enable(self, process: Process, name: str, on: bool) -> None:
        """Let a claimed function answer at its BARs, or not. Raises PermissionDenied."""
        action = "pci enable" if on else "pci disable"
        claim = self.own(process, action, name)
        self.decode(claim.function, on)
        self.context.allow(process, action, name)

    def master(self, process: Process, name: str, on: bool) -> None:
        """Let a claimed function write memory, or not. Raises PermissionDenied without Cap.DMA or an arena."""
        claim = self.own(process, "pci master", name)
        if not on:
            self.master_off(claim)
        else:
            self.master_on(claim)
        detail = {"protects": self.machine.protects} if on else {}
        self.context.allow(process, "pci master", name, on=on, **detail)

    def master_on(self, claim: Claim) -> None:
        """Attach the owner's arena, then turn bus master on. Raises PermissionDenied, recorded."""
        owner, f = claim.owner, claim.function
        self.context.need(owner, Cap.DMA, "pci master", f.name)
        if owner.arena is None:
            error = PermissionDenied(
                f"{f.name}: {owner.name} has no arena for it to reach; allocate a DMA buffer first"
            )
            raise self.context.refuse(owner, "pci master", f.name, error)
        self.machine.attach(f.bdf, owner.arena)
        claim.mastered = True
        self._set_command(f, self.command(f).replace(master=True))

    def master_off(self, claim: Claim) -> str:
        """Turn bus master off, and detach the arena whatever happens. Raises DeviceError when it stays on."""
        f = claim.function
        try:
            if not f.present:
                return "gone"
            self._set_command(f, self.command(f).replace(master=False))
            now = self.command(f)
        finally:
            self.machine.detach(f.bdf)
        if now.master and not now.all_ones:
            raise DeviceError(f"{f.name}: bus master does not go off: {now!r}")
        return repr(now)

    def reset(self, process: Process, name: str) -> str:
        """Reset a claimed function; how it was done, in words. Raises PermissionDenied, DeviceError."""
        claim = self.own(process, "pci reset", name)
        try:
            how = self.machine.reset(claim.function.bdf)
        except Lux9Error as error:
            raise self.context.refuse(process, "pci reset", name, error) from None
        self.context.allow(process, "pci reset", name, method=how)
        return how
