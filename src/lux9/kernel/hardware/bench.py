"""What a hand does to hardware, by command: on the machines that are emulated, and for their owner alone."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from ...arch.pci import bdf, bdf_text
from ...errors import BadArgument, Lux9Error, NotSupported, PermissionDenied
from ...machine.abstract import Workbench
from ..process import Cap, Process
from .context import Context

T = TypeVar("T")


class Bench:
    """Cards that come and go, and faults. Drivers and users of the network are refused: it is not their machine."""

    def __init__(self, context: Context) -> None:
        self.context = context

    async def plug(self, process: Process, card: str) -> str:
        """Plug a card in; the name of its function."""
        bench = self._for(process, "pci plug", card)
        return bdf_text(await self._done(process, "pci plug", card, bench.insert(card)))

    async def unplug(self, process: Process, name: str) -> None:
        """Pull a card out."""
        bench = self._for(process, "pci unplug", name)
        try:
            place = bdf(name)
        except ValueError as why:
            error = BadArgument(f"pci unplug {name}: {why}; /dev/pci/bus lists what is there")
            raise self.context.refuse(process, "pci unplug", name, error) from None
        await self._done(process, "pci unplug", name, bench.pull(place))

    async def fault(self, process: Process, rule: str) -> None:
        """Order a fault."""
        bench = self._for(process, "pci fault", rule)
        await self._done(process, "pci fault", rule, bench.spoil(rule))

    def _for(self, process: Process, action: str, target: str) -> Workbench:
        self.context.need(process, Cap.PCI, action, target)
        machine = self.context.machine
        if process.confined:
            error: Lux9Error = PermissionDenied(
                f"{action}: {process.name} is a {process.kind}; cards are for whoever runs the machine"
            )
        elif isinstance(machine, Workbench):
            return machine
        else:
            error = NotSupported(
                f"{action}: this is hardware: plug and pull it by hand, then `rescan`"
            )
        raise self.context.refuse(process, action, target, error)

    async def _done(self, process: Process, action: str, target: str, work: Awaitable[T]) -> T:
        try:
            result = await work
        except Lux9Error as error:
            raise self.context.refuse(process, action, target, error) from None
        self.context.allow(process, action, target)
        return result
