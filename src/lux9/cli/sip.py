"""`lux9 sip`: the drivers of a running kernel. Each command reads or writes files below /dev/sip."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..errors import Lux9Error, RemoteError, UserError, number_of
from ..ninep.client import Client
from .tree import StrType, columns, dialled, each, printed

ROOT = "/dev/sip"
UNDER_WAY = 1.0  # seconds for an end that is under way
EXAMPLES = """
\b
Examples:
  lux9 sip list                       every driver: number, name, state, health
  lux9 sip show ahci                  all that is known of one
  lux9 sip log -f ahci                what it prints, as it comes
  lux9 sip restart ahci               stop and start it
  lux9 sip reload ahci                swap its code under the open files of its clients
  lux9 sip crash ahci                 how it last ended, and what it had touched
  lux9 sip list --json | jq -r '.[] | select(.health != "healthy") | .name'
"""


class Driver(StrType):
    """A driver's name or number, completed from those that there are."""

    name = "driver"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that begin so."""
        try:
            with dialled() as client:
                names = [name for _, name, _ in listed(client)]
        except (Lux9Error, OSError):
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


names = click.argument("names", nargs=-1, required=True, metavar="NAME...", type=Driver())
name = click.argument("name", type=Driver())
as_json = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


@click.group(epilog=EXAMPLES)
def sip() -> None:
    """Look at the drivers, and start, stop and restart them."""


def listed(client: Client) -> list[list[str]]:
    """Number, name and state of each."""
    return [line.split() for line in client.read(f"{ROOT}/ctl").decode().splitlines()]


def file(client: Client, name: str, which: str) -> str:
    """One of a driver's files. Raises UserError when there is no such driver."""
    try:
        return client.read(f"{ROOT}/servers/{name}/{which}").decode()
    except RemoteError as error:
        raise known(client, name, error) from None


def known(client: Client, name: str, error: RemoteError) -> Lux9Error:
    """The error, or which drivers there are when that is what was wrong."""
    have = listed(client)
    if number_of(error) == errno.ENOENT and all(name not in line[:2] for line in have):
        there = " ".join(line[1] for line in have) or "none"
        return UserError(f"there is no driver {name}; there are: {there}")
    return error


def fields(text: str) -> dict[str, str]:
    """`name: value` lines."""
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def status(client: Client, name: str) -> dict[str, Any]:
    """A driver's status and health."""
    word, *reasons = file(client, name, "health").splitlines()
    return {**fields(file(client, name, "status")), "health": word, "reasons": reasons}


@sip.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the drivers: number, name, state, health, pid, restarts, and what each is for."""
    with dialled() as client:
        found = [{"number": n, **status(client, n)} for n, *_ in listed(client)]
    if as_json:
        printed(found)
        return
    shown = ("number", "name", "state", "health", "pid", "restarts", "binding")
    rows = [tuple(str(each.get(key, "-")) for key in shown) for each in found]
    for line in columns([shown, *rows]):
        click.echo(line)


@sip.command()
@name
@as_json
def show(name: str, as_json: bool) -> None:
    """Show all that is known of a driver: status, health, capabilities, claims, limits, namespace."""
    parts = ("caps", "claims", "limits", "ns")
    with dialled() as client:
        found = status(client, name)
        lines = {part: file(client, name, part).splitlines() for part in parts}
    if as_json:
        printed(found | lines)
        return
    for key, value in found.items():
        if key != "reasons":
            click.echo(f"{key}: {value}")
    for part, held in {"reasons": found["reasons"], **lines}.items():
        click.echo(f"{part}:")
        for line in held:
            click.echo(f"  {line}")


def order(words: str, names: Sequence[str]) -> None:
    """Write a command to the ctl of each; one that fails does not keep the others back."""
    with dialled() as client:

        def tell(name: str) -> None:
            try:
                client.write(f"{ROOT}/servers/{name}/ctl", words.encode())
            except RemoteError as error:
                raise known(client, name, error) from None

        each(names, tell)


@sip.command()
@names
def start(names: tuple[str, ...]) -> None:
    """Start drivers, and wait until they are ready; one that was given up begins anew."""
    order("start", names)


@sip.command()
@names
def stop(names: tuple[str, ...]) -> None:
    """Stop drivers: they are asked to end, then made to, and stay ended."""
    order("stop", names)


@sip.command()
@names
def restart(names: tuple[str, ...]) -> None:
    """Stop and start drivers."""
    order("restart", names)


@sip.command()
@names
def reload(names: tuple[str, ...]) -> None:
    """Swap the code of running drivers: their clients wait, and go on with the files that they have open."""
    order("reload", names)


@sip.command()
@name
@click.option("-f", "--follow", is_flag=True, help="Go on with what it prints, until Ctrl-C.")
def log(name: str, follow: bool) -> None:
    """Print the last lines that a driver printed."""
    with dialled() as client:
        if not follow:
            click.echo(file(client, name, "log"), nl=False)
            return
        file(client, name, "status")  # there is one of that name
        with client.open(f"{ROOT}/servers/{name}/log") as lines:
            copy(lines.pread)


def copy(read: Callable[[int, int], bytes]) -> None:
    """What a followed file gives; an empty read means only that there is no more for now."""
    while True:
        sys.stdout.buffer.write(read(0, 1 << 16))
        sys.stdout.buffer.flush()


def ended(client: Client, name: str) -> str:
    """The report of its last end. Whoever saw an error comes before the driver has ended by it: waits a moment."""
    until = time.monotonic() + UNDER_WAY
    while not (report := file(client, name, "crash")) and time.monotonic() < until:
        time.sleep(0.02)
    return report


@sip.command()
@name
@as_json
def crash(name: str, as_json: bool) -> None:
    """Print the report of a driver's last end: what it said, the registers that it touched last, what was undone."""
    with dialled() as client:
        report = ended(client, name)
        last = fields(file(client, name, "status"))["last-exit"]
    if as_json:
        printed({"name": name, "last-exit": last, "report": report.splitlines()})
    else:
        click.echo(report or f"{name} has not ended yet\n", nl=False)


@sip.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", type=Driver())
@as_json
def claims(names: tuple[str, ...], as_json: bool) -> None:
    """Print what drivers hold: functions, interrupts, DMA buffers; of all when none is named."""
    with dialled() as client:
        wanted = names or [line[1] for line in listed(client)]
        held = {name: file(client, name, "claims").splitlines() for name in wanted}
    if as_json:
        printed(held)
        return
    for name, lines in held.items():
        for line in lines:
            click.echo(f"{name}: {line}")
