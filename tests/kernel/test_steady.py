"""What a session keeps of walks and stats is void when a mount, the bus or a right changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lux9.kernel.console import Console
from lux9.kernel.kernel import Kernel
from lux9.kernel.owner import Owner
from lux9.kernel.process import ALL, Cap
from lux9.machine.sim import q35
from lux9.ninep.session import Session
from lux9.wire import messages as m
from lux9.wire.codec import NOFID, NOTAG, Message

FUNCTION = "0000:00:1f.2"
BAR = ("dev", "pci", FUNCTION, "bar5")


class Walker:
    """A client of a kernel, within the process."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.life = kernel, kernel.process("walker", caps=ALL)
        self.session = Session(Owner(kernel, self.life, trusted=True), lambda: None)
        self.ask(m.Tversion(8192, "9P2000"), NOTAG)
        self.ask(m.Tattach(0, NOFID, "me", ""))

    def ask(self, message: Message, tag: int = 1) -> Message:
        """A request that is answered at once."""
        self.session.receive(memoryview(message.encode(tag)))
        answer = b"".join(self.session.out)
        self.session.sent()
        return m.P9.decode(answer)[1]

    def walk(self) -> Message:
        """To the registers; the fid goes again."""
        found = self.ask(m.Twalk(0, 1, BAR))
        if isinstance(found, m.Rwalk) and len(found.qids) == len(BAR):
            self.ask(m.Tclunk(1))
        return found


def mount_over(walker: Walker) -> None:
    walker.life.group.do("bind '#c' /dev/pci")


def take_the_right(walker: Walker) -> None:
    walker.kernel.drop(walker.life, Cap.PCI)


def pull_the_card(walker: Walker) -> None:
    machine, bus = walker.kernel.machine, walker.kernel.hardware.bus
    fn = machine.function(bus.find(FUNCTION).bdf)  # type: ignore[attr-defined]
    machine.unplug(fn)  # type: ignore[attr-defined]
    bus.look()


@pytest.mark.parametrize("change", [mount_over, take_the_right, pull_the_card])
def test_a_kept_walk_ends(change: Callable[[Walker], None]) -> None:
    async def act() -> None:
        kernel = Kernel(q35(), Console(quiet=True))
        await kernel.start()
        walker = Walker(kernel)
        first = walker.walk()
        assert isinstance(first, m.Rwalk)
        assert len(first.qids) == len(BAR)
        spot = walker.session.fids[0].spot
        assert spot is not None
        assert len(spot.trails) == 1, "it is kept"
        assert walker.walk() == first
        change(walker)
        after = walker.walk()
        assert isinstance(after, m.Rerror) or len(after.qids) < len(BAR)  # type: ignore[attr-defined]
        await kernel.stop()

    asyncio.run(act())
