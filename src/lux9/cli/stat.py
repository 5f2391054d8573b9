"""`lux9 stat`: what is known of files of the served tree."""

from __future__ import annotations

import time
from typing import Any

import click

from ..wire.messages import Stat
from .tree import PATH, dialled, each, fields_of, mode_of, printed

EXAMPLES = """
\b
Examples:
  lux9 stat /dev/sdE0/data
  lux9 stat --json /root/big.img | jq '.[0].length'
"""


@click.command(epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def stat(files: tuple[str, ...], as_json: bool) -> None:
    """Print what stat(5) tells of files of the tree."""
    found: list[dict[str, Any]] = []
    with dialled() as client:

        def one(path: str) -> None:
            known = client.stat(path)
            found.append(fields_of(path, known))
            if not as_json:
                click.echo("\n".join(lines(path, known)))

        try:
            each(files, one)
        finally:
            if as_json:
                printed(found)


def lines(path: str, known: Stat) -> list[str]:
    """A line a field."""
    shown = {
        "path": path,
        "name": known.name,
        "mode": f"{mode_of(known)} ({known.mode & 0o777:04o})",
        "length": str(known.length),
        "owner": f"{known.uid} {known.gid}",
        "changed by": known.muid,
        "changed": when(known.mtime),
        "read": when(known.atime),
        "qid": f"path={known.qid.path:#018x} version={known.qid.version} type={known.qid.type:#04x}",
    }
    return [f"{name + ':':12}{value}" for name, value in shown.items()]


def when(seconds: int) -> str:
    """A time, in this place's zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))
