"""`python -m lux9.fs.ext4`: an ext4 file system on a block file, served as files, read-only.

A service process: on fd 3 it is the kernel's 9P client, on fd 5 the kernel is its client. LUX9_FILE names the
block file, as `/dev/sdE0/linux`. What cannot be served is told in one line on stderr, and ends with status 2.
"""

from __future__ import annotations

import sys
from typing import Self

from ..driver import Environment, run
from ..errors import Lux9Error, text_of
from ..pending import Pending, waits
from ..wire.node import Bytes
from .nodes import root_of
from .superblock import Refused
from .volume import Volume

REFUSED = 2  # exit status


class ServedFile:
    """A file in the kernel's namespace as a block file."""

    def __init__(self, environment: Environment, size: int, fid: int, limit: int) -> None:
        self._caller, self.size, self._fid, self.limit = environment.client.caller, size, fid, limit

    @classmethod
    async def open(cls, environment: Environment, path: str) -> Self:
        """Nothing here blocks: the kernel may be in this very process. Raises RemoteError."""
        paths = environment.client.paths
        stat, opened = await paths.stat(path), await paths.open(path)
        return cls(environment, stat.length, opened.fid, opened.iounit)

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        """The bytes at `offset`."""
        return self._caller.read(self._fid, offset, count)


async def mount(environment: Environment) -> Volume:
    """The file system on the file that LUX9_FILE names. Raises Refused, whatever is in the way."""
    path = environment.variable("LUX9_FILE")
    try:
        opened = Volume.open(await ServedFile.open(environment, path))
        return await opened if waits(opened) else opened
    except Refused as error:
        raise Refused(f"{path}: {error}") from error
    except Lux9Error as error:
        raise Refused(f"{path}: {text_of(error)}") from error


async def main(environment: Environment) -> None:
    """Mount and serve until the kernel goes."""
    with await mount(environment) as volume:
        await environment.serve(root_of(volume), "ext4")


def process() -> int:
    """The program; its exit status."""
    status = 0

    async def guarded(environment: Environment) -> None:
        nonlocal status
        try:
            await main(environment)
        except Refused as error:
            status = REFUSED
            print("ext4:", " ".join(str(error).split()), file=sys.stderr, flush=True)

    run(guarded)
    return status


if __name__ == "__main__":
    sys.exit(process())
