"""`lux9 run`: a program, in whatever language, that finds the machine's hardware below /dev."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from ..errors import UserError
from ..fuse.keeper import available
from ..kernel.process import Cap
from ..ninep.address import parse
from ..sip.sandbox import bind, bubblewrap
from ..sip.sandbox.level import Level
from . import where

ROOMS = ("pci", "mem", "io", "irq", "dma")  # of /dev, what is shown to the program
NAMES = tuple(str(cap.name).lower() for cap in Cap)
LEVELS = [Level.PROCESS.word, Level.SANDBOX.word]
MISSING, NO_PROGRAM = (
    127,
    126,
)  # a shell's status for what is not there, and what cannot be executed
Command = Callable[..., Any]
ENDING = 10.0  # seconds that the mount may take to go

EXAMPLES = """
\b
Examples:
  lux9 run -- ls /dev/pci
  lux9 run --bind 0000:00:01.0 --capability pci --capability mem -- ./driver
  lux9 run --isolation process -- python3 driver.py    the host's files, processes and network, too
\b
The program runs with the kernel's /dev/pci, /dev/mem, /dev/io, /dev/irq and /dev/dma at just those paths. When it
ends, for whatever reason, whatever it claimed is quiesced and given back.
"""

capability = click.option(
    "--capability",
    "capabilities",
    multiple=True,
    type=click.Choice(NAMES),
    help="What it may use; may be repeated. Without any: all that you may.",
)
binding = click.option(
    "--bind",
    "functions",
    multiple=True,
    metavar="FUNCTION",
    help="Show it this function, 0000:00:1f.2, and no other; may be repeated.",
)


def isolation(default: Level) -> Callable[[Command], Command]:
    """How far it is kept from the host."""
    return click.option(
        "--isolation",
        type=click.Choice(LEVELS),
        default=default.word,
        show_default=True,
        help="sandbox: the system read-only, the working directory, no network; process: the host as it is.",
    )


@click.command(epilog=EXAMPLES, context_settings={"ignore_unknown_options": True})
@capability
@binding
@isolation(Level.SANDBOX)
@click.argument(
    "command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- PROGRAM [ARG]..."
)
def run(
    capabilities: Sequence[str], functions: Sequence[str], isolation: str, command: Sequence[str]
) -> None:
    """Run a program, in any language, that finds the hardware as files below /dev."""
    level = Level.parse(isolation, "--isolation")
    sys.exit(within(level, capabilities, functions, command))


def within(
    level: Level, capabilities: Sequence[str], functions: Sequence[str], command: Sequence[str]
) -> int:
    """Run a command to its end; its status, as a shell tells it. Raises UserError."""
    if shutil.which(bubblewrap.PROGRAM) is None:
        raise UserError("bwrap is missing; apt-get install bubblewrap")
    words, named = bubblewrap.shown(command)
    if shutil.which(words[0]) is None:
        there = Path(words[0]).exists()
        why = "cannot be executed; a file that can is `chmod +x`" if there else "not found"
        click.echo(f"lux9 run: {command[0]}: {why}", err=True)
        return NO_PROGRAM if there else MISSING
    with mounted(_orders(command, capabilities, functions)) as top:
        devices = {name: top / "dev" / name for name in ROOMS if _there(top / "dev" / name)}
        for name in functions:
            if not _there(top / "dev/pci" / name):
                raise UserError(f"--bind {name}: no such function; lux9 lspci lists them")
        env = os.environ | ({"LUX9_FUNCTION": functions[0]} if functions else {})
        line = bind.arguments(level, words, devices, named, _socket())
        return _wait(subprocess.Popen(line, env=env))


def _socket() -> Path | None:
    """The kernel's, where it is one of this host's."""
    address = parse(where())
    return Path(address.where).resolve() if address.kind == "unix" else None


def _there(path: Path) -> bool:
    """Whether the tree lets it be seen."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _orders(
    command: Sequence[str], capabilities: Sequence[str], functions: Sequence[str]
) -> Iterator[str]:
    """What the connection does before the program is there: it becomes the program, and no more than that."""
    told = " ".join(command).encode(errors="replace").decode()  # an argument may be any bytes
    yield f"/proc/self/args {' '.join(told.split())}"  # and have several lines: an order is one
    yield "/proc/self/ctl rfork"
    less = [name for name in NAMES if name not in (capabilities or NAMES)]
    if less:
        yield f"/proc/self/ctl renounce {' '.join(less)}"
    for name in functions:  # while they may be had: of what is not seen any more nothing is given
        yield f"/proc/self/ns bind '#P/{name}' /dev/pci/{name}"
    if functions:
        yield "/proc/self/ns unmount /dev/pci"


@contextmanager
def mounted(orders: Iterable[str]) -> Generator[Path, None, None]:
    """The tree, mounted in a directory of its own by a process of its own; both end with this one. Raises UserError."""
    available()
    top = Path(tempfile.mkdtemp(prefix="lux9-run-"))
    command = [sys.executable, "-m", "lux9.fuse.private", where(), str(top)]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is the program's
    )
    try:
        assert child.stdin is not None, "a pipe was asked for"
        assert child.stdout is not None, "a pipe was asked for"
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write("".join(f"{line}\n" for line in (*orders, "")).encode())
            child.stdin.flush()
        if not child.stdout.readline():
            raise UserError(_why(child))
        yield top
    finally:
        _end(child, top)


def _why(child: subprocess.Popen[bytes]) -> str:
    """The last line that it printed."""
    _, said = child.communicate()
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"the mount ended with status {child.returncode}"


def _end(child: subprocess.Popen[bytes], top: Path) -> None:
    """It unmounts and removes the directory when it hears no more of us."""
    with contextlib.suppress(BrokenPipeError, ValueError):
        if child.stdin is not None:
            child.stdin.close()
    try:
        child.wait(ENDING)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(OSError):
        top.rmdir()


def _wait(program: subprocess.Popen[bytes]) -> int:
    """Until it ends. Ctrl-C is its own affair; a signal that is meant for us ends it first."""

    def end(number: int, frame: FrameType | None) -> None:
        program.terminate()

    old = {n: signal.signal(n, end) for n in (signal.SIGTERM, signal.SIGHUP)}
    old[signal.SIGINT] = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        status = program.wait()
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    return 128 - status if status < 0 else status
