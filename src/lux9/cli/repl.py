"""`lux9 repl`: a Python prompt with the tree and the registers by name."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from ..connection import connect
from ..errors import UserError
from . import where
from .audit import default_log
from .boot import boot
from .machines import NAMES

HISTORY = "repl-history"
EXAMPLES = """
\b
Examples:
  lux9 repl --machine sim --disk disk.img    a machine of your own, no driver started
  lux9 repl                                  the kernel that runs
  lux9 -a unix!/run/lux9.sock repl
\b
  >>> hba.ports[0].cmd                       a register: one access, the fields decoded
  >>> before = hba.snapshot()
  >>> pci["00:1f.2"].claim()
  >>> hba.ghc.ae = True                      write one field
  >>> hba.diff(before)                       what has changed since, by field
  >>> tree/"dev/pci/bus"                     a file
  >>> help(hba.ports[0].cmd)                 what the specification says of it
"""


@click.command(epilog=EXAMPLES)
@click.option("--machine", type=click.Choice(NAMES), help="Boot one for this prompt alone.")
@click.option(
    "--disk",
    "disks",
    multiple=True,
    metavar="IMG[:FORMAT]",
    help="With --machine: a disk image; may be repeated.",
)
@click.option(
    "--device", "devices", multiple=True, metavar="STR", help="With --machine: a card, as `edu`."
)
@click.option("--drivers", is_flag=True, help="With --machine: start the built-in drivers, too.")
def repl(machine: str | None, disks: Sequence[str], devices: Sequence[str], drivers: bool) -> None:
    """A Python prompt with the tree, the machine's functions and their registers by name.

    Registers are attributes with the specification's names; shown, they are decoded. A block's state can be
    kept, and compared with a later one. Completion reads no register.
    """
    if machine is not None:
        _booted(machine, disks, devices, drivers)
    elif disks or devices or drivers:
        raise click.UsageError(
            "--disk, --device and --drivers are of the machine that --machine boots"
        )
    else:
        _prompt(where())


def _booted(machine: str, disks: Sequence[str], devices: Sequence[str], drivers: bool) -> None:
    """A kernel in this process, and the prompt in a child, as `lux9 boot --exec` has it."""
    if click.get_current_context().find_root().params.get("addr"):
        raise click.UsageError(
            "-a names a kernel that runs, --machine boots another; give one of them"
        )
    command = "exec " + shlex.join([sys.executable, "-m", "lux9", "repl"])
    manifest = {} if drivers else {"manifest": Path(os.devnull)}
    context = click.get_current_context()
    context.invoke(boot, machine=machine, disks=disks, devices=devices, command=command, **manifest)


def _prompt(addr: str) -> None:
    from ..repl.names import offered
    from ..repl.prompt import Prompt

    try:
        tree = connect(addr)
    except ConnectionError as error:
        raise UserError(str(error)) from None
    with tree, _foreground():
        tree.write_text("/proc/self/args", "repl")  # what a claim of ours is shown under
        names = offered(tree)
        try:
            Prompt(names).run(names.banner(), default_log().parent / HISTORY)
        finally:
            names.close()


@contextmanager
def _foreground() -> Generator[None, None, None]:
    """Ctrl-C is the prompt's own, as it is a shell's: a kernel that runs us does not hear it."""
    if not sys.stdin.isatty() or os.getpgrp() == os.getpid():
        yield
        return
    with contextlib.ExitStack() as undo:
        ignored = signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # else we could not give it back
        undo.callback(signal.signal, signal.SIGTTOU, ignored)
        before = os.tcgetpgrp(sys.stdin.fileno())
        os.setpgid(0, 0)
        os.tcsetpgrp(sys.stdin.fileno(), os.getpid())
        undo.callback(os.tcsetpgrp, sys.stdin.fileno(), before)
        yield
