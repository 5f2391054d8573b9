"""Slots: which commands are in flight, which wait, and who goes next. Knows no hardware.

Commands go in the order they came. NCQ and other commands never mix (AHCI 1.3.1 §5.5.1: software must not
issue both at once), so one of another mode waits until the slots are empty, and those behind it wait with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from .commands import Mode, Request


class Queue:
    """`depth` slots and the commands that wait for one."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.slots: list[Request | None] = [None] * 32
        self.active = 0  # a bit a slot in use
        self.waiting: deque[Request] = deque()
        self.held: list[
            Request
        ] = []  # were in flight when an error came: theirs is being found out
        self.mode = Mode.ALONE  # of what is in flight
        self.careful = 0  # so many commands go one at a time: one of them makes the device fail

    def add(self, request: Request) -> None:
        """Put it behind the others."""
        self.waiting.append(request)

    def take(self) -> list[Request]:
        """The commands that may go now, each with its slot."""
        out: list[Request] = []
        waiting = self.waiting
        while waiting and (slot := self._slot(waiting[0].op.mode)) >= 0:
            request = waiting.popleft()
            request.slot = slot
            self.mode = request.op.mode
            self.slots[slot] = request
            self.active |= 1 << slot
            out.append(request)
        return out

    def seize(self, request: Request) -> None:
        """Put a command of the driver's own into the first slot; nothing else is in flight."""
        assert not self.active, "a command of our own is alone"
        request.slot, self.mode = 0, request.op.mode
        self.slots[0] = request
        self.active = 1

    def _slot(self, mode: Mode) -> int:
        """The lowest free slot for a command of that mode, or -1."""
        active = self.active
        if active and (mode is not self.mode or mode is Mode.ALONE or self.careful):
            return -1
        free = ~active & ((1 << self.depth) - 1)
        return (free & -free).bit_length() - 1

    def finish(self, slots: int) -> list[Request]:
        """Take the commands of these slots out, lowest slot first; slots that are free are ignored."""
        slots &= self.active
        self.active &= ~slots
        out: list[Request] = []
        while slots:
            low = slots & -slots
            slots ^= low
            request = self.slots[low.bit_length() - 1]
            self.slots[low.bit_length() - 1] = None
            assert request is not None, "an active slot has a command"
            out.append(request)
        if self.careful:
            self.careful = max(0, self.careful - len(out))
        return out

    def recall(self) -> list[Request]:
        """Everything in flight, in the order of issue; the slots are free."""
        careful = self.careful
        out = sorted(self.finish(self.active), key=lambda request: request.issued)
        self.careful = careful
        return out

    def hold(self) -> list[Request]:
        """The same, but they stay ours until `again` or `drop`, whatever becomes of whoever looks into them."""
        self.held = self.recall()
        return self.held

    def again(self, requests: list[Request]) -> None:
        """What was held has been judged: put these back, before all others; the rest were told."""
        self.held = []
        self.waiting.extendleft(reversed(requests))

    def drop(self) -> list[Request]:
        """Everything, held, in flight and waiting: nothing is left."""
        out = self.held + self.recall() + list(self.waiting)
        self.held = []
        self.waiting.clear()
        self.careful = 0
        return out

    def in_flight(self) -> Iterator[Request]:
        """The commands that the device has."""
        return (request for request in self.slots if request is not None)
