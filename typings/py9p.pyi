"""What the tests use of python-9p, which has no types that checkers find."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

class RemoteError(Exception): ...

class Qid:
    type: int
    vers: int
    path: int

class Dir:
    def __init__(
        self,
        type: int = ...,
        dev: int = ...,
        qid: Qid = ...,
        mode: int = ...,
        atime: int = ...,
        mtime: int = ...,
        length: int = ...,
        name: str = ...,
        uid: str = ...,
        gid: str = ...,
        muid: str = ...,
    ) -> None: ...
    qid: Qid
    mode: int
    length: int
    name: str
    uid: str
    @classmethod
    def from_bytes(cls, data: bytes) -> Dir: ...

class Rversion:
    version: str
    msize: int

class Client:
    @classmethod
    def connect_unix(cls, path: str, *, msize: int = ...) -> Client: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...
    def negotiate(self) -> Rversion: ...
    def attach(self, fid: int = ..., uname: str | None = ..., aname: str = ...) -> Qid: ...
    def walk(self, fid: int, newfid: int, path: str | Iterable[str]) -> tuple[Qid, ...]: ...
    def open(self, fid: int, mode: int = ...) -> tuple[Qid, int]: ...
    def create(self, fid: int, name: str, perm: int, mode: int = ...) -> tuple[Qid, int]: ...
    def read(self, fid: int, count: int | None = ..., offset: int = ...) -> bytes: ...
    def write(self, fid: int, data: bytes, offset: int = ...) -> int: ...
    def clunk(self, fid: int) -> None: ...
    def remove(self, fid: int) -> None: ...
    def stat(self, fid: int) -> Dir: ...
    def wstat(self, fid: int, stat: Dir | bytes) -> None: ...
