"""Bad 9P, on real sockets: each culprit is told, and a client beside it notices nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from lux9.ninep.client import Client
from lux9.wire import messages as m
from lux9.wire.codec import NOFID, NOTAG
from tests.system.peer import MSIZE, ROOT, Peer
from tests.system.running import LIMIT, Running, until

FIRST = "#/ root\n"


@pytest.fixture
def peer(running: Running) -> Iterator[Peer]:
    """The culprit; a client that behaves is served before, beside and after."""
    with running.client() as good, good.open("/dev/sdE0/data") as f:
        sector = f.pread(0, 512)
        with Peer(running.socket) as made:
            yield made
            assert f.pread(0, 512) == sector
            assert good.read("/dev/drivers").decode().startswith(FIRST)
        assert f.pread(0, 512) == sector
    running.alive()


# -- bytes that are no messages


@pytest.mark.parametrize(
    ("size", "why"),
    [(0, "0 bytes"), (6, "6 bytes"), (MSIZE + 1, f"{MSIZE + 1} bytes; msize is {MSIZE}")],
)
def test_a_size_that_cannot_be(peer: Peer, size: int, why: str) -> None:
    peer.version()
    peer.raw(struct.pack("<IBH", size, 120, 1))
    assert f"protocol error: a message of {why}" in peer.hung_up()


def test_a_first_message_that_is_huge(peer: Peer) -> None:
    peer.raw(b"\xff" * 64)
    assert "a message of 4294967295 bytes" in peer.hung_up()


def test_something_else_than_9p(peer: Peer) -> None:
    peer.raw(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert "protocol error" in peer.hung_up()


def test_a_message_cut_short_within(peer: Peer) -> None:
    """The frame is whole, what is in it is not: an error, and the connection goes on."""
    peer.start()
    whole = m.Twalk(ROOT, 5, ("dev", "pci")).encode(1)
    for cut in range(7, len(whole)):
        peer.raw(cut.to_bytes(4, "little") + whole[4:cut])
        tag, answer = peer.answer()
        assert tag == 1
        assert isinstance(answer, m.Rerror), cut
        assert answer.ename.startswith("protocol error"), answer
    peer.walk(5, "dev/pci")


def test_bytes_behind_a_message(peer: Peer) -> None:
    peer.start()
    whole = m.Tclunk(ROOT).encode(1) + b"!"
    peer.raw(len(whole).to_bytes(4, "little") + whole[4:])
    _, answer = peer.answer()
    assert isinstance(answer, m.Rerror)
    assert answer.ename.startswith("protocol error")


def test_a_client_that_goes_in_the_middle_of_a_message(peer: Peer, running: Running) -> None:
    peer.start().walk(1, "dev")
    peer.raw(m.Twalk(ROOT, 2, ("dev", "pci")).encode(2)[:11])
    before = len(running.read("/proc/self/fd"))
    peer.sock.close()
    assert len(running.read("/proc/self/fd")) == before


@pytest.mark.parametrize("kind", [0, 99, 101, 106, 107, 117, 128, 255])
def test_a_message_that_is_no_request(peer: Peer, kind: int) -> None:
    peer.start()
    peer.raw(struct.pack("<IBH", 7, kind, 3))
    tag, answer = peer.answer()
    assert tag == 3
    assert isinstance(answer, m.Rerror)
    peer.walk(1, "dev")


def test_text_that_is_not_utf8(peer: Peer) -> None:
    peer.start()
    message = bytearray(m.Twalk(ROOT, 1, ("xx",)).encode(1))
    message[-2:] = b"\xff\xfe"
    peer.raw(bytes(message))
    _, answer = peer.answer()
    assert isinstance(answer, m.Rerror)
    assert "UTF-8" in answer.ename


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=0, max_size=200), st.booleans())
def test_noise(running: Running, data: bytes, framed: bool) -> None:
    """Whatever is sent, the others are served."""
    with Peer(running.socket) as peer:
        peer.start()
        try:
            peer.raw((len(data) + 4).to_bytes(4, "little") + data if framed else data)
        except (BrokenPipeError, ConnectionResetError):
            pass
    running.alive()


# -- messages out of order


def test_nothing_comes_before_the_version(peer: Peer) -> None:
    assert "before Tversion" in peer.refused(m.Tattach(ROOT, NOFID, "me", ""))
    peer.start()


def test_a_dialect_that_is_unknown(peer: Peer) -> None:
    assert peer.ask(m.Tversion(MSIZE, "9P1999"), NOTAG) == m.Rversion(MSIZE, "unknown")
    assert "before Tversion" in peer.refused(m.Tattach(ROOT, NOFID, "me", ""))


def test_an_msize_that_is_too_small(peer: Peer) -> None:
    assert "msize 16: at least" in peer.refused(m.Tversion(16, "9P2000"), NOTAG)
    peer.start()


def test_an_msize_that_is_huge_is_cut(peer: Peer) -> None:
    answer = peer.ask(m.Tversion(0xFFFFFFFF, "9P2000"), NOTAG)
    assert isinstance(answer, m.Rversion)
    assert 1 << 20 <= answer.msize <= (1 << 20) + 24


def test_no_authentication(peer: Peer) -> None:
    peer.version()
    assert "no authentication" in peer.refused(m.Tauth(1, "me", ""))
    assert "attach with afid NOFID" in peer.refused(m.Tattach(ROOT, 1, "me", ""))


def test_a_version_in_the_middle_begins_anew(peer: Peer) -> None:
    peer.start().open(1, "dev/drivers")
    peer.version()
    assert "fid 1 is unknown" in peer.refused(m.Tread(1, 0, 10))
    peer.start()


def test_fids_that_are_unknown_taken_or_not_open(peer: Peer) -> None:
    peer.start().walk(1, "dev/drivers")
    for request in (m.Tread(9, 0, 1), m.Twrite(9, 0, b"x"), m.Tclunk(9), m.Tstat(9), m.Tremove(9)):
        assert "fid 9 is unknown" in peer.refused(request)
    assert "fid 9 is unknown" in peer.refused(m.Twalk(9, 10, ()))
    assert "fid 1 is in use" in peer.refused(m.Twalk(ROOT, 1, ("dev",)))
    assert "fid 1 is in use" in peer.refused(m.Tattach(1, NOFID, "me", ""))
    assert "not open" in peer.refused(m.Tread(1, 0, 1))
    assert isinstance(peer.ask(m.Topen(1, m.OREAD)), m.Ropen)
    assert "not open for writing" in peer.refused(m.Twrite(1, 0, b"x"))
    assert "open already" in peer.refused(m.Topen(1, m.OREAD))
    assert "open already" in peer.refused(m.Twalk(1, 2, ()))
    assert "NOFID" in peer.refused(m.Twalk(ROOT, NOFID, ()))


# -- walks


def test_nothing_is_above_the_root(peer: Peer) -> None:
    peer.start()
    top = peer.ask(m.Twalk(ROOT, 1, ("..",) * 16))
    assert isinstance(top, m.Rwalk)
    assert len(set(top.qids)) == 1
    answer = peer.ask(m.Twalk(ROOT, 2, ("..", "..", "dev", "..", "..", "dev", "drivers")))
    assert isinstance(answer, m.Rwalk)
    peer.ask(m.Topen(2, m.OREAD))
    assert peer.read(2).startswith(FIRST.encode())


@pytest.mark.parametrize("device", ["#P", "#c", "#p"])
def test_nothing_is_above_a_device_that_was_attached(peer: Peer, device: str) -> None:
    peer.start(aname=device)
    answer = peer.ask(m.Twalk(ROOT, 1, ("..", "..")))
    assert isinstance(answer, m.Rwalk)
    peer.ask(m.Topen(1, m.OREAD))
    peer.version().start()


@pytest.mark.parametrize("name", ["a/b", "/", "", "a\0b"])
def test_names_that_are_none(peer: Peer, name: str) -> None:
    peer.start()
    stand_in = m.Twalk(ROOT, 1, ("x" * len(name),)).encode(1)
    peer.raw(stand_in[: len(stand_in) - len(name)] + name.encode())
    _, answer = peer.answer()
    assert isinstance(answer, m.Rerror), answer
    peer.walk(1, "dev")


def test_a_walk_that_is_too_long(peer: Peer) -> None:
    peer.start()
    body = struct.pack("<BHIIH", 110, 1, ROOT, 1, 17) + struct.pack("<H3s", 3, b"dev") * 17
    peer.raw(struct.pack("<I", len(body) + 4) + body)
    _, answer = peer.answer()
    assert isinstance(answer, m.Rerror)
    assert "17" in answer.ename


def test_a_walk_that_finds_some(peer: Peer) -> None:
    peer.start()
    answer = peer.ask(m.Twalk(ROOT, 1, ("dev", "nothing", "x")))
    assert isinstance(answer, m.Rwalk)
    assert len(answer.qids) == 1
    assert "fid 1 is unknown" in peer.refused(m.Tstat(1))
    assert "file does not exist" in peer.refused(m.Twalk(ROOT, 1, ("nothing",)))


# -- too much


def test_a_full_tag_table(peer: Peer) -> None:
    """Reads of a log's end wait; one too many is refused, and the others are still there."""
    peer.start().open(1, "dev/kmesg")
    while peer.read(1, 0, 65000):
        pass
    for tag in range(1024):
        peer.send(m.Tread(1, 0, 1), tag + 100)
    assert "1024 requests wait" in peer.refused(m.Tread(1, 0, 1), 5000)
    assert "tag 100 is in use" in peer.refused(m.Tread(1, 0, 1), 100)
    assert peer.ask(m.Tflush(100), 5001) == m.Rflush()
    peer.send(m.Tread(1, 0, 1), 100)
    assert isinstance(peer.ask(m.Tstat(ROOT), 5002), m.Rstat)
    peer.send(m.Tclunk(1), 5003)
    answers = dict(peer.answer() for _ in range(1025))
    assert answers[5003] == m.Rclunk()
    assert all(isinstance(answers[tag + 100], m.Rerror) for tag in range(1024))


