"""`lux9 cat`: print files of the served tree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager

import click

from ..errors import BadArgument, IsADirectory
from ..ninep.client import Client, File
from .numbers import NUMBER, WIDTH
from .tree import PATH, dialled, each

LONG = 32 << 20  # bytes from which a copy shows how far it is

EXAMPLES = """
\b
Examples:
  lux9 cat /dev/pci/bus
  lux9 cat /root/big.img > copy.img                      progress on the terminal
  lux9 cat --offset 0x10 --width 4 /dev/pci/0000:00:1f.2/bar5
                                                         one register: AHCI's version
  lux9 cat --count 512 /dev/sdE0/data | xxd              the first sector
  lux9 cat -f /dev/audit                                 what happened, and goes on to: until Ctrl-C
"""


@click.command(epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("--offset", type=NUMBER, default=0, metavar="N", help="Begin at this byte.")
@click.option(
    "--count", type=NUMBER, metavar="N", help="Print so many bytes at most; else to the end."
)
@click.option(
    "--width",
    type=WIDTH,
    help="Registers: accesses of so many bytes, a line each with offset and value. One, unless --count is given.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on at the end of a log, as it grows.")
def cat(
    files: tuple[str, ...], offset: int, count: int | None, width: str | None, follow: bool
) -> None:
    """Print files of the tree, one after the other, to the end.

    A file of events has none: they are printed as they come, until Ctrl-C. With -f a log is printed so, too.
    """
    if follow and (count is not None or width is not None or len(files) > 1):
        raise click.UsageError("-f follows one file, without --count and --width")
    with dialled() as client:
        if follow:
            each(files, lambda path: followed(client, path, offset))
        elif width is None:
            each(files, lambda path: copy(client, path, offset, count))
        else:
            each(files, lambda path: registers(client, path, offset, count, int(width)))


def copy(client: Client, path: str, offset: int, count: int | None) -> None:
    """A file's bytes to stdout."""
    out = sys.stdout.buffer
    with client.open(path) as file, progress(client, path, offset, count) as shown:
        if file.qid.is_dir:
            raise IsADirectory(path)
        for data in shown(file.chunks(offset, count)):
            out.write(data)
            out.flush()  # an event is seen when it comes


def followed(client: Client, path: str, offset: int) -> None:
    """A log to stdout, as it grows."""
    with client.open(path) as file:
        for data in file.events(offset):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def registers(client: Client, path: str, offset: int, count: int | None, width: int) -> None:
    """Words of a register file, one access and one line each."""
    with client.open(path) as file:
        for at in range(offset, offset + (count or width), width):
            click.echo(f"{at:#06x}: {word(file, at, width):#0{2 * width + 2}x}")


def word(file: File, at: int, width: int) -> int:
    """One access. Raises BadArgument where the file has no such word."""
    data = file.pread(at, width)
    if len(data) < width:
        raise BadArgument(f"there are no {width} bytes at {at:#x}: the file ends before")
    return int.from_bytes(data, "little")


Shown = Callable[[Iterator[bytes]], Iterable[bytes]]


@contextmanager
def progress(
    client: Client, path: str, offset: int, count: int | None
) -> Generator[Shown, None, None]:
    """Something to lead the bytes through that shows how far a long copy is, where somebody is looking."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda chunks: chunks
        return
    length = client.stat(path).length - offset
    total = length if count is None else min(count, length)
    if total < LONG:
        yield lambda chunks: chunks
        return
    from .bar import bar

    with bar(path, total) as shown:
        yield shown
