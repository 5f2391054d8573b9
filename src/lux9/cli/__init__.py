"""The command line: a file a command, loaded when it is asked for.

A command's function has its file's name. Whatever the user did wrong is one line, `lux9 cat: …`, with status 1; a
command line that cannot be understood is status 2, Ctrl-C 130. A reader that goes away (`lux9 cat … | head`) is
not an error worth a word.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from ..errors import Lux9Error, UserError, plain, text_of
from ..ninep.default import KEYS, VARIABLE, default_address

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED = 130  # as a shell tells of SIGINT

COMMANDS: dict[str, str] = {  # what `lux9 --help` shows without loading them
    "audit": "Look at the audit that was kept on disk.",
    "boot": "Serve a machine's hardware as files over 9P.",
    "cat": "Print files, or registers, of the tree.",
    "completion": "Print the completion script of a shell.",
    "demo": "Show the whole chain, from the bus to a file on a disk.",
    "doctor": "Tell what this host has for each machine, and what it lacks.",
    "keys": "Make keys for the network, list them, and take them out of use.",
    "drive": "Drive a function of another host, from here.",
    "ls": "List directories of the tree.",
    "lspci": "List the functions of the machine.",
    "mount": "Show the tree to every program, by FUSE.",
    "put": "Write to a file of the tree.",
    "regs": "Print a function's registers, decoded.",
    "repl": "A Python prompt with the tree and the registers by name.",
    "rm": "Remove files of the tree.",
    "run": "Run a program, in any language, that finds the hardware as files below /dev.",
    "shell": "Run your shell with the hardware as files below /dev.",
    "sip": "Look at the drivers, and start, stop and restart them.",
    "stat": "Print what is known of files of the tree.",
    "version": "Print the version.",
}

EPILOG = """
\b
Examples:
  lux9 demo                                     from nothing to a file, every step shown
  lux9 boot --disk disk.img                     serve; then, in another terminal:
  lux9 ls -l /dev
  lux9 cat /dev/pci/bus
"""


class Failed(click.ClickException):
    """A command that could not do what it was asked: one line, no traceback."""

    def __init__(self, command: str, text: str) -> None:
        super().__init__(text)
        self.command = command

    def show(self, file: Any = None) -> None:
        """On stderr."""
        who = f"lux9 {self.command}".rstrip()
        for line in self.message.splitlines() or [""]:
            click.echo(plain(f"{who}: {line}"), file=file, err=True)


def _ours_first(path: str) -> str:
    """A PATH on which, for all that we start, `lux9` is this very one and `python3` the one that has the library."""
    return os.pathsep.join([str(Path(sys.executable).parent), path])


def _told(error: Exception) -> str:
    """One line. What a command opens by name is named; what is full and has no name is where its output goes."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return "too many open files for this shell's limit; raise it: ulimit -n 1024"
    if isinstance(error, OSError) and (error.filename or error.errno in FULL):
        return f"{error.filename or 'standard output'}: {error.strerror}"
    return text_of(error)


def _is_interrupt(error: Exception) -> bool:
    """Whether it is a Ctrl-C: Python 3.11 makes a RuntimeError of one that comes while a class is made."""
    return isinstance(error, click.Abort) or isinstance(error.__cause__, KeyboardInterrupt)


def _empty(fd: int, mode: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(fd, mode, closefd=False))


def _names_as_they_are() -> None:
    """A name that is not UTF-8, of a file of Linux's, is printed as the bytes that it is."""
    out: Any = sys.stdout
    if hasattr(out, "reconfigure"):  # nobody has put another thing there
        out.reconfigure(errors="surrogateescape")


def _three_files() -> None:
    """Standard input, output and error are there: what we open next must not get the number of one that is closed."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or _empty(0, "r")
    sys.stdout = sys.stdout or _empty(1, "w")
    sys.stderr = sys.stderr or _empty(2, "w")


def _drop_the_rest() -> None:
    """What standard output did not take: Python would try once more at its end, and end with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            sys.stdout.close()


class Commands(click.Group):
    """The group: its commands' files are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, loaded."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A line a command, none of them loaded."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what it refuses is told in one line."""
        try:
            return super().invoke(ctx)
        except (Lux9Error, OSError) as error:
            if isinstance(error, BrokenPipeError):  # click ends quietly
                raise
            raise Failed(ctx.invoked_subcommand or "", _told(error)) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line, and end with its status."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        _three_files()
        _names_as_they_are()
        os.environ["PATH"] = _ours_first(os.environ.get("PATH", os.defpath))
        try:
            status = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except BrokenPipeError:
            sys.exit(1)
        except OSError as error:  # of `lux9 --help`, which invokes no command, or the last flush
            failed = Failed("", _told(error))
            failed.show()
            sys.exit(failed.exit_code)
        except (click.Abort, RuntimeError) as error:
            if not _is_interrupt(error):
                raise
            click.echo(err=True)
            sys.exit(INTERRUPTED)
        finally:
            _drop_the_rest()
        sys.exit(status if isinstance(status, int) else 0)


def _keys(context: click.Context, option: click.Parameter, file: str | None) -> None:
    """For whoever dials, in this process or in those that it starts."""
    if file:
        os.environ[KEYS] = file


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-a",
    "--addr",
    metavar="ADDR",
    help="Where the kernel listens: unix!PATH, tcp!HOST!PORT or tls!HOST!PORT. "
    f"[default: ${VARIABLE}, else this user's socket]",
)
@click.option(
    "--keys",
    metavar="FILE",
    callback=_keys,
    expose_value=False,
    help=f"Your key file, for tls!. [default: ${KEYS}, else ~/.config/lux9/client.pem]",
)
@click.option(
    "--reconnect",
    type=click.FloatRange(0, 86_400),
    metavar="SECONDS",
    envvar="LUX9_RECONNECT",
    help="When the connection is lost, dial again for so long, and go on where that is possible.",
)
def main(addr: str | None, reconnect: float | None) -> None:
    """A machine's PCI hardware as files over 9P, and its drivers as ordinary programs."""


def where() -> str:
    """Where to dial, as told on the command line, in the environment, or by default."""
    found = click.get_current_context().find_root().params.get("addr")
    return str(found) if found else default_address()


def reconnect() -> float:
    """Seconds for which a lost connection is dialled again; 0 is not at all."""
    found: float | None = click.get_current_context().find_root().params.get("reconnect")
    return found or 0.0