def test_too_many_fids(peer: Peer, running: Running) -> None:
    peer.start()
    for fid in range(1, 4096):
        peer.send(m.Twalk(ROOT, fid, ()), fid)
    for _ in range(1, 4096):
        assert isinstance(peer.answer()[1], m.Rwalk)
    assert "limit reached: 4096 fids are in use" in peer.refused(m.Twalk(ROOT, 5000, ()))
    assert any("4096 fids" in e["error"] for e in running.audit("Twalk"))


def test_a_client_that_never_reads(running: Running) -> None:
    """It is served until its answers fill what may wait; then it waits, and nobody else does."""
    with Peer(running.socket) as lazy, running.client() as good:
        lazy.start((1 << 20) + 24).open(1, "dev/zero")
        lazy.sock.settimeout(0.2)
        request = m.Tread(1, 0, 1 << 20).encode(1)
        sent = 0
        try:
            while sent < 1 << 20:
                sent += lazy.sock.send(request * 100)
        except TimeoutError:
            pass
        assert sent < 1 << 20, "it takes requests without end"
        assert memory(running.process.pid) < 400 << 20
        with good.open("/dev/sdE0/data") as f:
            assert len(f.pread(0, 1 << 20)) == 1 << 20
        lazy.sock.settimeout(LIMIT)
        for _ in range(50):  # and it gets them in order, when it reads after all
            assert isinstance(lazy.answer()[1], m.Rread)
    running.alive()


