"""`lux9 keys`: who may come over the network, as certificates of an authority of your own."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from ..keys.folder import AUTHORITY, Folder, Issued, date
from ..ninep.tls import config
from .tree import columns, printed

if TYPE_CHECKING:
    from ..keys.authority import Authority

HOST = "host"  # the key of a kernel, where nothing else is said
DAYS = 365

EXAMPLES = """
\b
Examples:
  lux9 keys init --host lab.example.org     an authority, and a key for the kernel of this host
  lux9 keys new ada                         a key for a user; give him the file, and tell nobody what is in it
  lux9 keys new --host lab2 lab2            a key for the kernel of another host
  lux9 keys list
  lux9 keys revoke ada                      from now on it counts no more, also where it is in use
\b
Then: lux9 boot --listen tls!HOST!PORT --manifest FILE, with a [[user]] in FILE for each name; and on the other host:
lux9 --keys ada.pem -a tls!HOST!PORT ls /dev
"""


def _folder(text: str | None) -> Folder:
    return Folder(Path(text) if text else config() / "keys")


def _authority(folder: Folder) -> Authority:
    """Of a directory. Raises UserError."""
    _needs()
    from ..keys.authority import Authority

    return Authority.load(folder)


def _needs() -> None:
    """The library that makes certificates. Raises UserError with the command that installs it."""
    try:
        import cryptography
    except ImportError:
        raise UserError(
            "making keys needs the Python package cryptography; pip install 'lux9[keys]'"
        ) from None
    del cryptography


@click.group(epilog=EXAMPLES)
@click.option(
    "--dir",
    "place",
    metavar="DIR",
    envvar="LUX9_KEYS_DIR",
    help="Where the authority is.  [default: $XDG_CONFIG_HOME/lux9/keys]",
)
@click.pass_context
def keys(context: click.Context, place: str | None) -> None:
    """Make keys and certificates for the network, list them, and take them out of use."""
    context.obj = _folder(place)


@keys.command()
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A name or address by which this host is dialled, besides its own and localhost's.",
)
@click.pass_obj
def init(folder: Folder, hosts: tuple[str, ...]) -> None:
    """Make an authority, and a key for the kernel of this host."""
    _needs()
    from ..keys.authority import Authority, check_hosts, is_host

    check_hosts(hosts)  # before there is anything
    authority = Authority.init(folder, socket.gethostname())
    ours = [name for name in _own() if is_host(name)]
    made = authority.new(HOST, tuple(dict.fromkeys([*hosts, *ours])), DAYS)
    click.echo(f"authority  {folder.file(AUTHORITY)}")
    click.echo("           whoever has this file can make keys: keep it here, and keep a copy safe")
    click.echo(
        f"host key   {folder.file(HOST)}, until {date(made.until)}, for {' '.join(made.hosts)}"
    )
    click.echo("\nNext: a key for each user, `lux9 keys new NAME`, and his rights in the manifest:")
    click.echo('  [[user]]\n  name = "NAME"\n  capabilities = ["pci", "mem", "irq", "dma"]')
    click.echo("then: lux9 boot --listen 'tls!*!5640' --manifest FILE")


def _own() -> list[str]:
    """What this host calls itself."""
    own = [socket.gethostname(), "localhost", "127.0.0.1", "::1"]
    with contextlib.suppress(OSError):
        own.insert(1, socket.getfqdn())
    return own


@keys.command()
@click.argument("name")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A kernel's key, for the host of this name or address; may be repeated.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=DAYS,
    show_default=True,
    help="How long it counts.",
)
@click.pass_obj
def new(folder: Folder, name: str, hosts: tuple[str, ...], days: int) -> None:
    """Make a key for a user, or with --host for the kernel of a host."""
    made = _authority(folder).new(name, hosts, days)
    path = folder.file(name)
    click.echo(f"{path}: a {made.kind}'s key, until {date(made.until)}")
    if hosts:
        click.echo(
            f"Copy it to {hosts[0]} (scp -p, mode 0600), with {folder.path / 'revoked'} beside it, and there:\n"
            f"  lux9 boot --keys {path.name} --listen 'tls!*!5640' --manifest FILE"
        )
    else:
        click.echo(
            f"Copy it to {name}'s host as ~/.config/lux9/client.pem (scp -p, mode 0600), and there:\n"
            f"  lux9 -a tls!{_dialled(folder)}!5640 ls /\n"
            f'The manifest gives the rights:\n  [[user]]\n  name = "{name}"'
        )


def _dialled(folder: Folder) -> str:
    """How users dial this host."""
    return next((i.hosts[0] for i in folder.issued() if i.name == HOST and i.hosts), "HOST")


@keys.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def list_(folder: Folder, as_json: bool) -> None:
    """List the keys that were made, and how long they count."""
    issued = folder.issued()
    if as_json:
        printed([_fields(one) for one in issued])
        return
    if not folder.file(AUTHORITY).exists():
        raise UserError(f"no authority in {folder.path}; `lux9 keys init` makes one")
    rows: list[tuple[str, ...]] = [("NAME", "KIND", "UNTIL", "STATE", "SERIAL", "HOSTS")]
    for one in issued:
        hosts = " ".join(one.hosts) or "-"
        rows.append((one.name, one.kind, date(one.until), one.state, one.serial[:16], hosts))
    for line in columns(rows):
        click.echo(line)


def _fields(one: Issued) -> dict[str, Any]:
    return {**one._asdict(), "until": date(one.until), "counts": one.counts}


@keys.command()
@click.argument("name")
@click.pass_obj
def revoke(folder: Folder, name: str) -> None:
    """Take a key out of use; a kernel that uses this directory ends its connections at once."""
    gone = _authority(folder).revoke(name)
    click.echo(
        f"{name}: {gone.serial} is revoked. A kernel whose key file lies in {folder.path} knows it"
    )
    click.echo(f"in a moment; to another's, copy {folder.path / 'revoked'}, beside its key file.")
