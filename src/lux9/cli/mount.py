"""`lux9 mount`: the tree as a directory, for programs that know nothing of 9P."""

from __future__ import annotations

from pathlib import Path

import click

from ..fuse.keeper import available
from . import where

EXAMPLES = """
\b
Examples:
  lux9 mount /mnt/lux9                   until Ctrl-C, or: fusermount3 -u /mnt/lux9
  cat /mnt/lux9/dev/pci/bus
  dd if=/mnt/lux9/dev/pci/0000:00:1f.2/bar5 bs=4 skip=4 count=1 | od -tx4
"""


@click.command(epilog=EXAMPLES)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--allow-other", is_flag=True, help="Other users may look, too.")
def mount(directory: Path, allow_other: bool) -> None:
    """Mount the tree with FUSE; it is unmounted when this ends, however it ends, or the kernel does."""
    available()
    from ..fuse.mount import mount as fuse_mount

    fuse_mount(where(), directory, allow_other)
