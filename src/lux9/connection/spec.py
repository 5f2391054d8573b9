"""The tree for fsspec, and so for pandas, pyarrow, dask and whatever else opens URLs.

    fsspec.open("lux9:///root/hello.txt")                          where the commands go: $LUX9_ADDR …
    fsspec.open("lux9://tls!lab.example!564/root/hello.txt")       there
    fsspec.open("lux9://unix!%2Frun%2Flux9.sock/root/hello.txt")   a `/` within an address is written %2F, a `:` %3A

A file with a length is a plain one: read in blocks that are cached, as `block_size` and `cache_type` say. One
without is made on reading, or is a device: there nothing is cached, each read is one access. Nothing of directories
is remembered: the tree is alive.
"""

from __future__ import annotations

import errno
import weakref
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast
from urllib.parse import quote, unquote

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from ..ninep.default import default_address
from ..wire.messages import DMDIR, P9, Stat
from .tree import RemoteTree, connect

SCHEME = "lux9://"
BLOCK = 1 << 20  # bytes that a plain file is read by
PIECE = 1 << 20  # bytes that a copy moves at once


class Lux9FileSystem(AbstractFileSystem):
    """A tree. `addr`, `aname`, `version`, `timeout`, `keys`: as of `lux9.connect`.

    `auto_mkdir`: directories that are missing are made when a file is written, as fsspec's local file system may.
    """

    protocol = "lux9"
    root_marker = "/"

    def __init__(
        self,
        addr: str | None = None,
        aname: str = "",
        version: str = P9.version,
        timeout: float | None = None,
        keys: str | None = None,
        auto_mkdir: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.addr, self.aname, self.version, self.timeout = addr, aname, version, timeout
        self.keys = Path(keys) if keys else None
        self.auto_mkdir = auto_mkdir
        self._tree: RemoteTree | None = None

    @property
    def tree(self) -> RemoteTree:
        """The connection; a new one where the last has ended."""
        if self._tree is None or self._tree.closed:
            where = self.addr or default_address()
            how: Any = {"aname": self.aname, "version": self.version, "timeout": self.timeout}
            self._tree = connect(where, keys=self.keys, **how)
            weakref.finalize(self, self._tree.close)
        return self._tree

    # -- names

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in cast("list[str]", path)]
        text = str(path)
        if text.startswith(SCHEME):
            text = "/" + text.removeprefix(SCHEME).partition("/")[2]
        return "/" + text.strip("/") if text.strip("/") else cls.root_marker

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        where = path.removeprefix(SCHEME).partition("/")[0] if path.startswith(SCHEME) else ""
        return {"addr": unquote(where)} if where else {}

    def unstrip_protocol(self, name: str) -> str:
        """The URL of a path."""
        where = quote(self.addr, safe="![]") if self.addr else ""
        return f"{SCHEME}{where}{self._strip_protocol(name)}"

    # -- what is there

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size, type, mode, owners and times of a file; `qid` changes with its content."""
        path = self._strip_protocol(path)
        return _info(path, self.tree.stat(path))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What is in a directory; of a file, itself."""
        path = self._strip_protocol(path)
        stat = self.tree.stat(path)
        if not stat.mode & DMDIR:
            found = [_info(path, stat)]
        else:
            found = [_info(f"{path.rstrip('/')}/{s.name}", s) for s in self.tree.scandir(path)]
        return found if detail else [each["name"] for each in found]

    def walk(
        self, path: str, *words: Any, above: tuple[int, ...] = (), **options: Any
    ) -> Iterator[Any]:
        """As fsspec's, which comes here for each directory; one that a link leads back to is not gone into."""
        with suppress(OSError):  # of which fsspec's own makes what it was told to
            here = self.tree.stat(self._strip_protocol(path)).qid.path
            if here in above:
                return
            above = (*above, here)
        fsspecs: Any = super()
        yield from fsspecs.walk(path, *words, above=above, **options)

    def modified(self, path: str) -> datetime:
        """When it was changed last."""
        return datetime.fromtimestamp(self.info(path)["mtime"], UTC)

    def ukey(self, path: str) -> str:
        """Another one when the content is another: the qid, whose version counts that."""
        return str(self.info(path)["qid"])

    # -- what is in it

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | str | None = None,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> IO[Any]:
        if mode == "rb":
            length = self.tree.stat(path).length
            if length:
                made = PlainFile(self, path, length, block_size or BLOCK, cache_options, **options)
                return cast("IO[Any]", made)
            return self.tree.open(path, mode, 0)
        self._room(path)
        return self.tree.open(path, mode)

    def _room(self, path: str) -> None:
        """Where a file is about to be written."""
        if self.auto_mkdir:
            self.makedirs(self._parent(path), exist_ok=True)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """A file, or the bytes from `start` to before `end`; negative ones count from its end."""
        path = self._strip_protocol(path)
        if start is None and end is None:
            return self.tree.read_bytes(path)
        length = self.tree.stat(path).length
        first = _from(start or 0, length)
        last = length if end is None else _from(end, length)
        with self.tree.raw(path) as file:
            return file.pread(max(0, last - first), first)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write a file in one piece. With `create`, raises FileExistsError for one that is there."""
        path = self._strip_protocol(path)
        self._room(path)
        if mode == "create":
            with self.tree.raw(path, "x") as file:
                file.pwrite(value, 0)
        else:
            self.tree.write_bytes(path, value)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy a file; of a directory, make one."""
        source, target = (self._strip_protocol(path) for path in (path1, path2))
        if self.isdir(source):
            self.makedirs(target, exist_ok=True)
            return
        self._room(target)
        with self.tree.open(source, "rb") as data, self.tree.open(target, "wb") as copy:
            while piece := data.read(PIECE):
                copy.write(piece)

    # -- what comes and goes

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Make a directory. Raises FileExistsError."""
        path = self._strip_protocol(path)
        if create_parents:
            self.makedirs(self._parent(path), exist_ok=True)
        self.tree.mkdir(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a directory, and those above it that are missing."""
        path = self._strip_protocol(path)
        if not self.exists(path):
            self.makedirs(self._parent(path), exist_ok=True)
            self.tree.mkdir(path)
        elif not exist_ok:
            raise FileExistsError(errno.EEXIST, "file already exists", path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self.tree.remove(self._strip_protocol(path))

    def rm_file(self, path: str) -> None:
        """Remove a file, or an empty directory."""
        self.tree.remove(self._strip_protocol(path))

    _rm = rm_file

    def mv_file(self, path1: str, path2: str, **_: Any) -> None:
        """Another name: within a directory that is one message, else a copy and a removal."""
        old, new = (PurePosixPath(self._strip_protocol(path)) for path in (path1, path2))
        if old.parent == new.parent and not self.exists(str(new)):
            self.tree.rename(str(old), new.name)
        else:
            self.cp_file(str(old), str(new))
            self.rm_file(str(old))

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Make a file, or make it empty. Raises NotImplementedError for a time that alone should change."""
        path = self._strip_protocol(path)
        if not truncate and self.exists(path):
            raise NotImplementedError("a file that is there is not touched without being emptied")
        self._room(path)
        self.tree.open(path, "wb").close()


class PlainFile(AbstractBufferedFile):
    """A file with a length, read by blocks that fsspec caches."""

    def __init__(
        self,
        fs: Lux9FileSystem,
        path: str,
        length: int,
        block_size: int | str,
        cache_options: dict[str, Any] | None,
        **options: Any,
    ) -> None:
        self.file = fs.tree.raw(path)
        how: Any = {"cache_options": cache_options, **options}
        super().__init__(fs, path, "rb", block_size, size=length, **how)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.file.pread(end - start, start)

    def close(self) -> None:
        """Let go of it."""
        super().close()
        self.file.close()


def _from(at: int, length: int) -> int:
    return at if at >= 0 else max(0, length + at)


def _info(path: str, stat: Stat) -> dict[str, Any]:
    directory = bool(stat.mode & DMDIR)
    return {
        "name": path,
        "size": 0 if directory else stat.length,
        "type": "directory" if directory else "file",
        "mode": stat.mode & 0o777,
        "uid": stat.uid,
        "gid": stat.gid,
        "mtime": stat.mtime,
        "qid": (stat.qid.path, stat.qid.version),
    }
