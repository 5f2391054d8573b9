"""A tree whose answers stay until it says otherwise, and requests to try on it."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from lux9.tree import Dir, File, Raw, entries, raw, text
from lux9.wire import linux as l, messages as m, unix as u
from lux9.wire.codec import NOFID, NOTAG, Message
from lux9.wire.dialects import SPOKEN
from lux9.wire.steady import changed
from tests.ninep.rig import Memory

VERSIONS = tuple(SPOKEN)


def hello(version: str) -> bytes:
    """Version and attach."""
    attach: Message = m.Tattach(0, NOFID, "me", "")
    if SPOKEN[version].types[attach.number] is u.Tattach:
        attach = u.Tattach(0, NOFID, "me", "", 0)
    return m.Tversion(8192, version).encode(NOTAG) + attach.encode(1)


class Chip(Dir):
    """A steady directory: what it shows changes with a word about it."""

    steady = True

    def __init__(self, hidden: set[str]) -> None:
        self.hidden, self.made = hidden, 0

    @raw(0o660)
    def regs(self) -> Raw:
        """Registers."""
        return Memory(bytes(range(64)))

    @text(0o444)
    def facts(self) -> str:
        """Another text each time."""
        self.made += 1
        return f"{self.made}\n"

    def shows(self, name: str) -> bool:
        return name not in self.hidden


class Board(Dir):
    """Chips that come and go, and files that do so without a word."""

    steady = True

    def __init__(self) -> None:
        self.hidden = set[str]()
        self.chips: dict[str, Dir] = {"a": Chip(self.hidden), "b": Chip(self.hidden)}
        self.length = 3

    @entries
    def all(self) -> Mapping[str, Dir | File]:
        """Chips, and a file."""
        file = File(0o444, lambda mode: Memory(b"abc"), lambda: self.length)
        return {**self.chips, "file": file}


FIDS = st.sampled_from([0, 1, 2, 3, NOFID])
NAMES = st.lists(
    st.sampled_from(["a", "b", "regs", "facts", "file", "..", ".", "gone"]), max_size=3
)
ALL = l.GETATTR_ALL
REQUESTS: st.SearchStrategy[Message] = st.one_of(
    st.builds(m.Twalk, FIDS, FIDS, NAMES.map(tuple)),
    st.builds(m.Twalk, st.just(0), FIDS, st.just(("a", "regs"))),
    st.builds(m.Tclunk, FIDS),
    st.builds(m.Tclunk, FIDS),
    st.builds(m.Tstat, FIDS),
    st.builds(l.Tgetattr, FIDS, st.sampled_from([0, 1, ALL])),
    st.builds(m.Topen, FIDS, st.sampled_from([0, 1, 2])),
    st.builds(l.Tlopen, FIDS, st.sampled_from([0, 2])),
    st.builds(m.Tread, FIDS, st.integers(0, 70), st.integers(0, 9000)),
    st.builds(m.Twrite, FIDS, st.integers(0, 70), st.binary(max_size=9)),
    st.builds(m.Tremove, FIDS),
)


def hide(board: Board) -> None:
    board.hidden.symmetric_difference_update({"regs"})
    changed()


def pull(board: Board) -> None:
    if board.chips.pop("a", None) is None:
        board.chips["a"] = Chip(board.hidden)
    changed()


def grow(board: Board) -> None:
    board.length += 1


ACTS = st.one_of(REQUESTS, REQUESTS, REQUESTS, st.sampled_from([hide, pull, grow]))
