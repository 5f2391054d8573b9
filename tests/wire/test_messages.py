"""9P2000 on the wire, byte by byte, as section 5 of the Plan 9 manual has it. All numbers are little endian."""

from __future__ import annotations

import struct
from typing import cast

import pytest
from hypothesis import given, strategies as st

from lux9.errors import ProtocolError
from lux9.wire import messages as m
from lux9.wire.codec import NOFID, NOTAG, DecodeError, Message
from lux9.wire.messages import P9, Qid, Stat

DIR = Qid(0x80, 1, 0x1122334455667788)
FILE = Qid(0, 7, 2)
QDIR, QFILE = "80 01000000 8877665544332211", "00 07000000 0200000000000000"
# type dev qid mode atime mtime length name uid gid muid
STAT = Stat(0, 0, FILE, 0o644, 1, 2, 3, "ctl", "glenda", "sys", "")
PSTAT = (
    "3b00 0000 00000000" + QFILE + "a4010000 01000000 02000000 0300000000000000"
    "0300 63746c 0600 676c656e6461 0300 737973 0000"
)
NUL8, ALL8 = "00" * 8, "ff" * 8

GOLDEN: list[tuple[int, Message, str]] = [
    (NOTAG, m.Tversion(8192, "9P2000"), "13000000 64 ffff 00200000 0600 395032303030"),
    (NOTAG, m.Rversion(4096, "unknown"), "14000000 65 ffff 00100000 0700 756e6b6e6f776e"),
    (1, m.Tauth(5, "glenda", ""), "15000000 66 0100 05000000 0600 676c656e6461 0000"),
    (1, m.Rauth(Qid(8, 0, 9)), "14000000 67 0100 08 00000000 0900000000000000"),
    (1, m.Tattach(0, NOFID, "me", "#P"), "17000000 68 0100 00000000 ffffffff 0200 6d65 0200 2350"),
    (1, m.Rattach(DIR), "14000000 69 0100" + QDIR),
    (2, m.Rerror("no"), "0b000000 6b 0200 0200 6e6f"),
    (3, m.Tflush(2), "09000000 6c 0300 0200"),
    (3, m.Rflush(), "07000000 6d 0300"),
    (0x102, m.Twalk(1, 2, ()), "11000000 6e 0201 01000000 02000000 0000"),
    (
        4,
        m.Twalk(1, 2, ("dev", "é")),
        "1a000000 6e 0400 01000000 02000000 0200 0300 646576 0200 c3a9",
    ),
    (4, m.Rwalk(()), "09000000 6f 0400 0000"),
    (4, m.Rwalk((DIR, FILE)), "23000000 6f 0400 0200" + QDIR + QFILE),
    (5, m.Topen(2, m.ORDWR | m.OTRUNC), "0c000000 70 0500 02000000 12"),
    (5, m.Ropen(FILE, 8168), "18000000 71 0500" + QFILE + "e81f0000"),
    (6, m.Tcreate(2, "a", 0x800001FF, 0), "13000000 72 0600 02000000 0100 61 ff010080 00"),
    (6, m.Rcreate(FILE, 0), "18000000 73 0600" + QFILE + "00000000"),
    (7, m.Tread(2, 1 << 40, 4), "17000000 74 0700 02000000 0000000000010000 04000000"),
    (7, m.Rread(b"abcd"), "0f000000 75 0700 04000000 61626364"),
    (7, m.Rread(b""), "0b000000 75 0700 00000000"),
    (8, m.Twrite(2, 16, b"\x00\xff"), "19000000 76 0800 02000000 1000000000000000 02000000 00ff"),
    (8, m.Rwrite(2), "0b000000 77 0800 02000000"),
    (9, m.Tclunk(2), "0b000000 78 0900 02000000"),
    (9, m.Rclunk(), "07000000 79 0900"),
    (10, m.Tremove(2), "0b000000 7a 0a00 02000000"),
    (10, m.Rremove(), "07000000 7b 0a00"),
    (11, m.Tstat(2), "0b000000 7c 0b00 02000000"),
    (11, m.Rstat(STAT), "46000000 7d 0b00 3d00" + PSTAT),
    (12, m.Twstat(2, STAT), "4a000000 7e 0c00 02000000 3d00" + PSTAT),
    (
        12,
        m.Twstat(2, m.KEEP),  # leave everything as it is
        "3e000000 7e 0c00 02000000 3100 2f00 ffff ffffffff ff ffffffff"
        + ALL8
        + "ffffffff ffffffff ffffffff"
        + ALL8
        + "0000 0000 0000 0000",
    ),
    (12, m.Rwstat(), "07000000 7f 0c00"),
]
IDS = [f"{type(message).__name__}-{i}" for i, (_, message, _) in enumerate(GOLDEN)]
golden = pytest.mark.parametrize(("tag", "message", "text"), GOLDEN, ids=IDS)


