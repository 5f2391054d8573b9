"""Files of the tree as `open()` gives them.

A file with a length is a plain file, and is buffered as usual. A file without one is made when it is read, or is a
device: there each `read(n)` is one Tread of n bytes and each `write` one Twrite, so that a register is accessed
once, at its own width. Text mode is buffered always.
"""

from __future__ import annotations

import errno
import io
import os
from typing import IO, Any, cast

from typing_extensions import override

from ..errors import IsADirectory, RemoteError
from ..ninep.client import File
from ..wire.messages import KEEP, ORDWR, OREAD, OTRUNC, OWRITE
from ..wire.node import Bytes
from .shared import Shared

BUFFER = 1 << 17  # bytes that a buffered file reads at once
MODES = {"r": 0, "w": OTRUNC, "a": 0, "x": 0}


class RemoteFile(io.RawIOBase):
    """An open file. Any thread may use it; they share its position, but not with `pread` and `pwrite`."""

    def __init__(self, shared: Shared, file: File, mode: str) -> None:
        self.shared, self.file, self.name, self.mode = shared, file, file.path, mode
        self._at = 0

    @override
    def readable(self) -> bool:
        return "r" in self.mode or "+" in self.mode

    @override
    def writable(self) -> bool:
        return self.mode[0] in "wax" or "+" in self.mode

    @override
    def seekable(self) -> bool:
        return True

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes at `offset`; the position stays. One Tread, where one holds so much."""
        self._check(self.readable(), "read")
        with self.shared.turn(path=self.name):
            return self.file.pread(offset, count)

    def pwrite(self, data: Bytes, offset: int) -> int:
        """Write at `offset`; the position stays. How many bytes were taken."""
        self._check(self.writable(), "writ")
        with self.shared.turn(path=self.name):
            return self.file.pwrite(offset, data)

    def _check(self, able: bool, what: str) -> None:
        if self.closed:
            raise ValueError(f"I/O operation on closed file {self.name}")
        if not able:
            raise io.UnsupportedOperation(f"{self.name} is not open for {what}ing")

    @override
    def readinto(self, buffer: Any, /) -> int:
        """Into a buffer, from the position on."""
        with memoryview(buffer) as view, view.cast("B") as room:
            data = self.pread(len(room), self._at)
            room[: len(data)] = data
        self._at += len(data)
        return len(data)

    @override
    def readall(self) -> bytes:
        """To the end, read ahead; one that waits for events has none, and is followed (`RemoteTree.follow`)."""
        self._check(self.readable(), "read")
        with self.shared.turn(path=self.name):
            data = b"".join(self.file.chunks(self._at))
        self._at += len(data)
        return data

    @override
    def write(self, data: Any, /) -> int:
        """At the position; all of it, or less where the server takes less."""
        with memoryview(data) as view, view.cast("B") as octets:
            done = self.pwrite(octets, self._at)
        self._at += done
        return done

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position."""
        self._check(True, "seek")
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}.get(whence)
        self._at = max(0, offset + (self._length() if base is None else base))
        return self._at

    @override
    def tell(self) -> int:
        """The position."""
        self._check(True, "tell")
        return self._at

    @override
    def truncate(self, size: int | None = None, /) -> int:
        """Cut it, or let it grow."""
        self._check(self.writable(), "writ")
        size = self._at if size is None else size
        with self.shared.turn(path=self.name):
            self.shared.wstat(self.name, KEEP.but(length=size))
        return size

    def _length(self) -> int:
        with self.shared.turn(path=self.name):
            return self.shared.stat(self.name).length

    @override
    def close(self) -> None:
        """Let go of it."""
        if not self.closed:
            super().close()
            with self.shared.turn(path=self.name):
                self.file.close()


def opened(
    shared: Shared,
    path: str,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
) -> IO[Any]:
    """As `open()`, with its modes. Raises ValueError for a mode that is none, OSError for a refusal."""
    plain = checked(mode)
    text = "b" not in mode
    if not text and (encoding, errors, newline) != (None, None, None):
        raise ValueError("binary mode has no encoding, errors or newline")
    if text and not buffering:
        raise ValueError("text cannot be unbuffered")
    with shared.turn(path=path):
        length, file = _open(shared, path, plain)
        raw = RemoteFile(shared, file, plain)
    if plain[0] == "a":
        raw.seek(0, os.SEEK_END)
    if not buffering or (buffering < 0 and not text and not length):
        return cast("IO[Any]", raw)
    made = _buffered(raw, BUFFER if buffering < 2 else buffering)
    if not text:
        return cast("IO[Any]", made)
    wrapped = io.TextIOWrapper(
        cast("Any", made), encoding or "utf-8", errors, newline, line_buffering=buffering == 1
    )
    cast("Any", wrapped).mode = mode
    return wrapped


def checked(mode: str) -> str:
    """The mode without `t`, `b` first behind its letter. Raises ValueError."""
    letters = [c for c in mode if c in MODES]
    rest = sorted(c for c in mode if c not in MODES)
    if (
        len(letters) != 1
        or len(set(rest)) != len(rest)
        or set(rest) - set("+bt")
        or {"b", "t"} <= set(rest)
    ):
        raise ValueError(f"{mode!r} is no mode; there are r w a x, each with + and with b or t")
    return letters[0] + "b" + "+" * ("+" in rest)


def _open(shared: Shared, path: str, mode: str) -> tuple[int, File]:
    """The file's length, or 1 where it is new: then it is a plain one."""
    letter = mode[0]
    way = ORDWR if "+" in mode else OREAD if letter == "r" else OWRITE
    if letter != "x":
        try:
            length = shared.stat(path).length
        except RemoteError as error:
            if letter == "r" or error.number != errno.ENOENT:
                raise
        else:
            return length, no_directory(shared.open(path, way | MODES[letter]), path)
    return 1, shared.create(path, 0o666, way)


def no_directory(file: File, path: str) -> File:
    """An open file that can be read as one, which a directory cannot. Raises IsADirectory."""
    if file.qid.is_dir:
        file.close()
        raise IsADirectory(path)
    return file


def to_write(shared: Shared, path: str) -> File:
    """A file to be written anew, made where it is not there; within a turn."""
    return _open(shared, path, "wb")[1]


def _buffered(raw: RemoteFile, size: int) -> io.BufferedIOBase:
    if raw.readable() and raw.writable():
        return io.BufferedRandom(raw, size)
    return io.BufferedReader(raw, size) if raw.readable() else io.BufferedWriter(raw, size)
