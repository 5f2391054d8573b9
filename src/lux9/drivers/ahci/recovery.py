"""Errors: find whose it is, get the port going again, and re-issue what was not to blame. AHCI 1.3.1 §6.2.2

With queued commands the device stops at the first that fails and keeps its tag in a log (ACS-3 §A.14); with
others the HBA stops in the slot that PxCMD.CCS tells. When neither can be asked, because the device had to be
reset or did not answer, the commands go again one at a time, so that the next error is one command's. When nobody
names the bad sector of a command, search.py finds it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from ...arch.ahci import PxIS, PxTFD
from ...arch.ata import Error, Status
from ...errors import DeviceError, DeviceTimeout, Lux9Error, MediaChanged
from . import bringup, commands, search
from .commands import AtaError, Mode, Request, tell
from .state import stopped

if TYPE_CHECKING:
    from .port import Port

log = logging.getLogger(__name__)

TRIES = 3  # a command that was in flight with so many others' errors is given up
NAMES = Error(unc=True, idnf=True).raw  # errors that are a sector's
HARD = PxIS(hbfs=True, hbds=True, ifs=True, ofs=True)  # the transfer went wrong, not the command


async def recover(port: Port, events: PxIS, late: list[Request]) -> None:
    """Deal with `events`, or with commands that are `late`; when it returns, the port runs."""
    port.stats.bump("recoveries")
    task, slot, at = port.regs.tfd.read(), _stopped_at(port), port.memory.fises.rfis.lba()
    mode, victims = port.queue.mode, port.queue.hold()
    hard = bool(late) or bool(events.raw & HARD.raw)
    was_reset = await bringup.restart(port, hard)
    guilty = await _guilty(port, mode, victims, slot, (task, at), was_reset)
    if was_reset:
        await same(port)
    if late or hard:
        guilty = {r: _late(port, r) for r in victims if r in late}
    found = {r: await search.named(port, r, error) for r, error in guilty.items()}
    # That goes well, and clears the error register: QEMU blames the next command for it
    await same(port)
    port.queue.again(_judge(port, victims, found, events))
    port.run()


def _stopped_at(port: Port) -> int:
    """Complete what was done before the error; the slot that the HBA stopped in, or -1.

    An HBA that has cleared PxCI of the very slot that failed (QEMU before 8.1) is not believed in what else it
    has cleared: those commands go again.
    """
    outstanding, cmd = port.regs.sact.read().ds | port.regs.ci.read().ci, port.regs.cmd.read()
    if not cmd.st:
        raise stopped(port)
    slot = cmd.ccs
    if port.queue.mode is not Mode.QUEUED and not outstanding >> slot & 1:
        return -1
    port.completion.hand_out(port.queue.finish(port.queue.active & ~outstanding))
    return slot


def _late(port: Port, request: Request) -> Lux9Error:
    return DeviceTimeout(
        f"{port}: {request} took longer than {request.op.limit:g} s; the port was reset"
    )


Left = tuple[PxTFD, int]  # what the device left in the registers: status, error; LBA


async def _guilty(
    port: Port, mode: Mode, victims: list[Request], slot: int, left: Left, was_reset: bool
) -> dict[Request, Lux9Error]:
    """The command that the device stopped at, with what it says of it."""
    (task, lba) = left
    status, error = task.raw & 0xFF, task.err
    if mode is Mode.QUEUED and not was_reset:
        try:
            slot, status, error, lba = await _log(port)
        except DeviceError as failed:
            log.warning("%s: the error log cannot be read: %s", port, failed)
            await bringup.restart(port, True)
            await same(port)
            slot = lba = -1
    elif mode is Mode.QUEUED:
        slot = lba = -1
    if len(victims) == 1:
        slot = victims[0].slot
    told = [(r, _told(r, error, lba)) for r in victims if r.slot == slot]
    return {r: failure(port, r, status, error, sector) for r, sector in told}


def _told(request: Request, error: int, lba: int) -> int | None:
    """The sector that the device names, if it does: that of a command that was merely aborted means nothing.

    ACS-3 §6.3, and each command's error outputs: it is the first that could not be moved.
    """
    if request.count == 1:
        return request.lba
    named = error & NAMES and request.lba <= lba < request.lba + request.count
    return lba if named else None


async def _log(port: Port) -> tuple[int, int, int, int]:
    """Tag, status, error and LBA of the queued command that failed. ACS-3 §A.14.2"""
    page = await port.own_data(commands.READ_LOG, commands.error_log())
    if sum(page) & 0xFF:
        raise DeviceError(f"{port}: the error log's checksum is wrong")
    if page[0] & 0x80:  # NQ: it was not a queued command
        raise DeviceError(f"{port}: the error log says that no queued command failed")
    lba = int.from_bytes(page[4:7] + page[8:11], "little")
    return page[0] & 0x1F, page[2], page[3], lba


def failure(
    port: Port, request: Request, status: int, error: int, sector: int | None, where: str = ""
) -> AtaError:
    """What the device says, decoded; `where` the sector is, when that is all that is known."""
    if sector is not None and request.count > 1:
        where = f" at sector {sector}"
    what = f"Status({Status.of(status).shown()}) Error({Error.of(error).shown()})"
    name = port.disk.name if port.disk else str(port)
    return AtaError(f"{name}: {request} failed{where}: {what}", status, error, sector)


def _judge(
    port: Port, victims: list[Request], guilty: dict[Request, Lux9Error | None], events: PxIS
) -> list[Request]:
    """Fail those to blame, or tell that they are done after all; the others, to be issued again."""
    again: list[Request] = []
    for request in victims:
        error = guilty.get(request)
        if error is None and request in guilty:
            tell([request], None)
            continue
        request.tries += not guilty  # with somebody to blame, it is not the others
        if error is None and request.tries >= TRIES:
            error = DeviceError(f"{port}: {request} met {request.tries} errors ({events.shown()})")
        if error is None:
            again.append(request)
        else:
            port.stats.bump("errors")
            log.warning("%s", error)
            tell([request], error)
    if not guilty:
        port.queue.careful = len(again)
    return again


async def same(port: Port) -> None:
    """Ask who is there: it must be the same disk, above all after a reset. Raises MediaChanged."""
    disk = port.disk
    if disk is not None and disk.identity != type(disk).identity_of(await bringup.identify(port)):
        raise MediaChanged(f"{disk.name}: another disk answers after a reset")


async def own_command(port: Port, request: Request, done: asyncio.Future[None]) -> None:
    """Wait for a command of the driver's own. Raises DeviceTimeout or AtaError; the list is then halted."""
    limit = request.op.limit
    await asyncio.wait(
        [done], timeout=limit
    )  # wait_for forgets a cancellation that comes with `done`
    if not done.done():
        task = port.regs.tfd.read()
        await bringup.halt(port)
        port.queue.recall()
        raise DeviceTimeout(f"{port}: {request} took longer than {limit:g} s, {task!r}")
    try:
        done.result()
    except AtaError:
        await bringup.halt(port)
        raise


def refused(port: Port, events: PxIS) -> None:
    """A fatal event while a command of the driver's own is in flight: it has failed."""
    task, lba = port.regs.tfd.read(), port.memory.fises.rfis.lba()
    for request in port.queue.recall():
        sector = _told(request, task.err, lba)
        error = failure(port, request, task.raw & 0xFF, task.err, sector)
        log.debug("%s (%s)", error, events.shown())
        tell([request], error)
