"""Drivers brought to life: matched to functions and files, started, mounted, and cleared away at their end.

A driver is ready when its service answers; then it is mounted. When it ends, however it ends, what it served is
unmounted and what it held is quiesced, and only then is it said to be over.
"""

from __future__ import annotations

import asyncio
import fnmatch
import signal
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from ..errors import Busy, Lux9Error, NotFound, text_of
from ..kernel.audit import Journal
from ..kernel.dev.proc import Life
from ..kernel.kernel import Kernel
from ..kernel.namespace import Group
from ..kernel.process import Cap
from ..ninep.caller import Caller
from ..wire.messages import Stat
from .device import SipDir
from .inside import Inside
from .manifest import Stanza
from .sandbox.isolation import Isolation, start
from .sandbox.level import Level
from .server import Sip
from .spawn import ARENA, CLIENT, SERVICE, Child, pair

READY = 30.0  # seconds that a driver has to answer its first request
ROOMS: dict[Cap, tuple[str, ...]] = {  # what a capability puts into a SIP's namespace
    Cap.IRQ: ("bind '#I' /dev/irq",),
    Cap.DMA: ("bind '#D' /dev/dma",),
    Cap.MEM: ("bind -a '#m' /dev",),
}


class Launcher:
    """All SIPs. `isolation`: how far they are kept apart; else as far as this host can."""

    def __init__(
        self, kernel: Kernel, stanzas: Sequence[Stanza], isolation: Isolation | None = None
    ) -> None:
        self.kernel, self.stanzas = kernel, stanzas
        self.isolation = isolation or Isolation()
        self.sips: list[Sip] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.events: Journal = Journal()
        kernel.add_device("i", ("sip", Cap(0), lambda _, life: SipDir(self, life.process)))
        kernel.standard.do("bind '#i' /dev/sip")

    @property
    def protects(self) -> bool:
        """Whether the machine stops DMA outside a function's arena."""
        return self.kernel.machine.protects

    # -- matching

    async def start_all(self) -> None:
        """A driver for each function that a stanza binds; returns when each is ready or has failed."""
        wanted = [(s, f.name) for f in self._functions() for s in self._for(f.class_text)]
        known = {sip.binding: sip for sip in self.sips}
        sips = [known.get(name) or self._sip(stanza, name, "") for stanza, name in wanted]
        await asyncio.gather(*(self.start(sip) for sip in sips if not sip.running))
        await self.settle()

    async def settle(self) -> None:
        """Wait until no start is on its way any more."""
        while self.tasks:
            await asyncio.wait(list(self.tasks))

    def _functions(self) -> Sequence[Bound]:
        return [Bound(f.name, f.info.code) for f in self.kernel.hardware.functions.values()]

    def _for(self, class_text: str) -> list[Stanza]:
        return [s for s in self.stanzas if s.binds(class_text)][:1]

    def _sip(self, stanza: Stanza, binding: str, source: str) -> Sip:
        taken = {sip.name for sip in self.sips}
        names = (stanza.name + (str(i) if i else "") for i in range(len(taken) + 1))
        name = next(n for n in names if n not in taken)
        sip = Sip(len(self.sips) + 1, name, stanza, binding, source)
        self.sips.append(sip)
        return sip

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _look_for_files(self, service: str) -> None:
        """Start what serves files of a service that came: the first file that its stanza names."""
        stanzas = [s for s in self.stanzas if s.files]
        paths = await self._paths(service) if stanzas else []
        for stanza in stanzas:
            for sip in self.sips:
                if sip.stanza is stanza and sip.state == "stopping":
                    await sip.over.wait()
            if any(sip.stanza is stanza and sip.running for sip in self.sips):
                continue
            for pattern in stanza.files:
                wanted = [p for p in paths if fnmatch.fnmatch(p, pattern)]
                if wanted and await self._serve_first(stanza, wanted, service):
                    break

    async def _serve_first(self, stanza: Stanza, paths: Sequence[str], service: str) -> bool:
        for path in paths:
            old = [s for s in self.sips if s.stanza is stanza and s.binding == path]
            source = f"#s/{service}{path.removeprefix(self._where(service))}"
            sip = old[0] if old else self._sip(stanza, path, source)
            sip.source = source
            if await self.start(sip):
                return True
        return False

    def _where(self, service: str) -> str:
        steps = [s for s in self.kernel.standard.steps if s.source == f"#s/{service}"]
        return "/" + "/".join(steps[0].to) if steps else ""

    async def _paths(self, service: str) -> list[str]:
        """The files two levels down from where a service is mounted."""
        where = self._where(service)
        if not where or not self._may_hold(where, 2):
            return []
        caller = self.kernel.services.posted[service].service.caller
        root = self.kernel.services.posted[service].root
        found: list[str] = []
        for top in await _listing(caller, root.fid, ()):
            if top.qid.is_dir and self._may_hold(f"{where}/{top.name}", 1):
                stats = await _listing(caller, root.fid, (top.name,))
                found += [f"{where}/{top.name}/{stat.name}" for stat in stats]
        return found

    def _may_hold(self, directory: str, levels: int) -> bool:
        """Whether a stanza names files so far below it: a file system is not searched for nothing."""
        patterns = (pattern for s in self.stanzas for pattern in s.files)
        return any(fnmatch.fnmatch(directory, p.rsplit("/", levels)[0]) for p in patterns)

    # -- life

    def find(self, name: str) -> Sip:
        """By name or number. Raises NotFound."""
        for sip in self.sips:
            if name in (sip.name, str(sip.number)):
                return sip
        raise NotFound(
            f"no driver {name!r}; there are: {' '.join(s.name for s in self.sips) or 'none'}"
        )

    async def start(self, sip: Sip) -> bool:
        """Start it and wait until it is ready; whether it is. Its failure is in its state and in the log."""
        if sip.running:
            raise Busy(f"{sip.name} is {sip.state}")
        self._enter(sip, "starting")
        sip.starts += 1
        sip.output.clear()
        sip.over.clear()
        try:
            await asyncio.wait_for(self._bring_up(sip), READY)
        except asyncio.CancelledError:
            if sip.child is None:
                self._never_was(sip, "given up")
            raise
        except (TimeoutError, Lux9Error) as error:
            slow = f"not ready after {READY:g} s"
            why = slow if isinstance(error, TimeoutError) else str(error) or text_of(error)
            await self._failed(sip, why)
            return False
        if sip.state == "starting":
            self._enter(sip, "running")
            self._mount(sip)
            self.kernel.console.log(
                f"{sip.name}: serves {sip.binding} at {sip.stanza.mount or '#s'}"
            )
        return sip.state == "running"

    def _enter(self, sip: Sip, state: str, reason: str = "") -> None:
        """A new state, and an event of it."""
        sip.state, sip.reason, sip.since = state, reason, time.monotonic()
        self.events.add(f"{sip.number} {sip.name} {state} {reason}".rstrip())

    async def _bring_up(self, sip: Sip) -> None:
        stanza, kernel = sip.stanza, self.kernel
        level = self.isolation.level(stanza)
        sip.isolation = self.isolation.status(level)
        life = kernel.process(
            sip.name,
            caps=stanza.capabilities,
            kind="sip",
            command=" ".join(stanza.argv),
            limits=stanza.limits,
            group=self._group(sip),
        )
        sip.life = life
        life.signal = lambda what: self._told(sip, what)
        variables = {
            "LUX9_FUNCTION" if stanza.classes else "LUX9_FILE": sip.binding,
            "LUX9_INSTANCE": str([s for s in self.sips if s.stanza is stanza].index(sip)),
        }
        if level is Level.NONE:
            child = Inside(kernel, life, sip.name, stanza.module, variables)
            sip.child = child
            self._watch(sip, child)
            await self._or_end(child.ended, child.ready())
            return
        ours, theirs = pair()
        service, served = pair()
        with theirs, served:
            inherit = {CLIENT: theirs.fileno(), SERVICE: served.fileno()}
            if Cap.DMA in stanza.capabilities:
                inherit[ARENA] = kernel.hardware.dma.arena(life.process).fd
            await kernel.serve(ours, life)
            started = start(
                level,
                stanza,
                inherit,
                variables,
                lambda line: self._said(sip, line),
                lambda call, args: self._refused(life, call, args),
            )
        sip.child = started
        self._watch(sip, started)
        if sip.state == "stopping":  # it was asked to before there was anybody to ask
            await started.stop()
        ready = kernel.services.post_socket(sip.name, life.process, service)
        await self._or_end(started.ended, asyncio.ensure_future(ready))

    async def _or_end(self, ended: asyncio.Future[str], ready: asyncio.Future[None]) -> None:
        """Ready, or over before that."""
        either: set[asyncio.Future[Any]] = {ended, ready}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if ready.done() and ready.exception() is None:
                return
            if not ended.done():
                await asyncio.wait([ended], timeout=1.0)  # it hung up; let it say why
        finally:  # also when the start is given up
            ready.cancel()
            ready.add_done_callback(lambda f: f.cancelled() or f.exception())
        raise Lux9Error(
            ended.result() if ended.done() else "its service hung up before it was ready"
        )

    def _group(self, sip: Sip) -> Group:
        """A namespace that holds what the stanza gives, and nothing else."""
        steps = ["bind '#/' /", "bind '#p' /proc"]
        if sip.stanza.classes:
            steps.append(f"bind '#P/{sip.binding}' /dev/pci/{sip.binding}")
        if sip.source:
            steps.append(f"bind '{sip.source}' {sip.binding}")
        for cap, rooms in ROOMS.items():
            if cap in sip.stanza.capabilities:
                steps += rooms
        return Group(steps)

    def _mount(self, sip: Sip) -> None:
        if sip.stanza.mount:
            self.kernel.standard.do(f"mount -a '#s/{sip.name}' {sip.stanza.mount}")
            self._task(self._look_for_files(sip.name))

    def _said(self, sip: Sip, line: str) -> None:
        sip.output.append(line)
        self.kernel.console.say(sip.name, line)

    def _refused(self, life: Life, call: str, args: tuple[int, ...]) -> None:
        """A system call that the sandbox did not let it make."""
        shown = ", ".join(f"{value:#x}" for value in args)
        self.kernel.audit.record(life.process, "system call", call, "denied", args=shown)

    def _told(self, sip: Sip, what: str) -> None:
        """A word written to /proc/N/ctl or note."""
        numbers = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "start": signal.SIGCONT}
        if sip.child is not None:
            sip.child.signal(numbers.get(what, signal.SIGTERM))

    def _watch(self, sip: Sip, child: Child | Inside) -> None:
        life = sip.life
        assert life is not None

        def ended(future: asyncio.Future[str]) -> None:
            if sip.child is child:
                self._over(sip, life, future.result())

        child.ended.add_done_callback(ended)

    def _over(self, sip: Sip, life: Life, why: str) -> None:
        """Unmount what it served, quiesce what it held, and say so."""
        posted = self.kernel.services.posted.get(sip.name)
        if posted is not None and posted.owner is life.process:
            posted.service.caller.wire.close()
            self.kernel.services.drop(sip.name, posted.service.caller)
        self.kernel.standard.forget(f"#s/{sip.name}")
        sip.crash = self.kernel.end(life.process).text(why, sip.output)
        asked = sip.state == "stopping"
        asked = asked or (sip.state == "running" and why == "exited with status 0")
        sip.child, sip.last_exit = None, why
        self._enter(sip, "stopped" if asked else "crashed", why)
        self.kernel.audit.record(life.process, "sip end", sip.name, "done", outcome=why)
        self.kernel.console.log(f"{sip.name}: {why}")
        sip.over.set()
        for user in self.sips:  # what it serves a file of has nothing left to serve
            if user.running and user.source.startswith(f"#s/{sip.name}/"):
                self._task(self.stop(user))

    async def _failed(self, sip: Sip, why: str) -> None:
        """A start that did not come to anything."""
        if sip.child is not None:
            await sip.child.stop()
            await sip.over.wait()
        elif sip.running:
            self._never_was(sip, why)
        sip.reason = why
        self.kernel.console.log(f"{sip.name}: cannot serve {sip.binding}: {why}")

    def _never_was(self, sip: Sip, why: str) -> None:
        """A start that ended before there was a process."""
        if sip.life is not None:
            self.kernel.end(sip.life.process)
        self._enter(sip, "stopped" if sip.state == "stopping" else "crashed", why)
        sip.over.set()

    async def stop(self, sip: Sip) -> None:
        """End it, and wait until it is over."""
        if not sip.running:
            return
        self._enter(sip, "stopping")
        if sip.child is not None:
            await sip.child.stop()
        await sip.over.wait()

    async def stop_all(self) -> None:
        """End all, those that use others first."""
        for task in list(self.tasks):
            task.cancel()
        for sip in reversed(self.sips):
            await self.stop(sip)


class Bound(NamedTuple):
    """A function, as matching sees it."""

    name: str
    code: int

    @property
    def class_text(self) -> str:
        """`01.06.01`."""
        return f"{self.code >> 16:02x}.{self.code >> 8 & 0xFF:02x}.{self.code & 0xFF:02x}"


async def _listing(caller: Caller, fid: int, path: Sequence[str]) -> list[Stat]:
    """A directory of a service."""
    at, _ = await caller.walk(fid, path)
    try:
        await caller.open(at, 0)
        return await caller.listing(at)
    finally:
        caller.forget(at)
