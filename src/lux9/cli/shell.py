"""`lux9 shell`: your shell, with the machine's hardware below /dev."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from ..sip.sandbox.level import Level
from .run import binding, capability, isolation, within

EXAMPLES = """
\b
Examples:
  lux9 shell
  $ echo claim >/dev/pci/0000:00:01.0/ctl
  $ dd if=/dev/pci/0000:00:01.0/bar0 bs=4 count=1 status=none | od -An -tx4
"""


@click.command(epilog=EXAMPLES)
@capability
@binding
@isolation(Level.PROCESS)
def shell(capabilities: Sequence[str], functions: Sequence[str], isolation: str) -> None:
    """Run your shell with the hardware as files below /dev; what it claimed is given back at its end."""
    command = [os.environ.get("SHELL") or "/bin/sh"]
    sys.exit(within(Level.parse(isolation, "--isolation"), capabilities, functions, command))
