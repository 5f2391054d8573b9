"""`python -m lux9.fs.ext4`: an ext4 file system on a block file, served as files, read-only.

A service process: on fd 3 it is the kernel's 9P client, on fd 5 the kernel is its client. LUX9_FILE names the
block file, as `/dev/sdE0/linux`. What cannot be served is told in one line on stderr, and ends with status 2.
"""

from __future__ import annotations

import sys

from ..driver import Environment, run
from ..errors import Lux9Error, text_of
from ..pending import Pending
from ..wire.node import Bytes
from .nodes import root_of
from .superblock import Refused
from .volume import Volume

REFUSED = 2  # exit status


class ServedFile:
    """A file in the kernel's namespace as a block file."""

    def __init__(self, environment: Environment, path: str) -> None:
        self.size = environment.client.stat(path).length
        self._file = environment.client.open(path)
        self.limit = self._file.iounit

    def pread(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes, waited for."""
        return self._file.pread(offset, count)

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        """The same without waiting."""
        return self._file.submit(offset, count)


def mount(environment: Environment) -> Volume:
    """The file system on the file that LUX9_FILE names. Raises Refused, whatever is in the way."""
    path = environment.variable("LUX9_FILE")
    try:
        return Volume(ServedFile(environment, path))
    except Refused as error:
        raise Refused(f"{path}: {error}") from error
    except Lux9Error as error:
        raise Refused(f"{path}: {text_of(error)}") from error


async def main(environment: Environment) -> None:
    """Mount and serve until the kernel goes."""
    with mount(environment) as volume:
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
