"""`lux9 ls`: list directories of the served tree."""

from __future__ import annotations

import time

import click

from ..ninep.client import Client
from ..wire.messages import Stat
from .tree import PATH, columns, dialled, each, fields_of, mode_of, printed

EXAMPLES = """
\b
Examples:
  lux9 ls                         the top of the tree
  lux9 ls -l /dev/pci             with mode, owner, size and time
  lux9 ls --json /dev | jq -r '.[].name'
"""


@click.command(epilog=EXAMPLES)
@click.argument("paths", nargs=-1, type=PATH)
@click.option(
    "-l", "long", is_flag=True, help="Mode, owner, group, length and time of change, too."
)
@click.option("-d", "itself", is_flag=True, help="The directory itself, not what is in it.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def ls(paths: tuple[str, ...], long: bool, itself: bool, as_json: bool) -> None:
    """List directories of the tree: the names in them, in order."""
    found: list[tuple[str, Stat]] = []
    several = len(paths) > 1
    try:
        with dialled() as client:
            each(paths or ("/",), lambda path: found.extend(listed(client, path, itself, several)))
    finally:  # what could be listed, even when something could not
        show(found, long, as_json)


def listed(client: Client, path: str, itself: bool, several: bool) -> list[tuple[str, Stat]]:
    """The files to show for a path, by the names to show them under."""
    stat = client.stat(path)
    if itself or not stat.qid.is_dir:
        return [(path, stat)]
    above = path.rstrip("/") + "/" if several else ""
    return [(above + s.name, s) for s in sorted(client.ls(path), key=lambda s: s.name)]


def show(found: list[tuple[str, Stat]], long: bool, as_json: bool) -> None:
    """Print them."""
    if as_json:
        printed([fields_of(name, stat) for name, stat in found])
    elif long:
        rows = [_row(name, stat) for name, stat in found]
        click.echo("".join(f"{line}\n" for line in columns(rows, right=frozenset({3}))), nl=False)
    else:
        click.echo("".join(f"{name}\n" for name, _ in found), nl=False)


def _row(name: str, stat: Stat) -> tuple[str, ...]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(stat.mtime))
    return mode_of(stat), stat.uid, stat.gid, str(stat.length), when, name
