"""`lux9 lspci`: the functions of the machine, from /dev/pci."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field

import click

from ..arch.pci import class_name
from ..errors import ProtocolError
from ..ninep.client import Client
from .tree import dialled, printed

BUS = "/dev/pci/bus"
FUNCTION = re.compile(
    r"(\S+) vendor=0x(\w{4}) device=0x(\w{4}) class=(\w\w)\.(\w\w)\.(\w\w) irq=(-?\d+)$"
)
BAR = re.compile(r"  bar(\d): addr=0x(\w+) size=0x(\w+)$")

EXAMPLES = """
\b
Examples:
  lux9 lspci
  lux9 lspci -v                   with BARs, capabilities and whose they are
  lux9 lspci --json | jq -r '.[] | select(.code == "010601") | .address'
  lux9 cat /dev/pci/dump > f && lspci -F f -vv
"""


@dataclass
class Listed:
    """A function, as /dev/pci/bus has it; owner and capabilities are asked for only where they are shown."""

    address: str
    vendor: str
    device: str
    code: str
    name: str
    irq: int
    bars: list[dict[str, int]] = field(default_factory=list[dict[str, int]])
    owner: str | None = None
    capabilities: list[str] = field(default_factory=list[str])


@click.command(epilog=EXAMPLES)
@click.option("-v", "verbose", is_flag=True, help="BARs, interrupt, owner and capabilities, too.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array with all of it, for programs.")
def lspci(verbose: bool, as_json: bool) -> None:
    """List the functions of the machine: address, kind, vendor and device."""
    with dialled() as client:
        found = parse(client.read(BUS).decode())
        if verbose or as_json:
            for f in found:
                know(client, f)
    if as_json:
        printed([asdict(f) for f in found])
        return
    for f in found:
        click.echo(f"{f.address} {f.name} [{f.code[:4]}]: {f.vendor}:{f.device}")
        if verbose:
            click.echo("".join(f"\t{line}\n" for line in details(f)))


def parse(text: str) -> list[Listed]:
    """The functions in /dev/pci/bus. Raises ProtocolError when it is something else."""
    found: list[Listed] = []
    for line in text.splitlines():
        if match := FUNCTION.match(line):
            address, vendor, device, *code, irq = match.groups()
            name = class_name(int("".join(code), 16))
            found.append(Listed(address, vendor, device, "".join(code), name, int(irq)))
        elif (match := BAR.match(line)) and found:
            n, at, size = match.groups()
            found[-1].bars.append({"bar": int(n), "address": int(at, 16), "size": int(size, 16)})
        else:
            raise ProtocolError(f"{BUS} has a line {line!r}")
    return found


def know(client: Client, f: Listed) -> None:
    """Ask for whose it is and what it can do."""
    at = f"/dev/pci/{f.address}"
    owner = re.search(r"^owner: (\S+)$", client.read(f"{at}/ctl").decode(), re.MULTILINE)
    f.owner = owner[1] if owner and owner[1] != "-" else None
    f.capabilities = client.read(f"{at}/caps").decode().splitlines()


def details(f: Listed) -> list[str]:
    """The lines below a function's own."""
    lines = [f"owner {f.owner or '-'}, irq {f.irq if f.irq >= 0 else '-'}"]
    lines += [f"bar{b['bar']} at {b['address']:#x}, {b['size']:#x} bytes" for b in f.bars]
    return lines + [f"capability {line}" for line in f.capabilities]
