"""Advisory locks on parts of files, as fcntl(2) has them, between all clients of this process.

Whoever holds one is a session, and in it a process of the client's; a file is its qid's path.
"""

from __future__ import annotations

from typing import NamedTuple

from ..wire.linux import F_RDLCK, F_UNLCK, F_WRLCK

END = 1 << 64  # behind every byte
MOST = 1024  # locks on one file

Owner = tuple[int, int, str]  # session, and the client's process


class Lock(NamedTuple):
    """One lock of the bytes from start up to end, got through a fid."""

    type: int
    start: int
    end: int
    owner: Owner
    fid: int

    def meets(self, other: Lock) -> bool:
        """Whether they have bytes in common."""
        return self.start < other.end and other.start < self.end

    def bars(self, other: Lock) -> bool:
        """Whether the other cannot be had beside it."""
        writes = F_WRLCK in (self.type, other.type)
        return self.owner != other.owner and writes and self.meets(other)

    def without(self, other: Lock) -> list[Lock]:
        """What is left of it when the other takes its bytes."""
        if self.owner != other.owner or not self.meets(other):
            return [self]
        parts = [self._replace(end=other.start), self._replace(start=other.end)]
        return [part for part in parts if part.start < part.end]


class Locks:
    """All of them, by file."""

    def __init__(self) -> None:
        self.files: dict[int, list[Lock]] = {}

    def against(self, path: int, wanted: Lock) -> Lock | None:
        """A lock that keeps it from being had."""
        return next((lock for lock in self.files.get(path, ()) if lock.bars(wanted)), None)

    def take(self, path: int, wanted: Lock) -> bool:
        """Lock, change or unlock the bytes; False when another's lock bars it. Raises OverflowError past MOST."""
        if wanted.type != F_UNLCK and self.against(path, wanted):
            return False
        left = [part for lock in self.files.get(path, ()) for part in lock.without(wanted)]
        if wanted.type != F_UNLCK:
            left.append(wanted)
        if len(left) > MOST:
            raise OverflowError
        self._keep(path, left)
        return True

    def release(self, path: int, session: int, fid: int) -> None:
        """What was got through a fid that is clunked."""
        held = self.files.get(path, ())
        self._keep(path, [lk for lk in held if (lk.owner[0], lk.fid) != (session, fid)])

    def _keep(self, path: int, locks: list[Lock]) -> None:
        if locks:
            self.files[path] = locks
        else:
            self.files.pop(path, None)


LOCKS = Locks()


def span(start: int, length: int) -> tuple[int, int]:
    """The bytes that a request means; no length is up to the end of the file, whatever that will be."""
    return start, min(start + length, END) if length else END


__all__ = ["END", "F_RDLCK", "LOCKS", "MOST", "Lock", "Locks", "Owner", "span"]
