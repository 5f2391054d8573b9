"""`lux9 put`: write to a file of the served tree."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from ..errors import LimitReached, RemoteError, UserError
from ..ninep.client import Client, File
from ..wire.messages import ORDWR, OWRITE
from .numbers import NUMBER, WIDTH
from .tree import PATH, dialled, told

EXAMPLES = """
\b
Examples:
  lux9 put /dev/pci/ctl rescan
  lux9 put /dev/pci/0000:00:1f.2/ctl claim
  lux9 put --answer /dev/dma/alloc 'size 4096'           print what the file answers
  lux9 put --offset 4 --width 4 /dev/pci/0000:00:1f.2/bar5 0x80000000
                                                         one register
  lux9 put --offset 1M /dev/sdE0/data < part.img         from standard input
"""


@click.command(epilog=EXAMPLES)
@click.argument("file", type=PATH)
@click.argument("text", required=False)
@click.option("--offset", type=NUMBER, default=0, metavar="N", help="Begin at this byte.")
@click.option(
    "--width", type=WIDTH, help="TEXT is a number: write it as one access of so many bytes."
)
@click.option(
    "--answer", is_flag=True, help="Then read the answer from the same open file, and print it."
)
def put(file: str, text: str | None, offset: int, width: str | None, answer: bool) -> None:
    """Write TEXT to a file of the tree, or standard input where no TEXT is given.

    The file has to be there. What is written is TEXT, as it is, with no newline behind it.
    """
    if width is not None and text is None:
        raise click.UsageError("--width wants a number to write, as TEXT")
    data = text.encode(errors="surrogateescape") if text is not None else None
    if width is not None and text is not None:
        data = word(text, int(width))
    with dialled() as client:
        try:
            write(client, file, offset, data, answer)
        except RemoteError as error:
            raise RemoteError(told(file, error), error.number) from None


def word(text: str, width: int) -> bytes:
    """A number as a register's bytes. Raises UserError when it does not fit."""
    value: int = NUMBER.convert(text, None, None)
    if value >= 1 << 8 * width:
        raise UserError(f"{text} does not fit into {width} byte(s); write a larger --width")
    return value.to_bytes(width, "little")


def write(client: Client, path: str, offset: int, data: bytes | None, answer: bool) -> None:
    """Write the data, or standard input; print the answer if it is wanted."""
    with client.open(path, ORDWR if answer else OWRITE) as file:
        for piece in [data] if data is not None else pieces(file):
            offset += whole(file, offset, piece)
        if answer:
            sys.stdout.buffer.write(file.pread(offset, file.iounit))


def whole(file: File, offset: int, piece: bytes) -> int:
    """One write, all of it. Raises LimitReached when the file takes less."""
    took = file.pwrite(offset, piece)
    if took < len(piece):
        raise LimitReached(f"{file.path} took {took} of {len(piece)} bytes at offset {offset}")
    return took


def pieces(file: File) -> Iterator[bytes]:
    """Standard input, in writes as long as the file takes."""
    while piece := sys.stdin.buffer.read(file.iounit):
        yield piece
