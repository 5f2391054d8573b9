"""Completions of a port whose HBA is on another host: everything that is to be known in one round trip.

There memory costs as much as a register, and nothing is looked at twice or for longer than once. A glance asks for
the truth (PxSACT, PxCI), then the FISes, then, where it is little, the data of what is in flight: in this order on
one connection, so that an error is seen by its FIS, and data is as new as the truth that it goes with. Nobody waits
meanwhile, so a glance tells only of the commands that were in flight when it was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ...arch.ahci import HBA, IS, PxIS
from ...driver.poll import Spinner
from ...errors import DeviceGone
from ...pending import Maybe, after, gather, rescued
from .commands import Request, tell
from .completion import ONES, STATE, Completion
from .state import CHANGES, COMPLETIONS, FATAL

if TYPE_CHECKING:
    from .controller import Controller
    from .port import Port

AHEAD = 1 << 16  # bytes of data in flight up to which all of it is asked for with the truth


class Glance(NamedTuple):
    """What a port said, and the commands that this is about."""

    commands: Sequence[tuple[Request, float]]  # with the time of issue: one may be on its way again
    data: bool  # theirs came with it
    state: bytes  # PxIS to PxCI


class FarCompletion(Completion):
    """The source of a spinner that never spins."""

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        self.spinner = Spinner(self, longest=0.0)
        self._here = False  # the data of what is being finished
        self._asked = False

    def glance(self, data: bool) -> Maybe[Glance]:
        """Ask for all of it; `data`: as much of it as is worth it."""
        port = self.port
        flight = [(request, request.issued) for request in port.queue.in_flight()]
        data = data and sum(_incoming(request) for request, _ in flight) <= AHEAD
        state = port.bar.ask(self._is_at, STATE.size)
        rest = [self.memory.fetch(), *(port.fetch(request) for request, _ in flight if data)]

        def told(raw: bytes) -> Maybe[Glance]:
            return after(gather(rest, lambda part: part), lambda _: Glance(flight, data, raw))

        return after(state, told)

    def truth(self) -> int:
        """Complete what the registers say is done, when they have; none so far."""
        if self.port.queue.active and not self._asked:
            self._asked = True
            rescued(lambda: after(self.glance(False), self._seen), self._failed)
        return 0

    def _seen(self, glance: Glance) -> None:
        self._asked = False
        self._take(glance)

    def _failed(self, error: Exception) -> None:
        self._asked = False
        self.failed(error)

    def clear(self) -> None:
        """Before a glance: what comes from here on interrupts again."""
        self.port.stats.counters["interrupts"] += 1
        self.regs.is_.clear(COMPLETIONS)

    def interrupted(self, glance: Glance) -> None:
        """The second half of `interrupt`."""
        events = self._take(glance)
        if events & ~COMPLETIONS.raw:
            self._events(PxIS.of(events))

    def _take(self, glance: Glance) -> int:
        """Complete what is done; the port's events."""
        events, sact, ci = STATE.unpack(glance.state)
        if events == ONES:
            self._there()
        slots = self.port.queue.slots
        known = sum(
            1 << request.slot
            for request, issued in glance.commands
            if slots[request.slot] is request and request.issued == issued
        )
        if known and not self._refused() and not events & (FATAL.raw | CHANGES.raw):
            self._here = glance.data
            self._finish(known & ~(sact | ci))
            self._here = False
        return int(events)

    def hand_out(self, done: list[Request]) -> None:
        """When their data is here."""
        if self._here:
            tell(done, None)
            return
        for request in done:
            self._bring(request)

    def _bring(self, request: Request) -> None:
        rescued(
            lambda: after(self.port.fetch(request), lambda _: tell([request], None)),
            lambda error: tell([request], error),
        )


def _incoming(request: Request) -> int:
    return 0 if request.op.write else request.size


def serve(controller: Controller) -> Maybe[None]:
    """An interrupt: the HBA, and each port with commands in flight, are asked at once."""
    busy = {n: _far(port) for n, port in controller.ports.items() if port.queue.active}
    for completion in busy.values():
        completion.clear()
    pending = controller.bar.ask(HBA.is_.offset, 4)
    glances = gather(list(busy.values()), lambda completion: completion.glance(True))

    def told(raw: bytes) -> Maybe[None]:
        events = IS.of(int.from_bytes(raw, "little"))
        if events.all_ones and controller.regs.ghc.read().all_ones:
            raise DeviceGone(
                f"{controller.function.bdf}: its registers read all ones: it was removed"
            )
        return after(
            glances, lambda seen: _served(controller, events, dict(zip(busy, seen, strict=True)))
        )

    return after(pending, told)


def _served(controller: Controller, pending: IS, seen: Mapping[int, Glance]) -> Maybe[None]:
    """Take in what was seen; ports that had nothing in flight, and something to say, are asked now."""
    for n, glance in seen.items():
        _far(controller.ports[n]).interrupted(glance)
    more = [
        _far(port) for n, port in controller.ports.items() if pending.ips >> n & 1 and n not in seen
    ]
    for completion in more:
        completion.clear()

    def told(glances: Sequence[Glance]) -> None:
        for completion, glance in zip(more, glances, strict=True):
            completion.interrupted(glance)
        if pending.ips:
            controller.regs.is_.clear(pending)

    return after(gather(more, lambda completion: completion.glance(True)), told)


def _far(port: Port) -> FarCompletion:
    assert isinstance(port.completion, FarCompletion), "all ports of a far HBA are far"
    return port.completion
