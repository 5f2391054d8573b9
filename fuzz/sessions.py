"""Mutated messages against a live session, in each dialect: `python -m fuzz.sessions [COUNT [SECONDS]]`.

Messages are made from their declarations, so a new one is mutated too. What has to hold: nothing but ProtocolError
comes out of `receive`; every answer decodes; another session of the same tree reads what it always read; and when
the session ends, its fids, waits and locks are gone and no more memory is taken than before.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from lux9.errors import ProtocolError
from lux9.ninep.locks import LOCKS
from lux9.ninep.session import Session
from lux9.pending import Maybe, Pending
from lux9.tree import Dir, File, Raw, Tree, entries, event, raw, rpc, text, verb
from lux9.wire import codec, messages as m, unix as u
from lux9.wire.codec import NOFID, NOTAG, Dialect, Message
from lux9.wire.dialects import SPOKEN
from lux9.wire.node import Node

COUNT, SECONDS = 1_000_000, 600.0  # messages a dialect; the most that one may take
POOL = 4000  # whole messages that are mutated
TAGS = 32
ROUND = 5000  # messages to one session
GROWTH = 3000  # blocks of memory that may be taken and kept: caches
NAMES = (
    "mem",
    "ctl",
    "event",
    "ask",
    "made",
    "b",
    "c",
    "d",
    "e",
    "a0",
    "..",
    ".",
    "",
    "none",
    "é" * 40,
    "a/b",
)
NUMBERS = (0, 1, 2, 3, 4, 5, 6, 7, 0x80, 0xFF, 0x100, 0x1FF, 0x1000, 0x8000)


class Bytes:
    """A file of 256 bytes that stay what they are."""

    def pread(self, count: int, offset: int) -> bytes:
        """Some of them."""
        return bytes(range(256))[offset : offset + count]

    def pwrite(self, data: memoryview, offset: int) -> int:
        """As if."""
        return len(data)


class Top(Dir):
    """A tree with each kind of file."""

    mode = 0o775

    def __init__(self) -> None:
        self.made: dict[str, Dir | File] = {}
        self.waits = 0
        self.clear()

    def clear(self) -> None:
        """As in the beginning."""
        self.made.clear()
        self.made.update({f"a{i}": File(0o666, lambda mode: Bytes()) for i in range(40)})

    @text(0o664)
    def ctl(self) -> str:
        """Facts."""
        return "facts\n"

    @verb(1)
    def say(self, word: str) -> str:
        """Say it."""
        return word

    @raw(0o666)
    def mem(self) -> Raw:
        """Bytes."""
        return Bytes()

    @event(0o444)
    def event(self) -> Pending[str]:
        """Never."""
        self.waits += 1
        return Pending(self._over)

    def _over(self) -> None:
        self.waits -= 1

    @rpc(0o666)
    def ask(self, request: str) -> str:
        """The other way round."""
        return request[::-1]

    @entries
    def files(self) -> Mapping[str, Dir | File]:
        """What was created."""
        return self.made

    def make(self, name: str, perm: int, mode: int) -> File:
        """A file."""
        file = self.made[name] = File(perm & 0o777, lambda mode: Bytes())
        return file

    def drop(self, name: str) -> None:
        """Or none."""
        if self.made.pop(name, None) is None:
            super().drop(name)


class Owner:
    """Whom sessions are for."""

    def __init__(self, top: Dir) -> None:
        self.root: Node = Tree("#f").root(top)

    def attach(self, uname: str, aname: str) -> Maybe[Node]:
        """The tree, under any name."""
        return self.root

    def refused(self, error: Exception, what: str, path: str) -> None:
        """Nobody minds."""


KEEP_U = u.Stat(*m.KEEP, "", u.NO_NUMBER, u.NO_NUMBER, u.NO_NUMBER)  # type: ignore[misc, call-arg]  # a tuple
FID = (0, 0, 1, 2, 3, 4, 5, 6)
LIKELY: dict[
    str, tuple[int, ...]
] = {  # by a field's name, so that most of what is made gets somewhere
    **dict.fromkeys(("fid", "newfid", "dfid", "dirfd", "olddirfid", "newdirfid"), FID),
    "afid": (NOFID,),
    "mode": (0, 0, 1, 2, 0x10, 0x11),
    "flags": (0, 0, 1, 2, 0o1002, 0o2001, 0o200000),
    "type": (0, 1, 2),
    "offset": (0, 0, 1, 16, 300),
    "count": (0, 4, 100, 8192),
    "perm": (0o644, 0o600),
    "oldtag": tuple(range(TAGS)),
}
OFTEN = {"Twalk": 8, "Topen": 6, "Tlopen": 6, "Tread": 3, "Twrite": 3, "Treaddir": 3, "Tattach": 2}
WALKED = ((), (), ("mem",), ("mem",), ("ctl",), ("event",), ("ask",), ("a0",), ("a1",))
RARELY = 0.1


def value(rnd: random.Random, hint: Any) -> Any:
    """Something for a declared field."""
    kind = get_args(hint)[1] if hasattr(hint, "__metadata__") else None
    if isinstance(kind, codec.Fixed):
        bits = {"B": 8, "H": 16, "I": 32, "Q": 64}[kind.code]
        chosen = rnd.choice((*NUMBERS, (1 << bits) - 1, rnd.getrandbits(bits)))
        return chosen & (1 << bits) - 1
    if isinstance(kind, codec.Text):
        return rnd.choice(NAMES)
    if isinstance(kind, codec.Counted):
        return rnd.randbytes(rnd.choice((0, 1, 4, 100)))
    if isinstance(kind, codec.Sized):
        return made(rnd, get_args(hint)[0])
    if get_origin(hint) is tuple:
        return tuple(value(rnd, get_args(hint)[0]) for _ in range(rnd.choice((0, 1, 1, 1, 2, 17))))
    return made(rnd, hint)


def made(rnd: random.Random, cls: Any) -> Any:
    """A message or record with something in each field."""
    if issubclass(cls, (m.Stat, u.Stat)) and rnd.random() > RARELY:
        keep: Any = m.KEEP if issubclass(cls, m.Stat) else KEEP_U
        return keep.but(length=rnd.choice((0, m.KEEP64)), name=rnd.choice(("", "", "made")))
    hints = get_type_hints(cls, include_extras=True)
    return cls(*(likely(rnd, name, hints[name]) for name in cls._fields))


def likely(rnd: random.Random, name: str, hint: Any) -> Any:
    """Something for a field of that name: mostly what a client would say."""
    if name in LIKELY and rnd.random() > RARELY:
        return rnd.choice(LIKELY[name])
    if name == "names" and rnd.random() > RARELY:
        return rnd.choice(WALKED)
    return value(rnd, hint)


def pool(rnd: random.Random, dialect: Dialect, count: int = POOL) -> list[bytes]:
    """Whole messages of a dialect, as many of each kind."""
    types = [cls for cls in dialect.types.values() if cls is not m.Tversion]
    kinds = [cls for cls in types for _ in range(OFTEN.get(cls.__name__, 1))]
    messages = (made(rnd, rnd.choice(kinds)) for _ in range(count))
    return [bytes(message.encode(rnd.randrange(TAGS))) for message in messages]


def mutated(rnd: random.Random, data: bytes) -> bytes:
    """The message with a few bytes changed, cut, added or doubled; its size is true but for one in a thousand."""
    out = bytearray(data)
    how = rnd.random()
    if how < 0.4:
        for _ in range(rnd.choice((1, 1, 2, 4))):
            out[rnd.randrange(4, len(out))] = rnd.choice((0, 1, 2, 0xFF, rnd.getrandbits(8)))
    elif how < 0.5:
        del out[rnd.randrange(7, len(out) + 1) :]
    elif how < 0.6:
        at = rnd.randrange(7, len(out) + 1)
        out[at:at] = rnd.randbytes(rnd.choice((1, 2, 8)))
    out[:4] = len(out).to_bytes(4, "little")
    if how > 0.999:
        out[rnd.randrange(4)] ^= 1 << rnd.randrange(8)
    return bytes(out)


class Target:
    """A session that is fed, and another one beside it."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect, self.top = dialect, Top()
        self.owner = Owner(self.top)
        self.other = self.begin()
        self.say(self.other, m.Twalk(0, 1, ("mem",)))
        opening: Message = m.Topen(1, 0)
        if m.Topen.number not in dialect.types:
            from lux9.wire.linux import Tlopen

            opening = Tlopen(1, 0)
        self.say(self.other, opening)
        self.session = self.begin()
        self.ended, self.answered = 0, set[int]()  # the numbers of what was answered

    def begin(self) -> Session:
        """A session that is attached."""
        session = Session(self.owner, lambda: None)
        self.say(session, m.Tversion(8192, self.dialect.version), NOTAG)
        self.attach(session)
        return session

    def attach(self, session: Session) -> None:
        """Fid 0 is the root."""
        number = (u.NO_NUMBER,) if self.dialect.types[104] is u.Tattach else ()
        attach: Callable[..., Message] = self.dialect.types[104]
        self.say(session, attach(0, NOFID, "me", "", *number), tag=TAGS)

    def say(self, session: Session, message: Message, tag: int = 1) -> bytes:
        """One message, and what is answered."""
        assert session.receive(memoryview(message.encode(tag))) > 0
        answer = b"".join(session.out)
        session.sent()
        return answer

    def feed(self, data: bytes) -> None:
        """One message, whatever it is."""
        session = self.session
        try:
            session.receive(memoryview(data))
        except ProtocolError:
            self.end()  # which hangs up on whoever talks so
            return
        for packet in session.out:
            self.answered.add((session.dialect or m.P9).decode(packet)[1].number)
        session.sent()
        if session.dialect is not self.dialect:  # a Tversion of its own
            self.end()
        elif 0 not in session.fids:  # or everything would be refused from here on
            self.attach(session)

    def end(self) -> None:
        """The session ends; what it held is gone, and the other one does not notice."""
        self.session.reset()
        self.ended += 1
        held = self.session
        assert (held.fids, held.waiting, held.inflight) == ({}, {}, 0)
        assert not LOCKS.files
        assert self.top.waits == 0, f"{self.top.waits} waits were not given up"
        assert self.say(self.other, m.Tread(1, 16, 4))[-4:] == bytes((16, 17, 18, 19))
        self.top.clear()
        self.session = self.begin()