@golden
def test_encodes(tag: int, message: Message, text: str) -> None:
    assert message.encode(tag).hex() == text.replace(" ", "")


@golden
def test_decodes(tag: int, message: Message, text: str) -> None:
    assert P9.decode(bytes.fromhex(text)) == (tag, message)


@golden
def test_every_prefix_is_refused(tag: int, message: Message, text: str) -> None:
    data = bytes.fromhex(text)
    for n in range(len(data)):
        with pytest.raises(DecodeError):
            P9.decode(data[:n])
        if n >= 7:  # the same with a size that agrees
            with pytest.raises(DecodeError):
                P9.decode(struct.pack("<I", n) + data[4:n])


@golden
def test_trailing_bytes_are_refused(tag: int, message: Message, text: str) -> None:
    data = bytes.fromhex(text) + b"\0"
    with pytest.raises(DecodeError):
        P9.decode(data)
    with pytest.raises(DecodeError, match="left over"):
        P9.decode(struct.pack("<I", len(data)) + data[4:])


@golden
def test_bytes_beside_the_message_are_not_looked_at(tag: int, message: Message, text: str) -> None:
    data = b"\xff" * 3 + bytes.fromhex(text) + b"\xff" * 9
    view = memoryview(data)
    assert P9.parse(type(message).number, view, 10, len(data) - 9) == message


def test_the_table_is_all_of_9p2000() -> None:
    assert {type(message) for _, message, _ in GOLDEN} == set(P9.types.values())
    assert sorted(P9.types) == [*range(100, 106), *range(107, 128)], "106 is illegal (intro(5))"


@pytest.mark.parametrize("number", [0, 99, 106, 128, 255])
def test_an_unknown_number_is_refused(number: int) -> None:
    with pytest.raises(DecodeError, match=f"no message {number}"):
        P9.decode(struct.pack("<IBH", 7, number, 0))


@pytest.mark.parametrize(
    "name", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"a\0b", b"\0"], ids=bytes.hex
)
def test_a_string_has_to_be_utf8_without_nul(name: bytes) -> None:
    body = struct.pack("<IIHH", 1, 2, 1, len(name)) + name
    with pytest.raises(DecodeError, match=r"NUL|UTF-8"):
        P9.decode(struct.pack("<IBH", 7 + len(body), 110, 0) + body)
    body = struct.pack("<H", len(name)) + name
    with pytest.raises(DecodeError, match=r"NUL|UTF-8"):
        P9.decode(struct.pack("<IBH", 7 + len(body), 107, 0) + body)


