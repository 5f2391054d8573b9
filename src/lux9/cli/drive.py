"""`lux9 drive`: a driver on this host for hardware on another one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import UserError
from ..sip import manifest
from ..sip.away import Away
from ..sip.sandbox.isolation import Isolation
from ..sip.sandbox.level import Level
from ..sip.stanza import Stanza
from . import where
from .system import run

FUNCTION = "--bind"

EXAMPLES = """
\b
Examples:
  lux9 -a tls!hardware!5640 drive ahci --bind 0000:00:1f.2
  lux9 drive edu --manifest examples/edu/edu.toml --bind 0000:00:01.0
\b
There, the manifest has to expect it: [ahci] with remote = "USER", and USER has to have what the driver needs. Ctrl-C
lets go of the device. A connection that is lost is dialled again; who uses the disk there waits meanwhile.
"""


@click.command(epilog=EXAMPLES)
@click.argument("type_", metavar="TYPE")
@click.option(
    FUNCTION, "function", required=True, metavar="FUNCTION", help="Which one: 0000:00:1f.2."
)
@click.option(
    "--name", metavar="NAME", help="What it is called there, where that is not its type's name."
)
@click.option(
    "--manifest",
    "path",
    type=click.Path(path_type=Path),
    help="Where its type is from; else the built-in ones.",
)
@click.option("--env", "extra", multiple=True, metavar="NAME=VALUE", help="A variable for it.")
@click.option(
    "--isolation",
    type=click.Choice([Level.PROCESS.word, Level.SANDBOX.word]),
    help="How far it is kept from this host; else as far as this can.",
)
@click.option("--once", is_flag=True, help="End when the connection ends.")
def drive(
    type_: str,
    function: str,
    name: str | None,
    path: Path | None,
    extra: Sequence[str],
    isolation: str | None,
    once: bool,
) -> None:
    """Drive a function of another host, from here: its registers, interrupts and memory are files."""
    stanza = _type(manifest.load(path) if path else manifest.built_in(), type_)
    level = Level.parse(isolation, "--isolation") if isolation else None
    variables = {
        **stanza.environment,
        **dict(_pair(text) for text in extra),
        "LUX9_FUNCTION": function,
        "LUX9_SERVICE": name or stanza.name,
    }
    run(_drive(Away(where(), stanza, variables, Isolation(level), _say), once))


def _type(stanzas: Sequence[Stanza], name: str) -> Stanza:
    for stanza in stanzas:
        if stanza.name == name and stanza.argv:
            return stanza
    known = " ".join(s.name for s in stanzas if not s.files)
    raise UserError(f"no type {name!r} to drive with; there are: {known or 'none'}")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UserError(f"--env {text!r}: write NAME=VALUE")
    return name, value


def _say(line: str) -> None:
    click.echo(line, err=True)


async def _drive(away: Away, once: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, away.stop)
    await away.run(once=once)
