"""Completions of a port whose HBA is on another host: everything that is to be known in one round trip.

There memory costs as much as a register, and nothing is looked at twice or for longer than once. A glance asks for
the truth (PxSACT, PxCI), then the FISes, then the data of what is in flight, where that is little or likely to be
there: in this order on one connection, so that an error is seen by its FIS, and data is as new as the truth that it
goes with. Nobody waits meanwhile, so a glance tells only of the commands that were in flight when it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
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
LIKELY = 0.75  # from this share of commands done at a glance, however much it is


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
        self._asked = self._more = False  # a glance is on its way, and another is to follow
        self.share = 1.0  # of what was in flight at a glance, lately, was done

    def look(self) -> int:
        """Nothing: what is in memory here is as old as the last glance."""
        return 0

    def glance(self, data: bool) -> Maybe[Glance]:
        """Ask for all of it; `data`: as much of it as is worth it."""
        port = self.port
        flight = [(request, request.issued) for request in port.queue.in_flight()]
        data = data and (
            self.share > LIKELY or sum(_incoming(request) for request, _ in flight) <= AHEAD
        )
        state = port.bar.ask(self._is_at, STATE.size)
        rest = [self.memory.fetch(), *(port.fetch(request) for request, _ in flight if data)]

        def told(raw: bytes) -> Maybe[Glance]:
            return after(gather(rest, lambda part: part), lambda _: Glance(flight, data, raw))

        return after(state, told)

    def truth(self, closely: bool = False) -> int:
        """Complete what the registers say is done, when they have; none so far. They are always doubted."""
        if self.port.queue.active:
            self._ask(False)
        return 0

    def inquire(self) -> None:
        """The rest of an interrupt; one that comes while a glance is on its way has the next one."""
        if self._asked:
            self._more = True
        else:
            self._ask(True)

    def _ask(self, data: bool) -> None:
        if not self._asked:
            self._asked = True
            rescued(lambda: after(self.glance(data), self._seen), self.failed)

    def _seen(self, glance: Glance) -> None:
        self._asked = False
        events = self._take(glance)
        if events & ~COMPLETIONS.raw:
            self._events(PxIS.of(events))
        if self._more:  # not before these were dealt with: they would be seen again
            self._more = False
            self._ask(True)

    def clear(self) -> None:
        """Before a glance: what comes from here on interrupts again."""
        self.port.stats.counters["interrupts"] += 1
        self.regs.is_.clear(COMPLETIONS)

    def _take(self, glance: Glance) -> int:
        """Complete what is done; the port's events."""
        events, cmd, sact, ci = STATE.unpack(glance.state)
        if events == ONES:
            self._there()
        slots = self.port.queue.slots
        known = sum(
            1 << request.slot
            for request, issued in glance.commands
            if slots[request.slot] is request and request.issued == issued
        )
        if known and not self._refused() and not events & (FATAL.raw | CHANGES.raw):
            self.check_runs(cmd)
            done = known & ~(sact | ci)
            self.share += (done.bit_count() / known.bit_count() - self.share) / 8
            self._here = glance.data
            self._finish(done)
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


def serve(controller: Controller, also: int = 0) -> None:
    """An interrupt: clear it, and ask the HBA and each port with commands in flight, all at once. §5.6.2

    It is acknowledged with that. What comes later interrupts again, whether or not the answers are there by then.
    `also`: a bit a port that has something to say with nothing in flight.
    """
    asked = [p for n, p in controller.ports.items() if p.queue.active or also >> n & 1]
    for port in asked:
        _far(port).clear()
    ports = sum(1 << port.number for port in asked)
    controller.regs.is_.clear(IS.of(ports))  # after the ports', and before they are read

    def told(raw: bytes) -> None:
        pending = IS.of(int.from_bytes(raw, "little"))
        if pending.all_ones and controller.regs.ghc.read().all_ones:
            raise DeviceGone(
                f"{controller.function.bdf}: its registers read all ones: it was removed"
            )
        if others := pending.ips & ~ports:
            serve(controller, others)

    rescued(lambda: after(controller.bar.ask(HBA.is_.offset, 4), told), controller.lost)
    for port in asked:
        _far(port).inquire()


def _far(port: Port) -> FarCompletion:
    assert isinstance(port.completion, FarCompletion), "all ports of a far HBA are far"
    return port.completion
