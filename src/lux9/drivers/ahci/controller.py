"""The HBA: taken over, reset, its ports started. AHCI 1.3.1 §10.1.2, §10.4.3, §10.6"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Self

from ...arch.ahci import ABAR, CLASS, HANDOFF_BUSY, HANDOFF_LIMIT, HBA, IS, RESET_LIMIT
from ...driver.function import Function, Irq, Kind
from ...driver.poll import settle
from ...errors import DeviceError, DeviceGone, DeviceTimeout, Lux9Error, ServiceDown
from . import bringup, far
from .disk import AtaDisk
from .port import Port

log = logging.getLogger(__name__)

START_LIMIT = 10.0  # seconds that disks are waited for; a spin-up may take longer
QUIET_AFTER = 2.5  # seconds that a flush at the end may take: after 3 a driver is killed


class Controller:
    """One HBA, started; an async context manager.

    `attached` is awaited with each disk that comes, `detached` called with each that goes.
    """

    classes = (CLASS,)

    def __init__(
        self,
        function: Function,
        attached: Callable[[AtaDisk], Coroutine[Any, Any, None]],
        detached: Callable[[AtaDisk], None],
        *,
        letter: str = "E",
        prefer: Kind = "intx",
    ) -> None:
        self.function, self.letter = function, letter
        self.prefer: Kind = prefer
        self._attached, self._detached = attached, detached
        self.bar = function.bar(ABAR)
        self.regs = HBA(self.bar, name="hba")
        self.cap = self.regs.cap.read()
        self.ports: dict[int, Port] = {}
        self.staged: list[Port] = []
        self.irq: Irq
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.undo = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            await self._handoff()
            await self._reset()
            self.function.master(True)
            undo.callback(self._master_off)
            self._make_ports()
            undo.push_async_callback(self._stop_ports)
            self._interrupts_on()
            undo.callback(self._interrupts_off)
            await self._start_ports()
            undo.push_async_callback(self._flush_disks)
            self.undo = undo.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.undo.aclose()
        if self.gone.done():
            self.gone.exception()  # whoever had to know knows

    # The steps, in the specification's order

    async def _handoff(self) -> None:
        """Take the HBA over from firmware, where it has it. §10.6.3"""
        if not self.regs.cap2.read().boh:
            return
        bohc = self.regs.bohc
        bohc.update(oos=True)
        try:
            await settle(bohc, lambda b: not b.bos, HANDOFF_BUSY)
        except DeviceTimeout:
            if bohc.read().bb:  # firmware has something to finish, and its own limit for that
                await settle(bohc, lambda b: not b.bb, HANDOFF_LIMIT)

    async def _reset(self) -> None:
        """AHCI mode, then a reset of everything. §10.4.3"""
        ghc = self.regs.ghc
        ghc.update(ae=True)
        ghc.update(hr=True)
        await settle(ghc, lambda g: not g.hr, RESET_LIMIT)
        ghc.update(ae=True)
        self.cap = self.regs.cap.read()
        version = self.regs.vs.read()
        log.info(
            "%s: AHCI %x.%x, %s", self.function.bdf, version.mjr, version.mnr >> 8, self.cap.shown()
        )

    def _make_ports(self) -> None:
        """The ports that are implemented; their numbers may have holes. §3.1.4"""
        implemented = self.regs.pi.read().pi
        for n, regs in enumerate(self.regs.port):
            if implemented >> n & 1:
                self.ports[n] = Port(self, n, regs)

    def _interrupts_on(self) -> None:
        """Clear what is pending, ports first, then let the HBA interrupt. §10.1.2, §5.6.2"""
        for port in self.ports.values():
            bringup.quiet(port)
        self.regs.is_.clear(IS.of(0xFFFFFFFF))
        self.irq = self.function.interrupt(self.interrupt, self.prefer)
        self.regs.ghc.update(ie=True)

    async def _start_ports(self) -> None:
        """All ports at once: a slow disk delays no other, and comes when it is ready."""
        for port in self.ports.values():
            port.bring_up()
        waits = [asyncio.ensure_future(port.settled()) for port in self.ports.values()]
        _, slow = await asyncio.wait(waits, timeout=START_LIMIT)
        for wait in slow:
            wait.cancel()
        if self.gone.done():
            self.gone.result()

    async def _flush_disks(self) -> None:
        """Leave nothing in the disks' caches, as far as they let us within QUIET_AFTER."""
        flushes = {
            asyncio.ensure_future(_flushed(port.disk)): port.disk
            for port in self.ports.values()
            if port.disk is not None
        }
        if not flushes:
            return
        try:
            await asyncio.wait(flushes, timeout=QUIET_AFTER)
        finally:
            for task, disk in flushes.items():
                if not task.done():
                    task.cancel()
                    log.warning(
                        "%s: not flushed: the driver ends before the disk is done", disk.name
                    )

    def _interrupts_off(self) -> None:
        self._quietly(lambda: self.regs.ghc.update(ie=False))
        self._quietly(self.irq.close)

    async def _stop_ports(self) -> None:
        """Every port lets go of its memory, or bus mastering ends before the memory does."""
        for port in self.ports.values():
            port.cancel()
        for port in self.ports.values():
            await port.settled()
            try:
                await bringup.stop(port)
            except Lux9Error as error:
                log.warning("%s: %s", port, error)
                self._master_off()
            port.fail(ServiceDown(f"the driver of {self.function.bdf} is ending"))
            self._quietly(port.close)

    def _master_off(self) -> None:
        self._quietly(lambda: self.function.master(False))

    @staticmethod
    def _quietly(step: Callable[[], None]) -> None:
        """A step of the end, when the function or the kernel may be gone."""
        try:
            step()
        except Lux9Error as error:
            log.debug("at the end: %s", error)

    # Disks come and go

    async def attached(self, disk: AtaDisk) -> None:
        """A disk is there."""
        await self._attached(disk)

    def detached(self, disk: AtaDisk) -> None:
        """It is not any more."""
        self._detached(disk)

    # Requests and interrupts

    def stage(self, port: Port) -> None:
        """A port has commands to issue: together with whatever else comes in this turn of the loop."""
        if not self.staged:
            asyncio.get_running_loop().call_soon(self.issue)
        self.staged.append(port)

    def issue(self) -> None:
        """Issue what was staged: at the end of a batch of requests, or of the loop's turn."""
        staged, self.staged = self.staged, []
        try:
            for port in staged:
                port.kick()
        except Exception as error:
            self.lost(error)

    def interrupt(self) -> None:
        """Serve the ports that have something. Port events are cleared before the HBA's bit. §5.6.2"""
        try:
            if self.function.far:
                far.serve(self)
                return
            self._serve()
            if self.irq.kind != "intx":  # a message tells once: look again for what came meanwhile
                self._serve()
        except Exception as error:
            self.lost(error)

    def _serve(self) -> None:
        pending = self.regs.is_.read()
        if pending.all_ones and self.regs.ghc.read().all_ones:
            raise DeviceGone(f"{self.function.bdf}: its registers read all ones: it was removed")
        for n, port in self.ports.items():
            if pending.ips >> n & 1:
                port.completion.interrupt()
        if pending.ips:
            self.regs.is_.clear(pending)

    def lost(self, error: Exception) -> None:
        """The function was removed, or cannot be reached: everything fails, and `gone` tells."""
        if self.gone.done():
            return
        if not isinstance(error, Lux9Error):
            log.error("%s: a mistake in the driver", self.function.bdf, exc_info=error)
            error = DeviceError(f"{self.function.bdf}: the driver has made a mistake: {error!r}")
        self.gone.set_exception(error)
        for port in self.ports.values():
            port.cancel()
            port.fail(error)


async def _flushed(disk: AtaDisk) -> None:
    try:
        await disk.flush()
    except Lux9Error as error:
        log.warning("%s: the last flush failed: %s", disk.name, error)
