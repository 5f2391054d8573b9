"""Open files, one class a kind. Each is what `wire.node.Handle` asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import BadArgument, PermissionDenied
from ..pending import Maybe, Pending, after, waits
from ..wire.node import Bytes, Handle
from .declare import Raw


class Answers:
    """A text to read, and texts to write that may change it.

    After a write, reading starts anew wherever the client's file offset has come to: a program that writes a
    request and reads on gets the whole answer.
    """

    __slots__ = ("base", "closed", "content", "take")

    def __init__(
        self,
        content: str,
        take: Callable[[str], Maybe[str | None]] | None,
        closed: Callable[[], None] = lambda: None,
    ) -> None:
        self.content, self.take, self.base = content.encode(), take, 0
        self.closed = closed

    def read(self, offset: int, count: int) -> bytes:
        """A slice of the text."""
        if self.base < 0 or offset < self.base:
            self.base = offset
        at = offset - self.base
        return self.content[at : at + count]

    def write(self, offset: int, data: memoryview) -> Maybe[int]:
        """One text of commands, whole."""
        if self.take is None:
            raise PermissionDenied("the file cannot be written")
        try:
            written = str(data, "utf-8")
        except UnicodeDecodeError:
            raise BadArgument(f"{bytes(data[:40])!r} is not UTF-8 text") from None
        count = len(data)
        return after(self.take(written), lambda answer: self._answered(answer, count))

    def _answered(self, answer: str | None, count: int) -> int:
        if answer is not None:
            self.content, self.base = answer.encode(), -1
        return count

    def close(self) -> None:
        """Tell whoever wants to know."""
        self.closed()


class RawHandle:
    """A Raw, as the server calls it."""

    __slots__ = ("pread", "pwrite", "raw")

    def __init__(self, raw: Raw) -> None:
        self.raw, self.pread, self.pwrite = raw, raw.pread, raw.pwrite

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """One access."""
        return self.pread(count, offset)

    def write(self, offset: int, data: memoryview) -> Maybe[int]:
        """One access."""
        return self.pwrite(data, offset)

    def close(self) -> None:
        """Let the Raw go, where it minds."""
        close: Callable[[], None] | None = getattr(self.raw, "close", None)
        if close is not None:
            close()


class Events:
    """One event a read; what did not fit into the count is left for the next."""

    __slots__ = ("left", "next")

    def __init__(self, next_event: Callable[[], Maybe[str]]) -> None:
        self.next, self.left = next_event, b""

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """Wait for an event; the offset means nothing."""
        if self.left:
            return self._cut(self.left, count)
        return after(self.next(), lambda event: self._cut(event.encode(), count))

    def _cut(self, data: bytes, count: int) -> bytes:
        self.left = data[count:]
        return data[:count]

    def write(self, offset: int, data: memoryview) -> Maybe[int]:
        """Events are read."""
        raise PermissionDenied("an event file cannot be written")

    def close(self) -> None:
        """Nothing is held: a read that waits is cancelled by the server."""


def as_handle(opened: Any) -> Any:
    """A Handle of what an open gave, which may be a Raw."""
    if not hasattr(opened, "pread"):
        return opened
    own: Callable[[], Handle] | None = getattr(opened, "handle", None)
    return RawHandle(opened) if own is None else own()


def lines(take: Callable[[str], Maybe[str | None]]) -> Callable[[str], Maybe[str | None]]:
    """Give a text to `take` a line at a time; the last answer counts, the first error stops."""

    def each(written: str) -> Maybe[str | None]:
        todo = [line for line in written.split("\n") if line.strip()] or [written]
        return _take(take, deque(todo), None)

    return each


def _take(
    take: Callable[[str], Maybe[str | None]], todo: deque[str], answer: str | None
) -> Maybe[str | None]:
    while todo:
        got = take(todo.popleft())
        if waits(got):
            return _rest(take, todo, answer, got)
        answer = answer if got is None else got
    return answer


def _rest(
    take: Callable[[str], Maybe[str | None]],
    todo: deque[str],
    answer: str | None,
    got: Pending[str | None],
) -> Pending[str | None]:
    return got.map(lambda a: _take(take, todo, answer if a is None else a))
