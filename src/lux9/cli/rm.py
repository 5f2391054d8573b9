"""`lux9 rm`: remove files of the served tree."""

from __future__ import annotations

import click

from .tree import PATH, dialled, each

EXAMPLES = """
\b
Examples:
  lux9 rm /srv/mine           a service that was posted there
"""


@click.command(epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=PATH)
def rm(files: tuple[str, ...]) -> None:
    """Remove files of the tree. Most cannot be removed, and say so."""
    with dialled() as client:
        each(files, client.remove)