@pytest.mark.parametrize(
    "message",
    [
        m.Tclunk(1 << 32),
        m.Tclunk(-1),
        m.Topen(1, 256),
        m.Tread(1, 1 << 64, 0),
        m.Rerror("x" * 0x10000),
        m.Rerror("a\0b"),
        m.Rerror("\udcff"),
        m.Rstat(STAT.but(name="x" * 0xFFFF)),
        m.Twalk(1, 2, ("a",) * 0x10000),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_does_not_fit_is_not_sent(message: Message) -> None:
    with pytest.raises(ProtocolError):
        message.encode(1)


@pytest.mark.parametrize("tag", [-1, 0x10000])
def test_a_tag_that_does_not_fit_is_not_sent(tag: int) -> None:
    with pytest.raises(ProtocolError):
        m.Tclunk(1).encode(tag)


@pytest.mark.parametrize("outer", [-1, 1], ids=["short", "long"])
def test_the_two_sizes_of_a_stat_have_to_agree(outer: int) -> None:
    inner = STAT.put()
    body = struct.pack("<H", len(inner) + outer) + inner + b"\0" * max(0, outer)
    with pytest.raises(DecodeError):
        P9.decode(struct.pack("<IBH", 7 + len(body), 125, 0) + body)


def test_messages_are_values() -> None:
    clunk, remove = cast("list[Message]", [m.Tclunk(1), m.Tremove(1)])
    assert clunk == m.Tclunk(1)
    assert clunk != remove, "the same fields, another message"
    assert len({m.Tclunk(1), m.Tclunk(1), m.Tremove(1)}) == 2
    assert repr(m.Tread(1, 2, 3)) == "Tread(fid=1, offset=2, count=3)"
    assert m.Tclunk.__doc__ == "size[4] Tclunk tag[2] fid[4]"


def test_data_is_a_view_not_a_copy() -> None:
    data = bytearray(m.Rread(b"abcd").encode(0))
    _, message = P9.decode(data)
    assert isinstance(message, m.Rread)
    data[-1] = ord("x")
    assert bytes(message.data) == b"abcx"


# Round trips

numbers = {bits: st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64)}
u8, u16, u32, u64 = numbers.values()
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
qids = st.builds(Qid, u8, u32, u64)
stats = st.builds(Stat, u16, u32, qids, u32, u32, u32, u64, names, names, names, names)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(m.Tversion, u32, names),
    st.builds(m.Tauth, u32, names, names),
    st.builds(m.Rauth, qids),
    st.builds(m.Tattach, u32, u32, names, names),
    st.builds(m.Rerror, names),
    st.builds(m.Tflush, u16),
    st.builds(m.Rflush),
    st.builds(m.Twalk, u32, u32, st.lists(names, max_size=20).map(tuple)),
    st.builds(m.Rwalk, st.lists(qids, max_size=20).map(tuple)),
    st.builds(m.Topen, u32, u8),
    st.builds(m.Ropen, qids, u32),
    st.builds(m.Tcreate, u32, names, u32, u8),
    st.builds(m.Tread, u32, u64, u32),
    st.builds(m.Rread, st.binary(max_size=100)),
    st.builds(m.Twrite, u32, u64, st.binary(max_size=100)),
    st.builds(m.Rwrite, u32),
    st.builds(m.Rstat, stats),
    st.builds(m.Twstat, u32, stats),
)


@given(u16, messages)
def test_what_is_sent_comes_back(tag: int, message: Message) -> None:
    data = message.encode(tag)
    assert int.from_bytes(data[:4], "little") == len(data)
    assert P9.decode(data) == (tag, message)


@given(st.binary(max_size=80), st.integers(99, 128), u16)
def test_noise_is_a_message_or_a_decode_error(body: bytes, number: int, tag: int) -> None:
    data = struct.pack("<IBH", len(body) + 7, number, tag) + body
    try:
        got, message = P9.decode(data)
    except DecodeError:
        return
    assert message.encode(got) == data


@given(messages, st.data())
def test_a_changed_byte_is_a_message_or_a_decode_error(
    message: Message, data: st.DataObject
) -> None:
    good = bytearray(message.encode(1))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))
    try:
        tag, other = P9.decode(good)
    except DecodeError:
        return
    assert other.encode(tag) == good


@given(st.lists(stats, max_size=5))
def test_a_directory_is_its_stats_one_after_the_other(entries: list[Stat]) -> None:
    data = memoryview(b"".join(entry.put() for entry in entries))
    at, got = 0, list[Stat]()
    while at < len(data):
        stat, at = Stat.get(data, at, len(data))
        got.append(stat)
    assert got == entries