@dataclass
class Report:
    """What came of it."""

    messages: int
    sessions: int
    seconds: float
    grown: int  # blocks of memory, since the first tenth


def run(dialect: Dialect, count: int, seconds: float = SECONDS, seed: int = 9) -> Report:
    """Feed `count` mutated messages, for `seconds` at most. Raises whatever a session lets out."""
    rnd, began = random.Random(seed), time.monotonic()
    target, messages = Target(dialect), pool(rnd, dialect)
    at = before = 0
    warm = max(ROUND, count // 10 // ROUND * ROUND)
    while at < count and time.monotonic() - began < seconds:
        for _ in range(min(ROUND, count - at)):
            data = mutated(rnd, rnd.choice(messages))
            try:
                target.feed(data)
            except Exception as error:
                error.add_note(f"{dialect.version}: message {at}: {data.hex()}")
                raise
            at += 1
        target.end()
        if at == warm:
            before = _blocks()
    return Report(at, target.ended, time.monotonic() - began, _blocks() - before if before else 0)


def _blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


def main() -> None:
    """Every dialect; the exit status is 1 when one takes memory and keeps it, or was not through in time."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    good = True
    for version, dialect in SPOKEN.items():
        r = run(dialect, count, seconds)
        good &= r.grown < GROWTH and r.messages == count
        rate = r.messages / r.seconds
        print(
            f"{version}: {r.messages} mutated messages, {r.sessions} sessions, {r.seconds:.0f} s"
            f" ({rate:.0f}/s), {r.grown} blocks of memory kept"
        )
    sys.exit(not good)


if __name__ == "__main__":
    main()
