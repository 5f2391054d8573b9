"""`lux9 lspci`: the functions of the machine, from /dev/pci."""

from __future__ import annotations

import re
from dataclasses import asdict

import click

from ..connection.bus import Listed
from ..ninep.client import Client
from .functions import seen
from .tree import dialled, printed

EXAMPLES = """
\b
Examples:
  lux9 lspci
  lux9 lspci -v                   with BARs, capabilities and whose they are
  lux9 lspci --json | jq -r '.[] | select(.code == "010601") | .address'
  lux9 cat /dev/pci/dump > f && lspci -F f -vv
"""


@click.command(epilog=EXAMPLES)
@click.option("-v", "verbose", is_flag=True, help="BARs, interrupt, owner and capabilities, too.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array with all of it, for programs.")
def lspci(verbose: bool, as_json: bool) -> None:
    """List the functions of the machine: address, kind, vendor and device."""
    with dialled() as client:
        found = seen(client)
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
