"""`python -m lux9.fs.ext4`: an ext4 file system on a block file, served as files, read-only.

A service process: on fd 3 it is the kernel's 9P client, on fd 5 the kernel is its client. LUX9_FILE names the
block file, as `/dev/sdE0/linux`. What cannot be served is told in one line on stderr, and ends with status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..errors import Lux9Error, text_of
from ..wire.node import Node
from .blocks import BlockFile
from .nodes import root_of
from .superblock import Refused
from .volume import Volume

REFUSED = 2  # exit status


def run(path: str, opened: Callable[[str], BlockFile], serve: Callable[[Node], object]) -> int:
    """Open the block file, mount it and serve its root until the kernel goes; the exit status."""
    try:
        with Volume(opened(path)) as volume:
            serve(root_of(volume))
    except Refused as error:
        return _refuse(path, str(error))
    except (Lux9Error, OSError) as error:
        return _refuse(path, text_of(error))
    return 0


def _refuse(path: str, why: str) -> int:
    print(f"ext4: {path}: {' '.join(why.split())}", file=sys.stderr, flush=True)
    return REFUSED
