"""Serving through the kernel's own files: a name is created in /srv, and 9P is spoken on it. srv(3).

For a driver that has one connection and no more: what it reads from the file are the kernel's requests, what it
writes to it are its answers. Several reads wait at a time, so that requests which come one by one do not wait for
each other's round trip.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import Disconnected, Lux9Error
from ..ninep.client import Client
from ..ninep.inbox import Inbox
from ..ninep.session import Owner, Session
from ..pending import Pending
from ..wire.messages import ORDWR
from ..wire.node import Bytes

SRV = "/srv"
WAITING = 8  # reads that wait for requests
HIGH = 1 << 20  # bytes of answers that are sent at once


class Posted:
    """A service by name. `lost(error)` is called once, when nobody can be served through it any more.

    Raises what the kernel refuses, when it is made.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        owner: Owner,
        after_batch: Callable[[], None] | None,
        lost: Callable[[Exception], None],
    ) -> None:
        self.name, self.after_batch, self.lost = name, after_batch, lost
        self.file = client.create(f"{SRV}/{name}", 0o600, ORDWR)
        self.session = Session(owner, self._wake)
        self.inbox = Inbox(self.session.receive)
        self.soon = client.caller.soon
        self.woken = self.over = False
        for _ in range(WAITING):
            self._ask()

    def _ask(self) -> None:
        self.file.submit(0, self.file.iounit).then(self._came)

    def _came(self, answer: Pending[Bytes]) -> None:
        """Requests: answer what can be answered at once."""
        if self.over:
            return
        try:
            data = answer.result()
            if not len(data):
                raise Disconnected(f"{SRV}/{self.name} was taken away")
            self._ask()
            self._take(memoryview(data))
        except Lux9Error as error:
            self._end(error)

    def _take(self, data: memoryview) -> None:
        self.inbox.put(data)
        while True:
            if self.after_batch is not None:
                self.after_batch()
            stopped = self.session.full
            self._flush()
            if not stopped:
                return
            self.inbox.took(
                0
            )  # enough answers for one message were made; there may be more requests

    def _wake(self) -> None:
        """An answer came later: all of this turn of the loop go together."""
        if not self.woken and self.soon is not None:
            self.woken = True
            self.soon(self._flush)

    def _flush(self) -> None:
        self.woken = False
        out = memoryview(b"".join(self.session.out))
        self.session.sent()
        for at in range(0, len(out), self.file.iounit):
            self.file.submit_write(0, out[at : at + self.file.iounit]).then(self._sent)
        if len(out) >= HIGH:
            self.file.caller.flush()

    def _sent(self, answer: Pending[int]) -> None:
        if not answer.ok and not self.over:
            try:
                answer.result()
            except Exception as error:
                self._end(error)

    def _end(self, error: Exception) -> None:
        if self.over:
            return
        self.over = True
        self.session.reset()
        self.file.close()
        self.lost(error)
