"""A blocking client whose connection may be lost: when it waits, it dials again, and goes on where the protocol allows.

All fids are walked to anew from the root, and files that were open are opened again where that means the same
(`history.py`); any other fid is stale, and says why. Requests that were on their way are repeated where that does
nothing twice: walks, stats, opening a file to read it, reads at an offset of such a file. Whatever else was sent fails.
"""

from __future__ import annotations

import time
from typing import Any

from typing_extensions import override

from ..errors import Disconnected, Lux9Error, UserError
from ..pending import Pending
from ..wire import messages as m
from ..wire.codec import Dialect, Message
from ..wire.messages import Stat
from ..wire.node import Bytes
from .caller import Attached, Caller
from .history import READS, SPENT, History, Known
from .requests import Again, Request
from .restore import Line, NotYet, restore
from .wires import SocketWire

FIRST, MOST = 0.1, 5.0  # seconds between two tries
STARTING = 15.0  # seconds in which a server that was started anew has its drivers' files, or never


class Resuming(Caller):
    """A caller that knows what its fids are. `resumed` counts."""

    def __init__(self, line: Line, dialect: Dialect) -> None:
        super().__init__(dialect=dialect)
        self.line, self.history, self.aname = line, History(), ""
        self.packets: dict[int, bytes] = {}  # by tag, what was asked; of a Twrite its head alone
        self.attached = 0  # the root's fid, once it is there
        self.mark = (0, 0)  # what tells this server from the same one started anew
        self.resumed = 0
        self.wire = ResumingWire(self, SocketWire(self, line.dial()))

    # -- what is asked

    @override
    def start(self, aname: str = "", uname: str = "") -> Pending[Attached]:
        self.aname = aname
        return super().start(aname, uname).map(self._started)

    def _started(self, root: Attached) -> Pending[Attached]:
        def told(stat: Stat) -> Attached:
            self.attached, self.mark = root[0], (root[1].path, stat.mtime)
            self.history.fids[root[0]] = Known((), root[1])
            return root

        return self.stat(root[0], "/").map(told)

    @override
    def submit(self, message: Message, *, name: str = "", later: bool = False) -> Pending[Any]:
        found = self.history.stale(getattr(message, "fid", -1))
        if found is None:
            asked = super().submit(message, name=name, later=later)
            return asked.map(lambda answer: self._answered(message, answer))
        if isinstance(message, m.Tclunk):  # there is nothing to clunk
            self.history.answered(message, None)
            done: Pending[Any] = Pending()
            done.resolve(m.Rclunk())
            return done
        return failed(found)

    def _answered(self, message: Message, answer: Any) -> Any:
        if self.history.answered(message, answer):
            fid: int = getattr(message, "fid", -1)
            self.stat(fid).then(lambda p: self._measured(fid, p))
        return answer

    def _measured(self, fid: int, told: Pending[Stat]) -> None:
        known = self.history.fids.get(fid)
        if known is not None and told.ok:
            known.length = told.result().length

    @override
    def read(
        self,
        fid: int,
        offset: int,
        count: int,
        *,
        later: bool = False,
        copy: bool = False,
        again: Again | None = None,
    ) -> Pending[Bytes]:
        found = self.history.stale(fid)
        if found is not None:
            return failed(found)
        return super().read(fid, offset, count, later=later, copy=copy, again=again)

    @override
    def write(
        self, fid: int, offset: int, data: Bytes, *, later: bool = False, again: Again | None = None
    ) -> Pending[int]:
        found = self.history.stale(fid)
        if found is not None:
            return failed(found)
        return super().write(fid, offset, data, later=later, again=again)

    @override
    def forget(self, fid: int) -> None:
        if self.gone is None or not self.attached:
            super().forget(fid)
        else:  # it is not there any more, and not walked to again
            self.history.fids.pop(fid, None)
            self.fids.append(fid)

    @override
    def _enter(self, tag: int, request: Request, packet: bytes) -> None:
        """What is asked while the connection is lost waits for the next one."""
        self.packets[tag] = packet[:23] if packet[4] == m.Twrite.number else packet
        gone = self.gone
        if self.attached:
            self.gone = None
        super()._enter(tag, request, packet)
        self.gone = gone

    # -- the connection is lost

    @override
    def lost(self, error: Lux9Error | None = None) -> None:
        """The next wait makes another one, unless this end was meant, or nothing has begun."""
        if self.gone is None and self.attached and isinstance(error, Disconnected):
            self.gone = error
        else:
            super().lost(error)

    def give_up(self, error: Lux9Error) -> None:
        """It does not come back."""
        self.attached, self.gone = 0, None
        super().lost(error)

    def resume(self) -> SocketWire | None:
        """Dial until somebody is there, or patience ends; the new wire. Blocks."""
        why = self.gone
        assert why is not None, "the connection is there"
        self._drop_spent()
        self.line.say(f"{why.message}; dialling {self.line.addr} again")
        made = self._redial(why)
        if isinstance(made, Lux9Error):
            self.give_up(made)
            return None
        made.caller, made.inbox.receive = self, self.receive
        self.resumed += 1
        self._repeat(why)
        return made

    def _redial(self, why: Lux9Error) -> SocketWire | Lux9Error:
        """Try until it is there again; or why it is not."""
        last: Lux9Error
        end, pause = time.monotonic() + self.line.patience, FIRST
        late, last = end, why
        while True:
            try:
                return self._connected(time.monotonic() + pause < late)
            except NotYet as error:
                last, late = error, min(late, time.monotonic() + STARTING)
            except (UserError, Disconnected) as error:
                last = error
            except Lux9Error as error:  # somebody is there, and does not want us
                return error
            if time.monotonic() + pause > end:
                told = f"{why}; and it was not to be had again in {self.line.patience:g} s: {last}"
                return Disconnected(told)
            time.sleep(pause)
            pause = min(2 * pause, MOST)

    def _connected(self, patient: bool) -> SocketWire:
        """One try: dial, attach, and walk every fid to where it was. Raises NotYet only for who is patient."""
        fresh = Caller(self.msize, self.dialect)
        wire = SocketWire(fresh, self.line.dial())
        wire.limit = self.line.patience  # somebody may listen there, and say nothing
        try:
            root, fids = self.attached, self.history.fids
            self.mark = restore(fresh, fids, root, self.aname, self.mark, patient)
        except Lux9Error:
            wire.close()
            raise
        wire.limit = None
        return wire

    def _drop_spent(self) -> None:
        """Clunks and flushes are done, and a remove is a clunk (remove(5)): their fids are not walked to again."""
        for tag, request in list(self.table.items()):
            name = self._name(tag)
            if name == "Tremove":
                self.history.fids.pop(self._fid(tag), None)
            if name in SPENT and self.table.pop(tag, None) is not None:
                self.queue = [p for p in self.queue if tag_of(p) != tag]
                self.tags.append(tag)
                self._tell(request, SPENT[name], None)

    def _repeat(self, why: Lux9Error) -> None:
        """What was on its way: again, or not."""
        unsent = {tag_of(packet): packet for packet in self.queue}
        table, self.table, self.queue, self.gone = self.table, {}, [], None
        for tag, request in table.items():
            packet = unsent.get(tag)
            if request.pending is not None and request.pending.done:  # nobody wants it any more
                self.tags.append(tag)
            elif packet is None and self._again(tag):
                super()._enter(tag, request, self.packets[tag])
            elif packet is not None and self.history.stale(self._fid(tag)) is None:
                super()._enter(tag, request, bytes(packet))
            else:
                self.tags.append(tag)
                name, fid = self._name(tag), self._fid(tag)
                self._tell(request, None, self.history.failed(name, fid, why, packet is None))

    def _again(self, tag: int) -> bool:
        packet, request, offset = self.packets[tag], None, 0
        name = self._name(tag)
        if name in READS:
            offset = int.from_bytes(packet[11:19], "little")
        elif name in ("Topen", "Tlopen"):
            request = self.dialect.parse(packet[4], memoryview(packet), 7, len(packet))
        return self.history.again(name, self._fid(tag), offset, request)

    def _name(self, tag: int) -> str:
        found = self.dialect.types.get(self.packets[tag][4])
        return found.__name__ if found else "request"

    def _fid(self, tag: int) -> int:
        return int.from_bytes(self.packets[tag][7:11], "little")


class ResumingWire:
    """The wire of the moment; whoever waits on one that broke gets another one, or the end."""

    def __init__(self, caller: Resuming, wire: SocketWire) -> None:
        self.caller, self.inner = caller, wire

    def send(self, parts: list[Bytes]) -> None:
        """As any wire."""
        self.inner.send(parts)

    def wait(self) -> None:
        """As any wire."""
        if self.caller.gone is None:
            self.inner.wait()
        if self.caller.gone is not None and self.caller.attached:
            self.inner.close()
            self.inner = self.caller.resume() or self.inner

    def pause(self, seconds: float) -> None:
        """As any wire."""
        self.inner.pause(seconds)

    def close(self) -> None:
        """Hang up, for good."""
        self.caller.attached = 0
        self.inner.close()


def tag_of(packet: Bytes) -> int:
    """A message's tag."""
    return int.from_bytes(packet[5:7], "little")


def failed(error: Lux9Error) -> Pending[Any]:
    """An answer that is an error."""
    made: Pending[Any] = Pending()
    made.fail(error)
    return made
