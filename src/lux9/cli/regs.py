"""`lux9 regs`: a function's registers, decoded by the declarations that its driver uses."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import click

from .. import regs_view
from ..arch import registers_of
from ..arch.pci import Header, Header0, Header1, Layout
from ..connection.bus import Listed
from ..errors import RemoteError, UserError
from ..ninep.client import Client, File
from ..regs import Memory
from ..wire.messages import ORDWR
from .functions import seen
from .tree import dialled

HEADER = 64  # bytes. PCI 3.0 §6.1

EXAMPLES = """
\b
Examples:
  lux9 regs 0000:00:1f.2              the controller's registers, in its BAR
  lux9 regs --config 0000:00:1f.2     its configuration header
"""


@click.command(epilog=EXAMPLES)
@click.argument("function", metavar="[DDDD:]BB:DD.F")
@click.option("--config", is_flag=True, help="The configuration header instead of the BAR.")
def regs(function: str, config: bool) -> None:
    """Print a function's registers, decoded: a line each, with the fields that are not zero.

    Registers that change when they are read are left out. A function that a driver has claimed is the driver's.
    """
    with dialled() as client:
        lines = header(client, function) if config else block(client, function)
        click.echo("".join(f"{line}\n" for line in lines), nl=False)


class FileWindow:
    """Words of a register file: one access each."""

    def __init__(self, file: File) -> None:
        self.file = file

    def read(self, offset: int, width: int) -> int:
        """The word at an offset."""
        return int.from_bytes(self.file.pread(offset, width), "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """Set the word at an offset."""
        self.file.pwrite(offset, value.to_bytes(width, "little"))


def header(client: Client, name: str) -> Iterator[str]:
    """The configuration header, by its type."""
    name = known(client, name).address
    with client.open(f"/dev/pci/{name}/config") as file:
        words = Memory(file.pread(0, HEADER))
    bridge = Header(words).header_type.read().layout == Layout.BRIDGE
    yield from regs_view.dump((Header1 if bridge else Header0)(words))


def block(client: Client, name: str) -> Iterator[str]:
    """The registers in the function's BAR. Raises UserError when none are declared for its class."""
    found = known(client, name)
    name = found.address
    code = int(found.code, 16)
    declared = registers_of(code, found.card)
    if declared is None:
        what = f"class {code >> 16:02x}.{code >> 8 & 0xFF:02x}.{code & 0xFF:02x}"
        raise UserError(f"{name}: no registers are declared for {what}; --config has its header")
    try:
        file = client.open(f"/dev/pci/{name}/bar{declared.bar}", ORDWR)
    except RemoteError as error:
        raise RemoteError(refused(client, name, error), error.number) from None
    with file:
        yield from regs_view.dump(declared.block(FileWindow(file)))


def known(client: Client, name: str) -> Listed:
    """What the bus says of a function; one of domain 0 may go without that. Raises UserError when there is none."""
    found = {f.address: f for f in seen(client)}
    for address in (name, f"0000:{name}"):
        if address in found:
            return found[address]
    raise UserError(f"{name}: there is no such function; there are: {' '.join(found)}")


def refused(client: Client, name: str, error: RemoteError) -> str:
    """Why the BAR cannot be opened, and what to do when that is because a driver has it."""
    if error.number != errno.EBUSY:
        return str(error)
    return f"{error}; --config has its header, and a kernel booted with `--manifest /dev/null` starts no driver"
