"""One driver's start: its process in the table, its namespace, its program, and the moment when it is ready."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import Disconnected, Lux9Error, NotSupported, ServiceDown, UserError
from ..kernel.dev.proc import Life
from ..kernel.group import Group
from ..kernel.kernel import Kernel
from ..kernel.process import Cap
from ..kernel.rights import ROOMS
from .inside import Inside
from .sandbox.isolation import Isolation, start
from .sandbox.judge import Finding
from .sandbox.level import Level
from .server import Sip
from .spawn import ARENA, CLIENT, SERVICE, Child, pair
from .visitors import Visitor

HUNG_UP = (Disconnected, ServiceDown)
Ended = Callable[[Sip, Life, str], None]


class Starter:
    """Starts drivers. `ended(sip, life, why)` is called once for each that had a process."""

    def __init__(self, kernel: Kernel, isolation: Isolation, ended: Ended) -> None:
        self.kernel, self.isolation, self.ended = kernel, isolation, ended

    async def bring_up(self, sip: Sip, instance: int) -> None:
        """Start it; returns when its service answers. Raises Lux9Error when it does not come to that."""
        stanza, kernel = sip.stanza, self.kernel
        if not stanza.module and not stanza.command:
            raise UserError(
                "it has no type and no command; write `type S` or `command …` to its ctl"
            )
        if stanza.protected and Cap.DMA in stanza.capabilities and not kernel.machine.protects:
            raise NotSupported(
                f"{stanza.name} demands protected DMA, and nothing on this machine ({kernel.machine.name}) "
                "keeps a device to its arena"
            )
        level = self.isolation.level(stanza)
        sip.isolation = self.isolation.status(level)
        sip.life = life = kernel.process(
            sip.name,
            caps=stanza.capabilities,
            kind="sip",
            command=" ".join(stanza.argv),
            limits=stanza.limits,
            group=namespace(sip),
        )
        life.signal = lambda what: told(sip, what)
        variables = {**stanza.environment, "LUX9_INSTANCE": str(instance)}
        if sip.binding:
            variables["LUX9_FUNCTION" if sip.function else "LUX9_FILE"] = sip.binding
        if level is Level.NONE:
            await self._inside(sip, life, variables)
        else:
            await self._outside(sip, life, level, variables)

    async def _inside(self, sip: Sip, life: Life, variables: dict[str, str]) -> None:
        """Within this process."""
        child = Inside(self.kernel, life, sip.name, sip.stanza, variables)
        self.watch(sip, life, child)
        await _or_end(child.ended, child.ready())

    async def _outside(self, sip: Sip, life: Life, level: Level, variables: dict[str, str]) -> None:
        """In a process of its own."""
        service, served = pair()
        taken = False

        async def post() -> None:
            nonlocal taken
            taken = True  # from here the socket is the connection's
            hold, repeats = sip.stanza.hold, sip.stanza.repeats
            await self.kernel.services.post_socket(sip.name, life.process, service, hold, repeats)

        try:
            with served:
                child = await self._spawn(sip, life, level, variables, served.fileno())
            if sip.state == "stopping":  # it was asked to before there was anybody to ask
                await child.stop()
            await _or_end(child.ended, asyncio.ensure_future(post()))
        finally:
            if not taken:
                service.close()

    async def _spawn(
        self, sip: Sip, life: Life, level: Level, variables: dict[str, str], served: int
    ) -> Child:
        """Its program, with its ends of the connections. `served` is that of its service."""
        ours, theirs = pair()
        with theirs:
            await self.kernel.serve(ours, life)
            inherit = {CLIENT: theirs.fileno(), SERVICE: served}
            if Cap.DMA in sip.stanza.capabilities:
                inherit[ARENA] = self.kernel.hardware.dma.arena(life.process).fd
            child = start(
                level,
                sip.stanza,
                inherit,
                variables,
                lambda line: self._said(sip, line),
                partial(self._tried, life),
            )
        self.watch(sip, life, child)
        return child

    def watch(self, sip: Sip, life: Life, child: Child | Inside | Visitor) -> None:
        """Be told of its end."""
        sip.child = child

        def ended(future: asyncio.Future[str]) -> None:
            if sip.child is child:
                self.ended(sip, life, future.result())

        child.ended.add_done_callback(ended)

    def _said(self, sip: Sip, line: str) -> None:
        sip.say(line)
        self.kernel.console.say(sip.name, line)

    def _tried(self, life: Life, finding: Finding) -> None:
        """Something that its sandbox did not let it do."""
        what, target, detail = finding
        self.kernel.audit.record(life.process, what, target, "denied", **detail)


async def _or_end(ended: asyncio.Future[str], ready: asyncio.Future[None]) -> None:
    """Ready, or over before that."""
    either: set[asyncio.Future[Any]] = {ended, ready}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        wrong = ready.exception() if ready.done() else None
        if ready.done() and wrong is None:
            return
        if isinstance(wrong, HUNG_UP):
            await asyncio.wait([ended], timeout=1.0)  # let it say why
    finally:  # also when the start is given up
        ready.cancel()
        ready.add_done_callback(lambda f: f.cancelled() or f.exception())
    if ended.done():
        raise Lux9Error(ended.result())
    if wrong is None or isinstance(wrong, HUNG_UP):
        raise Lux9Error("its service hung up before it was ready")
    raise wrong


def namespace(sip: Sip) -> Group:
    """What the stanza gives, and nothing else."""
    stanza = sip.stanza
    steps = ["bind '#/' /", "bind '#p' /proc"]
    if sip.function:
        steps.append(f"bind '#P/{sip.function}' /dev/pci/{sip.function}")
    if sip.source:
        steps.append(f"bind '{sip.source}' {sip.binding}")
    for caps, rooms in ROOMS.items():
        if caps & stanza.capabilities:
            steps += rooms
    return Group([*steps, *stanza.namespace])


def told(sip: Sip, what: str) -> None:
    """A word written to /proc/N/ctl or note."""
    numbers = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "start": signal.SIGCONT}
    if what in ("stop", "start"):
        sip.suspended = what == "stop"
    if sip.child is not None:
        sip.child.signal(numbers.get(what, signal.SIGTERM))