def memory(pid: int) -> int:
    """Bytes that a process has in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


def test_connections_that_come_and_go_leave_nothing(running: Running) -> None:
    def held() -> int:
        return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))

    with running.client() as client:
        before, processes = held(), len(client.ls("/proc"))
        peers = [Peer(running.socket).start() for _ in range(100)]
        assert len(client.ls("/proc")) == processes + 100
        for peer in peers:
            peer.open(1, "dev/sdE0/data").send(m.Tread(1, 0, 65000))
            peer.sock.close()
        until(lambda: held() == before and len(client.ls("/proc")) == processes, "the end of them")


def test_refusals_are_in_the_audit(running: Running) -> None:
    with Peer(running.socket) as peer:
        peer.raw(b"\xff" * 64)
        peer.hung_up()
    last = running.audit("message")[-1]
    assert "a message of 4294967295 bytes" in last["error"]
    assert last["user"] == running.read("/dev/user")


def test_a_good_client_beside_many_bad_ones(running: Running, disk: Path) -> None:
    data = disk.read_bytes()[: 4 << 20]
    bad = [Peer(running.socket) for _ in range(20)]
    with running.client() as client, client.open("/dev/sdE0/data") as f:
        for i, peer in enumerate(bad):
            peer.raw(bytes([i * 13 % 256]) * 40)
            assert f.pread(0, len(data)) == data
            peer.sock.close()


def test_clients_by_name_of_the_device(running: Running) -> None:
    with Client.dial(running.address, "#P") as client:
        assert b"0000:00:1f.2" in client.read("/bus")
