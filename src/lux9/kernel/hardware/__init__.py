"""The hardware half of the kernel: who may touch what, and what is undone at the end. Knows no 9P.

`Hardware` ties the parts together: the bus and its claims, configuration space, interrupts, DMA, and quiesce,
which is what happens to all of these when a process ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ...machine.abstract import PLUGGED, PULLED, Machine
from ...machine.functions import scan as scan_functions
from ..process import Cap, Process
from .access import BarFile, SpaceFile, open_bar
from .bench import Bench
from .bus import Bus, Scan
from .config import ConfigFile
from .context import ENDED, Auditor, Context
from .dma import Dma
from .function import Claim, Function
from .irq import Interrupts, Storm
from .quiesce import Quiesced, Quiescer, Step
from .routes import LINES

__all__ = [
    "ENDED",
    "BarFile",
    "Claim",
    "ConfigFile",
    "Function",
    "Hardware",
    "Quiesced",
    "SpaceFile",
    "Step",
    "Storm",
]


class Hardware:
    """A machine, shared out. `bus`, `irq` and `dma` hold what was given to whom.

    `log(text)` gets the machine's reports and what went wrong in a quiesce; `clock()` is seconds since 1970.
    """

    def __init__(
        self,
        machine: Machine,
        audit: Auditor,
        log: Callable[[str], None],
        *,
        scan: Scan = scan_functions,
        storm: Storm | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.machine = machine
        self.context = Context(machine, audit, log, clock)
        self.bus = Bus(self.context, scan)
        self.irq = Interrupts(self.context, self.bus, storm)
        self.dma = Dma(self.context)
        self.bench = Bench(self.context)
        self._quiescer = Quiescer(self.context, self.bus, self.irq, self.dma)
        self.watchers: list[Callable[[str, bool], None]] = []  # told what was plugged in (or out)
        self.troubles: list[str] = []  # what the machine said of itself, and not of a function

    async def start(self) -> None:
        """Bring the machine up, every line masked. Functions are looked for when somebody asks."""
        await self.machine.start(self.irq.sink, self._report)
        for line in range(LINES):
            self.machine.mask(line)

    def _report(self, what: str, text: str) -> None:
        """The machine has something to tell: it goes to the log, and to the audit under the owner's name."""
        self.context.log(f"{what}: {text}")
        if what == self.machine.name:
            self.troubles.append(f"{what}: {text}")
        owner = next((c.owner for c in self.bus.held() if c.function.name == what), None)
        self.context.audit.record(owner, "machine report", what, "done", text=text)
        if text in (PLUGGED, PULLED):
            for watcher in self.watchers:
                watcher(what, text == PLUGGED)

    @property
    def functions(self) -> dict[str, Function]:
        """Every function by name (`0000:00:1f.2`), in the order of the bus."""
        return self.bus.functions

    # What devices open

    def open_bar(self, process: Process, name: str, n: int) -> BarFile:
        """A BAR as a file. On an unclaimed function this is a claim, for as long as the file is open."""
        claim, bar = self.bus.open_bar(process, name, n)
        return open_bar(self.context, claim, bar, self._closed)

    def _closed(self, claim: Claim) -> None:
        claim.opens -= 1
        if claim.alive and not claim.explicit and not claim.opens:
            self._quiescer.release(claim)

    def open_config(self, process: Process, name: str) -> ConfigFile:
        """A function's configuration space as a file. Raises PermissionDenied without Cap.PCI."""
        self.context.need(process, Cap.PCI, "config open", name)
        return ConfigFile(self.bus, process, self.bus.find(name))

    def open_space(self, process: Process, io: bool) -> SpaceFile:
        """Memory space, or port space, as far as the process has claimed it."""
        cap, device = (Cap.IO, "io") if io else (Cap.MEM, "mem")
        self.context.need(process, cap, f"{device} open", device)
        return SpaceFile(self.context, process, io, self.bus.claims_of)

    def reset(self, process: Process, name: str) -> str:
        """Reset a claimed function, its messages kept; how, in words. Raises PermissionDenied, DeviceError."""
        how = self.bus.reset(process, name)
        self.irq.restore(self.bus.find(name))
        return how

    # The end

    def release(self, process: Process, name: str) -> None:
        """End a claim: interrupts masked, bus master off, decoding as it was. Raises PermissionDenied."""
        self._quiescer.release(self.bus.own(process, "pci release", name))

    def end(self, process: Process) -> Quiesced:
        """Quiesce whatever a process held, and give it nothing more. Nothing that fails stops the rest."""
        return self._quiescer.end(process)

    @property
    def last_quiesce(self) -> Quiesced | None:
        """The steps of the last `end` that had something to do."""
        return self._quiescer.last
