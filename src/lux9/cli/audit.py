"""`lux9 audit`: the log of verdicts on disk."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from ..errors import UserError
from ..kernel.auditlog import files, verify as follow

SHOWN = 10  # faults of a log; a file that is none has one a line

EXAMPLES = """
\b
Examples:
  lux9 audit verify                        the log of `lux9 boot` of this user
  lux9 audit verify run.jsonl              another one, with the files that were put aside before it
  lux9 audit verify --expect CHAIN         and nothing may be missing after the line that had this chain
"""


def default_log() -> Path:
    """Where `lux9 boot` keeps the audit when nobody says where."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "lux9" / "audit.jsonl"


@click.group(epilog=EXAMPLES)
def audit() -> None:
    """Look at the audit that was kept on disk."""


@audit.command(epilog=EXAMPLES)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--expect", default="", metavar="CHAIN", help="A chain that was noted and must occur."
)
def verify(file: Path | None, expect: str) -> None:
    """Follow the chain of hashes through a log; status 1 when a line was changed or cut."""
    path = file or default_log()
    if path.is_dir():
        raise UserError(f"{path}: is a directory; name the log in it")
    found = files(path)
    if not found:
        raise UserError(f"{path}: there is no log; `lux9 boot --audit FILE` keeps one")
    verdict = follow(found, expect)
    for fault in verdict.faults[:SHOWN]:
        click.echo(fault, err=True)
    if (more := len(verdict.faults) - SHOWN) > 0:
        click.echo(f"… and {more} lines more that are wrong", err=True)
    state = "broken" if verdict.faults else "good"
    click.echo(
        f"{state}: {verdict.lines} lines in {len(found)} files, the last chain is {verdict.chain or '-'}"
    )
    sys.exit(1 if verdict.faults else 0)
