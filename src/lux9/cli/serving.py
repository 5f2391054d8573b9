"""A system that is up, until a signal comes or the command that it was brought up for ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..ninep.default import VARIABLE
from ..sip.processes import tree
from .keeper import Keeper
from .system import System

GRACE = 3.0  # seconds from SIGTERM to SIGKILL


async def serve(system: System, command: str | None, folder: Path | None = None) -> int:
    """Until a signal, or the command's end; the exit status. `folder` is the socket's, where it goes with it."""
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, number)
    up = asyncio.ensure_future(system.__aenter__())
    either: set[asyncio.Future[Any]] = {up, stopped}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not up.done():  # asked to end while coming up
        up.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await up
            await system.__aexit__()  # it was up all the same
        return stopped.result()
    await up
    with Keeper(system.path, folder) as keeper:
        try:
            _complain(system, command is not None)
            if command is None:
                system.kernel.console.log(f"listening on {system.address}; Ctrl-C ends it")
                return await stopped
            status = await _execute(system, command, stopped, keeper)
            _tell(system.kernel.hardware.troubles)
            return status
        finally:
            await system.__aexit__()


def _stop(stopped: asyncio.Future[int], number: int) -> None:
    if not stopped.done():
        stopped.set_result(0 if number == signal.SIGTERM else 128 + number)


def _tell(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(f"lux9 boot: {line}", err=True)


def _complain(system: System, quiet: bool) -> None:
    """What a quiet console kept to itself and the user has to know: whom he lets in, a driver that did not start."""
    if quiet:
        _tell(system.kernel.warnings)
    for sip in system.launcher.sips:
        if quiet and not sip.running and sip.state != "created":
            said = f" ({sip.output[-1]})" if sip.output else ""
            click.echo(
                f"lux9 boot: {sip.name} does not serve {sip.binding}: {sip.reason}{said}", err=True
            )

    for (name, path), why in system.launcher.binder.passed.items():
        if quiet:
            click.echo(f"lux9 boot: {name} is not started for {path}: {why}", err=True)


async def _execute(
    system: System, command: str, stopped: asyncio.Future[int], keeper: Keeper
) -> int:
    """Run the user's command; a signal to us ends it, too."""
    env = os.environ | {VARIABLE: system.address}
    child = await asyncio.create_subprocess_shell(command, env=env, preexec_fn=keeper.starting)
    ended = asyncio.ensure_future(child.wait())
    await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        await _end(child, ended)
        return stopped.result() or 128 + signal.SIGTERM
    return _status(ended.result())


async def _end(child: asyncio.subprocess.Process, ended: asyncio.Future[int]) -> None:
    """The shell, and what it has started: none of that would be told by the shell."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in [*tree(child.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        await asyncio.wait([ended], timeout=GRACE)
        if ended.done():
            return


def _status(code: int) -> int:
    """A shell's way to say that a command was killed."""
    return 128 - code if code < 0 else code
