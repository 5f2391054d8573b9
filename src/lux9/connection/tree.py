"""`lux9.connect()`: a served tree, for programs in Python."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from ..errors import UserError
from ..ninep.aclient import AsyncClient
from ..ninep.default import default_address
from ..ninep.wires import dial
from ..wire.messages import DMDIR, KEEP, OREAD, P9, Stat
from .files import RemoteFile, no_directory, opened, to_write
from .follow import Follower
from .path import RemotePath
from .shared import Shared


class RemoteTree:
    """One connection to a served tree.

    Any number of threads may use it, and what they open: their requests are on their way at the same time, and one
    that waits for an event holds nobody up. Ctrl-C ends an operation with a Tflush, and the connection goes on.
    """

    def __init__(self, shared: Shared, addr: str) -> None:
        self.shared, self.addr = shared, addr

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.addr}>"

    def __truediv__(self, path: str) -> RemotePath:
        return RemotePath(self) / path

    def path(self, path: str) -> RemotePath:
        """A path of this tree."""
        return self / path

    # -- directories

    def stat(self, path: str) -> Stat:
        """What stat(5) tells. Raises OSError."""
        with self.shared.turn(path=path):
            return self.shared.stat(path)

    def scandir(self, path: str = "/") -> list[Stat]:
        """What is in a directory, in the order of the names."""
        with self.shared.turn(path=path):
            return sorted(self.shared.ls(path), key=lambda stat: stat.name)

    def listdir(self, path: str = "/") -> list[str]:
        """The names in a directory, in order."""
        return [stat.name for stat in self.scandir(path)]

    def iterdir(self) -> Iterator[RemotePath]:
        """What is at the top."""
        return (self / "").iterdir()

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """The files that fit: `/dev/pci/*/ctl`."""
        return (self / "").glob(pattern.lstrip("/"))

    # -- files

    def open(
        self,
        path: str,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """As `open()`: modes r w a x, with + and b. In binary mode a file that has no length is not buffered."""
        return opened(self.shared, path, mode, buffering, encoding, errors, newline)

    def raw(self, path: str, mode: str = "r") -> RemoteFile:
        """A file with no buffer: each read and write is one access, as registers want it."""
        made = opened(self.shared, path, mode.replace("b", "") + "b", 0)
        assert isinstance(made, RemoteFile), "without a buffer it is the file itself"
        return made

    def follow(self, path: str, timeout: float | None = None) -> Follower:
        """The lines of an event file, or of a log as it grows; `timeout`: seconds between two of them."""
        with self.shared.turn(path=path):
            return Follower(self.shared, path, self.shared.open(path, OREAD), timeout)

    def read_bytes(self, path: str) -> bytes:
        """A whole file."""
        with self.shared.turn(path=path), no_directory(self.shared.open(path), path) as file:
            return file.read()

    def read_text(self, path: str, encoding: str = "utf-8") -> str:
        """A whole file."""
        return self.read_bytes(path).decode(encoding)

    def write_bytes(self, path: str, data: bytes) -> int:
        """Write a file in one piece, created where it is not; how many bytes were taken."""
        with self.shared.turn(path=path), to_write(self.shared, path) as file:
            return file.pwrite(0, data)

    def write_text(self, path: str, text: str, encoding: str = "utf-8") -> int:
        """The same with text."""
        return self.write_bytes(path, text.encode(encoding))

    # -- what comes and goes

    def mkdir(self, path: str, perm: int = 0o777) -> None:
        """Make a directory."""
        with self.shared.turn(path=path):
            self.shared.create(path, perm | DMDIR, OREAD).close()

    def remove(self, path: str) -> None:
        """Remove a file, or a directory that is empty."""
        with self.shared.turn(path=path):
            self.shared.remove(path)

    def rename(self, path: str, name: str) -> None:
        """Give a file another name in its directory. Raises ValueError for a path."""
        if name != PurePosixPath(name).name:
            raise ValueError(f"{name!r} is not a name; a file is renamed within its directory")
        with self.shared.turn(path=path):
            self.shared.wstat(path, KEEP.but(name=name))

    # -- the connection

    @contextmanager
    def patience(self, seconds: float) -> Generator[None, None, None]:
        """In this block, and this thread, operations wait so long at most, and raise TimeoutError then."""
        with self.shared.limit(seconds):
            yield

    @property
    def closed(self) -> bool:
        """Whether the connection has ended, on this side or on the other."""
        return self.shared.caller.gone is not None

    def close(self) -> None:
        """Hang up. Whatever was claimed through this connection is given back by the kernel."""
        self.shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def connect(
    addr: str | None = None,
    *,
    aname: str = "",
    version: str = P9.version,
    timeout: float | None = None,
    keys: Path | None = None,
) -> RemoteTree:
    """Connect to an address (else $LUX9_ADDR, else this user's socket) and attach to `aname`.

    `timeout`: seconds that any operation may wait for its answer, None for ever. `keys`: the key file for TLS, else
    $LUX9_KEYS or the user's own. Raises ConnectionError when nobody is there, TimeoutError when nobody answers.
    """
    where = addr or default_address()
    try:
        sock = dial(where, keys)
    except UserError as error:
        raise ConnectionError(str(error)) from None
    return RemoteTree(Shared.to(sock, aname, version, timeout), where)


@asynccontextmanager
async def aconnect(
    addr: str | None = None,
    *,
    aname: str = "",
    version: str = P9.version,
    keys: Path | None = None,
) -> AsyncGenerator[AsyncClient, None]:
    """The same for asyncio: `async with lux9.aconnect() as tree: await tree.read("/dev/pci/bus")`.

    Raises ConnectionError when nobody is there.
    """
    try:
        client = await AsyncClient.connect(addr or default_address(), aname, version, keys)
    except UserError as error:
        raise ConnectionError(str(error)) from None
    async with client:
        yield client
