"""The synchronous client, against a server in another thread."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lux9.errors import Disconnected, LimitReached, ProtocolError, RemoteError, UserError
from lux9.ninep.client import Client
from lux9.ninep.session import Bounds
from lux9.pending import Pending
from lux9.wire import messages as m
from lux9.wire.codec import NOTAG
from lux9.wire.messages import ORDWR, OWRITE
from lux9.wire.node import Bytes
from tests.ninep.rig import LONG
from tests.ninep.serving import LIMIT, Served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client.over(served.socket()) as client:
        yield client


class TestFiles:
    def test_read_list_and_stat(self, client: Client) -> None:
        assert client.read("/ctl") == b"facts\n"
        assert client.read("n003/down/down/here") == b"5\n"
        assert len(client.ls("/")) == 7 + 100
        assert client.stat("/ctl").mode == 0o664
        assert client.stat("/").qid.is_dir

    def test_write(self, client: Client, served: Served) -> None:
        assert client.write("/mem", b"abc") == 3
        assert client.read("/mem")[:5] == b"abc\x03\x04"
        with client.open("/ask", ORDWR) as f:
            f.write(b"ping")
            assert f.read(100) == b"gnip"

    def test_create_and_remove(self, client: Client, served: Served) -> None:
        with client.create("/new", 0o600, ORDWR) as f:
            assert f.pwrite(0, b"x" * 16) == 16
        assert client.read("/new") == b"x" * 16
        client.remove("/new")
        assert served.top.removed == ["new"]
        with pytest.raises(RemoteError, match="file does not exist"):
            client.stat("/new")

    def test_wstat(self, client: Client) -> None:
        client.wstat("/ctl", m.KEEP)
        with pytest.raises(RemoteError, match="permission denied"):
            client.wstat("/ctl", m.KEEP.but(name="x"))

    def test_a_deep_path(self, client: Client) -> None:
        assert client.read("/n000" + "/down" * 40 + "/here") == b"40\n"

    def test_errors(self, client: Client) -> None:
        for fails in (
            lambda: client.open("/nope"),
            lambda: client.open("/n001/nope/more"),
            lambda: client.ls("/nope"),
            lambda: client.remove("/nope"),
        ):
            with pytest.raises(RemoteError, match="file does not exist") as caught:
                fails()
            assert caught.value.number == 2
            assert re.search("nope$", str(caught.value)), "the server does not say it"
        with pytest.raises(RemoteError, match="permission denied"):
            client.open("/event", OWRITE)
        with pytest.raises(RemoteError, match="not open for writing"), client.open("/mem") as f:
            f.write(b"x")

    def test_no_fid_is_left_behind(self, client: Client, served: Served) -> None:
        for _ in range(30):
            client.read("/ctl")
            client.stat("/n001/here")
            client.ls("/n001")
            for path in ("/nope", "/n001/nope", "/event"):
                with pytest.raises(RemoteError):
                    client.open(path, OWRITE)
        client.stat("/")
        assert client.caller.top_fid < 8
        held = served.do(lambda: set(served.connections[0].session.fids))
        assert held - set(client.caller.fids) == {client.root}


class TestLong:
    def test_a_read_in_pieces(self, served: Served) -> None:
        served.bounds = Bounds(msize=8192)
        with Client.over(served.socket()) as client, client.open("/long") as f:
            want = bytes(served.top.long_.data)
            assert f.iounit == 8168
            assert f.read() == want
            assert f.pread(1, LONG - 2) == want[1:-1]
            assert f.pread(LONG - 5, 1 << 20) == want[-5:]
            assert b"".join(f.chunks(7, 50_000)) == want[7:50_007]
            assert f.pread(LONG, 100_000) == b""

    def test_a_short_file_costs_two_reads(self, client: Client, served: Served) -> None:
        with client.open("/mem") as f:
            served.top.memory.calls.clear()
            f.read()
        assert len(served.top.memory.calls) == 2

    def test_left_in_the_middle(self, served: Served) -> None:
        served.bounds = Bounds(msize=8192)
        with Client.over(served.socket()) as client, client.open("/long") as f:
            for i, _ in enumerate(f.chunks()):
                if i == 9:
                    break
            assert client.read("/ctl") == b"facts\n"
            assert not client.caller.held

    def test_a_write_in_pieces(self, served: Served) -> None:
        served.bounds = Bounds(msize=8192)
        data = bytes(i % 249 for i in range(100_000))
        with Client.over(served.socket()) as client, client.open("/long", ORDWR) as f:
            assert f.write(data) == len(data)
            assert f.offset == len(data)
            assert f.pread(0, len(data)) == data

    def test_sequential(self, client: Client) -> None:
        with client.open("/mem") as f:
            assert f.read(3) + f.read(2) == bytes(range(5))
            assert f.read() == bytes(range(5, 256))
            assert f.read() == f.read(1) == b""


class TestEvents:
    def test_until_two_empty_answers_in_a_row(self, client: Client, served: Served) -> None:
        with client.open("/event") as f, ThreadPoolExecutor(1) as pool:
            got = pool.submit(lambda: list(f.events()))
            for i, text in enumerate(["one", "", "two", "", ""]):
                served.until(lambda i=i: len(served.top.waiting) == i + 1)  # type: ignore[misc]
                served.event(text, i)
            assert got.result(LIMIT) == [b"one", b"two"]


class TestPosted:
    def test_go_before_the_next_read(self, client: Client, served: Served) -> None:
        with client.open("/mem", ORDWR) as f:
            served.top.memory.calls.clear()
            for i in range(3):
                f.post(i, b"\xff")
            assert served.top.memory.calls == []
            assert f.pread(0, 4) == b"\xff\xff\xff\x03"
            assert served.top.memory.calls == ["w0+1", "w1+1", "w2+1", "r0+4"]

    @pytest.mark.parametrize("how", ["pread", "pwrite", "flush_posted", "read"])
    def test_an_error_is_raised_at_the_next_wait_once(self, client: Client, how: str) -> None:
        acts: dict[str, Callable[[], object]]
        with client.open("/mem", ORDWR) as f:
            f.post(0x300, b"x")
            acts = {
                "pread": lambda: f.pread(0, 1),
                "pwrite": lambda: f.pwrite(0, b"x"),
                "flush_posted": client.flush_posted,
                "read": lambda: f.read(9),
            }
            with pytest.raises(RemoteError) as caught:
                acts[how]()
            assert str(caught.value) == (
                "permission denied: 0x300 is outside (posted write to /mem+0x300)"
            )
            f.pread(0, 1)
            client.flush_posted()

    def test_very_many_block_nobody(self, client: Client, served: Served) -> None:
        """Their answers are taken in while they are being sent; else both sides would wait for each other."""
        with client.open("/mem", ORDWR) as f:
            for i in range(200_000):
                f.post(i % 256, b"\x01\x02"[:1])
            client.flush_posted()
            assert f.pread(0, 256) == b"\x01" * 256
        assert client.caller.posted == 0


class TestSubmit:
    def test_is_told_when_somebody_waits(self, client: Client, served: Served) -> None:
        said: list[bytes] = []
        with client.open("/event") as f:
            f.submit(0, 100).then(lambda p: said.append(bytes(p.result())))
            client.read("/ctl")
            assert said == []
            served.event("irq\n")
            client.read("/ctl")
            assert said == [b"irq\n"]

    def test_given_up_it_is_flushed(self, client: Client, served: Served) -> None:
        with client.open("/event") as f:
            pending = f.submit(0, 100)
            client.read("/ctl")
            pending.cancel()
            client.read("/ctl")
            assert served.top.given_up == 1
            assert not client.caller.held

    def test_closing_the_file_ends_the_wait(self, client: Client, served: Served) -> None:
        f = client.open("/event")
        pending = f.submit(0, 100)
        client.read("/ctl")
        f.close()
        f.close()
        with pytest.raises(RemoteError, match="interrupted"):
            client.wait(pending)
        assert served.top.given_up == 1

    def test_a_full_server_says_so(self, served: Served) -> None:
        served.bounds = Bounds(pending=2)
        with Client.over(served.socket()) as client, client.open("/event") as f:
            for _ in range(2):
                f.submit(0, 10)
            with pytest.raises(RemoteError, match="limit reached: 2 requests wait") as caught:
                f.pread(0, 10)
            assert caught.value.number == LimitReached.errno


class TestOnALoop:
    """A driver: synchronous register access, and answers from the loop."""

    def test_answers_come_from_the_loop_and_never_within_a_wait(self, served: Served) -> None:
        async def main() -> list[str]:
            client = Client.over(served.socket())
            client.attach_loop(asyncio.get_running_loop())
            said: list[str] = []
            both = asyncio.Event()
            with client.open("/event") as waits, client.open("/mem", ORDWR) as registers:

                def handler(p: Pending[Bytes]) -> None:
                    said.append(f"begin {bytes(p.result()).decode()}")
                    registers.post(0, b"\xaa")
                    assert registers.pread(0, 1) == b"\xaa", "waiting in a callback is allowed"
                    said.append("end")
                    if len(said) == 4:
                        both.set()

                for _ in range(2):
                    waits.submit(0, 100).then(handler)
                client.read("/ctl")
                served.event("1", 0)
                served.event("2", 1)
                client.read("/ctl")  # brings the answers in, too
                said.append("waited")
                said.clear()
                await asyncio.wait_for(both.wait(), LIMIT)
            client.close()
            return said

        assert asyncio.run(main()) == ["begin 1", "end", "begin 2", "end"]

    def test_an_answer_wakes_the_loop(self, served: Served) -> None:
        async def main() -> bytes:
            client = Client.over(served.socket())
            client.attach_loop(asyncio.get_running_loop())
            f = client.open("/event")
            pending = f.submit(0, 100)
            client.read("/ctl")
            asyncio.get_running_loop().run_in_executor(None, served.event, "now")
            data = bytes(await asyncio.wait_for(_await(pending), LIMIT))
            client.close()
            return data

        assert asyncio.run(main()) == b"now"

    def test_the_end_of_the_server_is_told(self, served: Served) -> None:
        async def main() -> None:
            client = Client.over(served.socket())
            client.attach_loop(asyncio.get_running_loop())
            pending = client.open("/event").submit(0, 100)
            client.read("/ctl")
            asyncio.get_running_loop().run_in_executor(None, served.do, served.connections[0].close)
            with pytest.raises(Disconnected):
                await asyncio.wait_for(_await(pending), LIMIT)
            client.close()

        asyncio.run(main())


async def _await(pending: Pending[Bytes]) -> Bytes:
    return await pending


class TestConnection:
    def test_lost(self, client: Client, served: Served) -> None:
        f = client.open("/mem", ORDWR)
        pending = f.submit(0, 1)
        served.do(served.connections[0].close)
        assert served.lost.acquire(timeout=LIMIT)
        f.post(0, b"x")
        with pytest.raises(Disconnected):
            client.flush_posted()
        for fails in (
            lambda: f.pread(0, 1),
            lambda: f.post(0, b"x"),
            lambda: client.read("/ctl"),
            lambda: client.wait(pending),
        ):
            with pytest.raises(Disconnected):
                fails()
        f.close()

    def test_closed_here(self, served: Served) -> None:
        client = Client.over(served.socket())
        pending = client.open("/event").submit(0, 1)
        client.close()
        with pytest.raises(Disconnected, match="closed here"):
            pending.result()
        assert served.lost.acquire(timeout=LIMIT)

    @pytest.mark.parametrize(
        ("says", "error"),
        [
            (m.Rversion(8192, "unknown").encode(NOTAG), ProtocolError),
            (m.Rerror("no").encode(NOTAG), RemoteError),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError),
            (m.Rversion(8192, "9P2000").encode(3), ProtocolError),
            (b"", Disconnected),
        ],
    )
    def test_a_server_that_is_none(self, says: bytes, error: type[Exception]) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(LIMIT)

        def serve() -> None:
            theirs.recv(4096)
            theirs.sendall(says)
            theirs.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(error):
            Client.over(ours)
        thread.join(LIMIT)
        theirs.close()
        assert ours.fileno() == -1, "it was closed"

    @pytest.mark.parametrize(
        ("addr", "says"),
        [
            ("tcp!host", "is not an address"),
            ("unix!", "is not an address"),
            ("fd!x", "is not an address"),
            ("unix!/nope", "start one with `lux9 boot`"),
            ("unix!" + "x" * 200, "too long"),
        ],
    )
    def test_addresses_that_are_none(self, addr: str, says: str) -> None:
        with pytest.raises(UserError, match=says):
            Client.dial(addr)

    def test_a_file_that_is_no_socket(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("x")
        with pytest.raises(UserError, match="is it still running"):
            Client.dial(f"unix!{tmp_path / 'f'}")

    def test_by_a_file_descriptor(self, served: Served) -> None:
        sock = served.socket()
        with Client.dial(f"fd!{sock.detach()}") as client:
            assert client.read("/ctl") == b"facts\n"
