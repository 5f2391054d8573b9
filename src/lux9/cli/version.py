"""`lux9 version`."""

from __future__ import annotations

import platform

import click

from .. import __version__
from ..wire.dialects import DIALECTS

EXAMPLES = """
\b
Examples:
  lux9 version
"""


@click.command(epilog=EXAMPLES)
def version() -> None:
    """Print the version, the dialects of 9P that are spoken, and Python's version."""
    click.echo(f"lux9 {__version__} ({', '.join(DIALECTS)}; Python {platform.python_version()})")
