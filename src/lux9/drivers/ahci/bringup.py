"""From a port to a disk: AHCI 1.3.1 §10.1 and §10.4, then IDENTIFY."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ...arch.ahci import (
    COMRESET_HOLD,
    FIS_STOP_LIMIT,
    LINK_LIMIT,
    READY_LIMIT,
    STOP_LIMIT,
    Det,
    DetControl,
    Icc,
    IpmLimit,
)
from ...arch.ata import Identify, Signature
from ...driver.poll import settle
from ...errors import DeviceError, DeviceGone, DeviceTimeout, MediaChanged
from . import commands
from .disk import AtaDisk
from .queue import Queue
from .state import ALL_ERRORS, ALL_EVENTS, QUIET, State

if TYPE_CHECKING:
    from .port import Port

log = logging.getLogger(__name__)

# A device answers COMRESET within 10 ms (Serial ATA 3.2 §8.4.1). One that is late tells by an interrupt,
# so that an empty port delays nobody.
PRESENCE_LIMIT = 0.02


async def bring_up(port: Port) -> None:
    """Stop the port, see what is attached, and make it a disk. No device is no error."""
    quiet(port)
    await stop(port)
    port.fail(MediaChanged(f"{port}: the disk was removed or replaced"), State.STARTING)
    _point(port)
    if not await link(port):
        listen(port)
        if port.regs.ssts.read().det != Det.NONE:  # it came before anybody listened
            port.bring_up()
        return
    kind = await ready(port)
    if kind != Signature.ATA:
        log.info(
            "%s: a device of kind %s is attached; only ATA disks are driven", port, _name(kind)
        )
        listen(port)
        return
    start(port)
    disk = AtaDisk(port, await _identify_or_again(port))
    port.queue = Queue(disk.depth)
    port.run()
    log.info("%s: %s %s, %s", port, disk.name, disk.model, disk.config)
    port.attach(disk)


def _name(kind: Signature | int) -> str:
    return kind.name if isinstance(kind, Signature) else f"{kind:#010x}"


def quiet(port: Port) -> None:
    """No interrupts of any kind: what a reset does to the link is no news."""
    port.listening = False
    port.regs.ie.write(QUIET)


async def halt(port: Port) -> None:
    """Stop the command list; FISes are still received. §10.3.2

    Raises DeviceTimeout when it does not stop.
    """
    cmd = port.regs.cmd
    if cmd.read().st:
        cmd.update(st=False)
    await settle(cmd, lambda c: not c.cr, STOP_LIMIT)


async def stop(port: Port) -> None:
    """Stop the command list and then FIS receive: after this the HBA leaves the memory alone. §10.1.2

    Raises DeviceTimeout when the HBA does not let go.
    """
    await halt(port)
    cmd = port.regs.cmd
    if cmd.read().fre:
        cmd.update(fre=False)
    await settle(cmd, lambda c: not c.fr, FIS_STOP_LIMIT)


def _point(port: Port) -> None:
    """Tell the HBA where the memory is, and let it receive FISes: the signature comes as one. §10.1.2"""
    regs, memory = port.regs, port.memory
    (list_low, list_high), (fis_low, fis_high) = memory.list_bus, memory.fises_bus
    regs.clb.write(list_low)
    regs.clbu.write(list_high)
    regs.fb.write(fis_low)
    regs.fbu.write(fis_high)
    regs.serr.clear(ALL_ERRORS)
    regs.is_.clear(ALL_EVENTS)
    regs.cmd.update(fre=True, sud=True, pod=True, icc=Icc.ACTIVE)


async def link(port: Port) -> bool:
    """COMRESET, and wait for the Phys to talk. §10.4.2. Whether there is a device at all.

    Raises DeviceTimeout when a device is there that does not come to talk.
    """
    sctl, ssts = port.regs.sctl, port.regs.ssts
    calm = sctl.read().replace(ipm=IpmLimit.NO_PARTIAL_SLUMBER)  # else PhyRdy changes by itself
    sctl.write(calm.replace(det=DetControl.RESET))
    sctl.read()  # the write has arrived, and the time begins
    await asyncio.sleep(COMRESET_HOLD)
    sctl.write(calm.replace(det=DetControl.NONE))
    try:
        await settle(ssts, lambda s: s.det != Det.NONE, PRESENCE_LIMIT)
    except DeviceTimeout:
        return False
    await settle(ssts, lambda s: s.det == Det.ESTABLISHED, LINK_LIMIT)
    port.regs.serr.clear(ALL_ERRORS)
    return True


async def ready(port: Port) -> Signature | int:
    """Wait until the device is through its own start, which may be a spin-up; what kind it is.

    Raises DeviceTimeout, and MediaChanged when it left meanwhile: no interrupt tells of that yet.
    """
    regs = port.regs

    def there() -> bool:
        return regs.ssts.read().det == Det.ESTABLISHED

    await settle(regs.tfd, lambda t: (not t.bsy and not t.drq) or not there(), READY_LIMIT)
    if not there():
        raise MediaChanged(f"{port}: the disk was removed while it started")
    return regs.sig.read().sig


def start(port: Port) -> None:
    """Start the command list and let the port interrupt. §10.3.1"""
    port.regs.serr.clear(ALL_ERRORS)
    port.regs.is_.clear(ALL_EVENTS)
    port.regs.cmd.update(st=True)
    port.listening = True
    port.spinner.sleep()


async def restart(port: Port, hard: bool) -> bool:
    """Stop and start the command list, with a COMRESET if the device needs one; whether it did. §6.2.2.1

    Raises MediaChanged when the device did not come back, or another may be there: what tells of that is left in
    PxSERR, and interrupts as soon as it may. DeviceTimeout when the HBA does not let go.
    """
    regs = port.regs
    quiet(port)
    regs.cmd.update(st=False)
    try:
        await settle(regs.cmd, lambda c: not c.cr, STOP_LIMIT)
    except DeviceTimeout:
        hard = True
    task, left = regs.tfd.read(), regs.sact.read().ds | regs.ci.read().ci
    errors = regs.serr.read()
    if errors.diag_x or errors.diag_n:  # nobody has seen it yet: PxIE was off, or is by now
        raise MediaChanged(f"{port}: the disk was removed or replaced")
    regs.serr.clear(errors)
    regs.is_.clear(ALL_EVENTS)
    hard = (
        hard or task.bsy or task.drq or bool(left)
    )  # some HBAs keep PxCI and PxSACT (QEMU before 8.1)
    if hard:
        port.stats.bump("resets")
        if not await link(port):
            raise MediaChanged(f"{port}: the disk did not come back from a reset")
        await ready(port)
        await settle(regs.cmd, lambda c: not c.cr, STOP_LIMIT)
    start(port)
    return hard


def listen(port: Port) -> None:
    """With no disk: only a change of the connection interrupts."""
    port.state = State.EMPTY
    port.regs.serr.clear(ALL_ERRORS)
    port.regs.is_.clear(ALL_EVENTS)
    port.listening = True
    port.completion.disarm()


async def identify(port: Port) -> Identify:
    """IDENTIFY DEVICE."""
    at = await port.own_data(commands.IDENTIFY, commands.identify())
    return Identify.over(at)


async def _identify_or_again(port: Port) -> Identify:
    """Some disks fail their first command after power-on: reset such a one, and ask again."""
    try:
        return await identify(port)
    except DeviceError as error:
        if isinstance(error, DeviceGone):
            raise
        log.info("%s: %s; once more after a reset", port, error)
        await restart(port, True)
        return await identify(port)
