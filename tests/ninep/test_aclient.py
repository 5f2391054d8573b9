"""The asynchronous client, on each kind of loop; the server is another thread's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from lux9.errors import Disconnected, RemoteError
from lux9.ninep.aclient import AsyncClient
from lux9.ninep.session import Bounds
from lux9.wire.messages import ORDWR
from tests.ninep.rig import LONG
from tests.ninep.serving import LIMIT, LOOPS, Served, new_loop

T = TypeVar("T")


@pytest.fixture(params=LOOPS)
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return str(request.param)


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as served:
        yield served


def run(kind: str, coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=lambda: new_loop(kind)) as runner:
        return runner.run(asyncio.wait_for(coroutine, LIMIT))


def test_files(served: Served, kind: str) -> None:
    async def main() -> None:
        async with await AsyncClient.over(served.socket()) as c:
            assert await c.read("/ctl") == b"facts\n"
            assert len(await c.ls("/")) == 107
            assert (await c.stat("/mem")).mode == 0o660
            assert await c.write("/mem", b"abc") == 3
            async with await c.create("/new", 0o600, ORDWR) as f:
                await f.pwrite(0, b"x" * 16)
            assert await c.read("/new") == b"x" * 16
            await c.remove("/new")
            with pytest.raises(RemoteError, match="file does not exist"):
                await c.open("/new")
            assert c.caller.top_fid < 8
        with pytest.raises(Disconnected):
            await c.read("/ctl")

    run(kind, main())


def test_one_that_is_given_up_before_it_is_attached_hangs_up(kind: str) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        connecting = asyncio.ensure_future(AsyncClient.over(ours))
        with theirs:
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(theirs, 4096)  # its Tversion, which nobody answers
            connecting.cancel()
            assert await loop.sock_recv(theirs, 4096) == b""

    run(kind, main())


def test_many_at_once(served: Served, kind: str) -> None:
    async def main() -> None:
        async with await AsyncClient.over(served.socket()) as c:
            f = await c.open("/mem")
            before = served.batches
            got = await asyncio.gather(*(f.pread(i % 256, 1) for i in range(1000)))
            assert got == [bytes([i % 256]) for i in range(1000)]
            assert served.batches - before < 100, "requests of one turn go out together"
            await asyncio.gather(*(c.read("/ctl") for _ in range(50)))

    run(kind, main())


def test_long_reads_and_writes(served: Served, kind: str) -> None:
    served.bounds = Bounds(msize=8192)

    async def main() -> None:
        want = bytes(served.top.long_.data)
        async with await AsyncClient.over(served.socket()) as c, await c.open("/long", ORDWR) as f:
            assert await f.read() == want
            assert await f.pread(3, 100_000) == want[3:100_003]
            assert b"".join([d async for d in f.chunks(LONG - 9)]) == want[-9:]
            assert await f.pwrite(5, b"y" * 20_000) == 20_000
            assert await f.pread(0, 20_010) == want[:5] + b"y" * 20_000 + want[20_005:20_010]

    run(kind, main())


def test_events(served: Served, kind: str) -> None:
    async def main() -> list[str]:
        got: list[str] = []
        async with await AsyncClient.over(served.socket()) as c, await c.open("/event") as f:

            async def listen() -> None:
                events = f.events()
                got.extend([await anext(events) for _ in range(3)])

            task = asyncio.ensure_future(listen())
            for i in range(3):
                while len(served.top.waiting) <= i:
                    await c.read("/ctl")
                served.event(f"event {i}\n")
            await task
        return got

    assert run(kind, main()) == ["event 0\n", "event 1\n", "event 2\n"]


def test_a_cancelled_coroutine_flushes(served: Served, kind: str) -> None:
    async def main() -> None:
        async with await AsyncClient.over(served.socket()) as c, await c.open("/event") as f:
            task = asyncio.ensure_future(f.pread(0, 100))
            await c.read("/ctl")
            assert len(served.top.waiting) == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await c.read("/ctl")
            assert served.top.given_up == 1
            assert not c.caller.held

    run(kind, main())


def test_connection_lost(served: Served, kind: str) -> None:
    async def main() -> None:
        async with await AsyncClient.over(served.socket()) as c, await c.open("/event") as f:
            task = asyncio.ensure_future(f.pread(0, 100))
            await c.read("/ctl")
            served.do(served.connections[0].close)
            with pytest.raises(Disconnected):
                await task
            with pytest.raises(Disconnected):
                await c.read("/ctl")

    run(kind, main())


def test_an_attach_that_is_refused(served: Served, kind: str) -> None:
    async def main() -> None:
        with pytest.raises(RemoteError, match="file does not exist: #Z"):
            await AsyncClient.over(served.socket(), "#Z")

    run(kind, main())
