"""Three processes do whatever comes to mind; the rules of the kernel hold after every step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lux9.arch.pci import Command
from lux9.errors import Lux9Error
from lux9.kernel.hardware import BarFile
from lux9.kernel.process import Process
from lux9.pending import Pending
from tests.kernel.hardware.board import A, B, Board, C

T = TypeVar("T")
WHO = st.integers(0, 2)
NAME = st.sampled_from([A, B, C])
LINES = st.sampled_from([10, 11, 16, 22])


class Whole(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.board = Board(self.runner.get_loop())
        self.runner.run(self.board.hw.start())
        self.hw = self.board.hw
        self.gadgets = {A: self.board.a, B: self.board.b, C: self.board.c}
        self.processes = [self.board.process(f"p{n}") for n in range(3)]
        self.files: list[tuple[Process, BarFile]] = []
        self.waits: list[Pending[str]] = []

    def teardown(self) -> None:
        self.runner.run(self.board.sim.close())
        self.runner.close()

    def attempt(self, work: Callable[..., T], *args: object) -> T | None:
        """A refusal is an answer; any other exception is ours."""
        try:
            return work(*args)
        except Lux9Error:
            return None

    # What a process can do

    @rule(who=WHO, name=NAME)
    def claim(self, who: int, name: str) -> None:
        self.attempt(self.hw.bus.claim, self.processes[who], name)

    @rule(who=WHO, name=NAME)
    def release(self, who: int, name: str) -> None:
        self.attempt(self.hw.release, self.processes[who], name)

    @rule(who=WHO, name=NAME, on=st.booleans())
    def master(self, who: int, name: str, on: bool) -> None:
        self.attempt(self.hw.bus.master, self.processes[who], name, on)

    @rule(who=WHO, name=NAME)
    def reset(self, who: int, name: str) -> None:
        self.attempt(self.hw.reset, self.processes[who], name)

    @rule(
        who=WHO,
        name=NAME,
        offset=st.sampled_from(
            [4, 5, 6, 0x0C, 0x10, 0x14, 0x30, 0x3C, 0x44, 0x52, 0x72, 0x84, 0x88]
        ),
        width=st.sampled_from([1, 2, 4]),
        value=st.integers(0, 0xFFFF_FFFF),
    )
    def configure(self, who: int, name: str, offset: int, width: int, value: int) -> None:
        file = self.hw.open_config(self.processes[who], name)
        self.attempt(file.pwrite, (value & (1 << 8 * width) - 1).to_bytes(width, "little"), offset)

    @rule(who=WHO, name=NAME, n=st.integers(0, 2))
    def open(self, who: int, name: str, n: int) -> None:
        file = self.attempt(self.hw.open_bar, self.processes[who], name, n)
        if file is not None:
            self.files.append((self.processes[who], file))

    @rule(
        which=st.integers(0, 7), width=st.sampled_from([1, 2, 4, 8, 12]), offset=st.integers(0, 64)
    )
    def access(self, which: int, width: int, offset: int) -> None:
        if self.files:
            _, file = self.files[which % len(self.files)]
            self.attempt(file.pread, width, offset)
            self.attempt(file.pwrite, bytes(width), offset)

    @rule(which=st.integers(0, 7))
    def close(self, which: int) -> None:
        if self.files:
            self.files.pop(which % len(self.files))[1].close()

    @rule(who=WHO, size=st.integers(1, 1 << 19), align=st.sampled_from([1, 64, 4096]))
    def alloc(self, who: int, size: int, align: int) -> None:
        self.attempt(self.hw.dma.alloc, self.processes[who], size, align)

    @rule(who=WHO, handle=st.integers(1, 20))
    def free(self, who: int, handle: int) -> None:
        self.attempt(self.hw.dma.free, self.processes[who], handle)

    @rule(who=WHO, line=LINES, shared=st.booleans())
    def register(self, who: int, line: int, shared: bool) -> None:
        self.attempt(self.hw.irq.register, self.processes[who], line, "x", shared)

    @rule(
        who=WHO, name=NAME, count=st.sampled_from([1, 2, 4]), kind=st.sampled_from(["msi", "msix"])
    )
    def messages(self, who: int, name: str, count: int, kind: str) -> None:
        self.attempt(self.hw.irq.messages, self.processes[who], name, count, "x", kind)

    @rule(who=WHO, which=st.integers(0, 7))
    def unregister(self, who: int, which: int) -> None:
        numbers = self.hw.irq.of(self.processes[who])
        if numbers:
            self.hw.irq.unregister(self.processes[who], numbers[which % len(numbers)])

    @rule(who=WHO, which=st.integers(0, 7))
    def wait(self, who: int, which: int) -> None:
        numbers = self.hw.irq.of(self.processes[who])
        if numbers:
            n = numbers[which % len(numbers)]
            self.waits.append(self.hw.irq.read(n, self.hw.irq.check(self.processes[who], n)))

    @rule(which=st.integers(0, 7))
    def flush(self, which: int) -> None:
        if self.waits:
            self.waits.pop(which % len(self.waits)).cancel()

    @rule(name=NAME, asserted=st.booleans())
    def interrupt(self, name: str, asserted: bool) -> None:
        self.gadgets[name].set_irq(asserted)

    @rule()
    def grace(self) -> None:
        while self.board.late:
            self.board.late.pop()()

    @rule(who=WHO)
    def end(self, who: int) -> None:
        old = self.processes[who]
        done = self.hw.end(old)
        assert not [s for s in done.steps if s.failed]
        assert self.hw.bus.claims_of(old) == []
        assert self.hw.dma.of(old) == []
        assert self.hw.irq.of(old) == []
        self.processes[who] = self.board.process(old.name)

    # What always holds

    @invariant()
    def only_what_is_claimed_answers_and_only_its_owner_s_arena_is_reached(self) -> None:
        for name, gadget in self.gadgets.items():
            claim = self.hw.functions[name].claim
            command = Command.of(int(gadget.command))
            reach = self.board.sim.asked_reach.get(gadget.bdf, [])
            if claim is None:
                assert command.raw & 7 == 0
            if command.master:
                assert claim is not None
                assert reach == [claim.owner.arena]
            else:
                assert not reach
            assert not gadget.asleep

    @invariant()
    def bars_and_lines_stay(self) -> None:
        for name, gadget in self.gadgets.items():
            info = self.hw.functions[name].info
            assert [gadget.bar_address(b.index) for b in info.bars] == [
                b.address for b in info.bars
            ]
            assert gadget.config_read(0x3C, 1) == info.irq

    @invariant()
    def nobody_is_told_of_what_is_not_his(self) -> None:
        for n, number in self.hw.irq.numbers.items():
            for r in number.registrants:
                claims = self.hw.bus.claims_of(r.process)
                if r.function is not None:
                    assert r.function in [c.function for c in claims]
                else:
                    assert any(n in c.function.lines for c in claims)

    @invariant()
    def a_line_is_masked_while_somebody_owes_and_only_then(self) -> None:
        for n in range(24):
            number = self.hw.irq.numbers.get(n)
            owed = number is None or any(
                r.owes or (r.pending and not r.late) for r in number.registrants
            )
            if number is None or number.masked:
                assert n in self.board.sim.asked_masked
                assert owed
            else:
                assert n not in self.board.sim.asked_masked

    @invariant()
    def vectors_are_those_registered(self) -> None:
        assert sorted(self.board.sim.vectors.owner) == [
            n for n in sorted(self.hw.irq.numbers) if n >= 32
        ]

    @invariant()
    def buffers_do_not_meet(self) -> None:
        spans = sorted((b.bus, b.bus + b.size) for b in self.hw.dma.buffers.values())
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


TestWhole = Whole.TestCase
TestWhole.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
