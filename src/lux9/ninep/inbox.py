"""The bytes of a connection that have arrived and are not yet whole messages."""

from __future__ import annotations

from collections.abc import Callable

FIRST = 1 << 16
LEAST = 1 << 14  # bytes of room that there always are: a record of TLS (`tls.py`)
HEADER = 7  # bytes of a message from which `receive` looks at its size


class Inbox:
    """A buffer that the socket reads into, grown when a message needs it.

    `receive(view)` takes the whole messages at the head of a view and tells how many bytes they were.
    """

    __slots__ = ("buffer", "have", "receive", "view")

    def __init__(self, receive: Callable[[memoryview], int]) -> None:
        self.receive, self.buffer, self.have = receive, bytearray(FIRST), 0
        self.view = memoryview(self.buffer)

    def room(self) -> memoryview:
        """Where the next bytes go."""
        return self.view[self.have :]

    def took(self, count: int) -> None:
        """That many came: give the whole messages on, keep the rest at the front."""
        have = self.have + count
        used = self.receive(self.view[:have])
        self.have = left = have - used
        if left:
            if used:
                self.buffer[:left] = self.buffer[used:have]
            if left >= HEADER:
                self._fit(int.from_bytes(self.buffer[:4], "little"))

    def put(self, data: memoryview) -> None:
        """Bytes that came another way than by a socket which reads into the room."""
        at = 0
        while at < len(data):
            room = self.room()
            n = min(len(room), len(data) - at)
            room[:n] = data[at : at + n]
            self.took(n)
            at += n

    def _fit(self, size: int) -> None:
        """Make room for a message of `size` bytes; `receive` has seen its header and refused sizes over msize."""
        if size > len(self.buffer) - LEAST:
            grown = bytearray(size + FIRST)
            grown[: self.have] = self.buffer[: self.have]
            self.buffer, self.view = grown, memoryview(grown)
