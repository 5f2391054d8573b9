"""What carries a client's bytes: a blocking socket, or a call within one process.

`loopwire.py` has the one for asyncio, so that a plain command need not import that.
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import ProtocolError, UserError
from ..wire.node import Bytes
from . import tcp
from .address import parse
from .caller import Caller
from .inbox import Inbox
from .session import Session

LONGEST = 86_400.0  # seconds that are one wait: poll(2) knows no more than some days


class SocketWire:
    """A socket whose user blocks. A loop that watches it may have made it non-blocking: then we poll."""

    def __init__(self, caller: Caller, sock: socket.socket) -> None:
        self.caller, self.sock, self.inbox = caller, sock, Inbox(caller.receive)
        self.taking = False
        self.limit: float | None = None  # seconds that a wait may take
        if sock.gettimeout():
            sock.settimeout(None)  # with a time limit, Python would wait where we ask it not to
        caller.wire = self

    def send(self, parts: list[Bytes]) -> None:
        """Send them all. Answers are taken in meanwhile: a server whose answers nobody takes stops reading."""
        left = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
        while left:
            try:
                left = left[self.sock.send(left, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                if self._until(select.POLLOUT | (0 if self.taking else select.POLLIN)):
                    self.take()
            except OSError as error:
                self._last_words()
                self._lost(error)
                return

    def wait(self) -> None:
        """Block until something came, or the limit is over: then the connection is lost."""
        limit = None if self.limit is None else min(self.limit, LONGEST)
        if limit is not None and not self._until(select.POLLIN, round(1000 * limit)):
            self._lost(TimeoutError(errno.ETIMEDOUT, f"no answer in {limit:g} s"))
        else:
            self.take(block=True)

    def take(self, *, block: bool = False) -> None:
        """Take what is there; `block`: wait for something."""
        try:
            count = self.sock.recv_into(self.inbox.room(), 0, 0 if block else socket.MSG_DONTWAIT)
        except BlockingIOError:
            if block:
                self._until(select.POLLIN)
            return
        except OSError as error:
            self._lost(error)
            return
        if not count:
            self._lost()
            return
        self.taking = True
        try:
            self.inbox.took(count)
        except ProtocolError as error:
            self.caller.lost(error)
        finally:
            self.taking = False

    def _last_words(self) -> None:
        """What the other side said before it hung up: it may say why."""
        while not self.taking and self.caller.gone is None and self._until(select.POLLIN, 0):
            self.take()

    def _until(self, events: int, limit: int | None = None) -> bool:
        """Wait for one of them, for `limit` milliseconds at most; whether there is something to read."""
        poll = select.poll()
        poll.register(self.sock, events)
        return any(came & select.POLLIN for _, came in poll.poll(limit))

    def _lost(self, error: OSError | None = None) -> None:
        self.caller.lost(tcp.ended(error))

    def pause(self, seconds: float) -> None:
        """The other side is another process."""
        time.sleep(seconds)

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


class DirectWire:
    """A session in this very process: a call, no socket.

    `pump` lets the rest of the kernel do its work; `after_batch` is called when requests have been taken.
    """

    def __init__(
        self,
        caller: Caller,
        pump: Callable[[], None],
        after_batch: Callable[[], None] | None = None,
    ) -> None:
        self.caller, self.pump, self.after_batch = caller, pump, after_batch
        self.session: Session
        caller.wire = self

    def send(self, parts: list[Bytes]) -> None:
        """The session answers at once what it can; many long answers are taken in by and by."""
        data = memoryview(b"".join(parts))
        while len(data):
            used = self.session.receive(data)
            assert used, "a client sends whole messages"
            data = data[used:]
            if self.after_batch is not None:
                self.after_batch()
            self.deliver()

    def deliver(self) -> None:
        """Take the session's answers in."""
        if self.session.out:
            answers = b"".join(self.session.out)
            self.session.sent()
            self.caller.receive(memoryview(answers))

    def wait(self) -> None:
        """Whatever is waited for comes from work that is due."""
        self.pump()
        self.deliver()

    def pause(self, seconds: float) -> None:
        """Do what is due; then real time has to pass, as for any device."""
        self.wait()
        time.sleep(seconds)

    def close(self) -> None:
        """End the session."""
        self.session.reset()
        self.caller.lost()


def dial(addr: str, keys: Path | None = None) -> socket.socket:
    """A connected socket for an address (`address.py`); `keys` is a file for TLS. Raises UserError with the remedy."""
    address = parse(addr)
    if address.kind == "tls":
        from . import tls

        return tls.dial(address, keys)
    if address.kind == "fd":
        return socket.socket(fileno=int(address.where))
    if address.kind == "tcp":
        return tcp.dial(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(address.where)
    except OSError as error:
        sock.close()
        where, there = address.where, Path(address.where).exists()
        remedy = "is it still running?" if there else "start one with `lux9 boot`"
        raise UserError(f"no lux9 at {where}: {error.strerror or error}; {remedy}") from None
    return sock
