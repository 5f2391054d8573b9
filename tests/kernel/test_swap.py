"""A service that goes and comes back: who waits, who is asked again, and who is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lux9.errors import Lux9Error, ServiceDown
from lux9.kernel.process import Process
from lux9.kernel.services import Services
from lux9.ninep.server import Connection, serve_socket
from lux9.pending import Maybe, Pending, after, waits
from lux9.tree import Dir, File, Tree, entries
from lux9.wire.messages import ORDWR
from lux9.wire.node import Bytes, Handle, Node

LIMIT = 10.0
OWNER = Process(7, "disk", "nobody")


class Held:
    """A file that answers when the test says so."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        self.disk.asked.append((offset, count))
        if self.disk.silent:
            return Pending()
        return f"{self.disk.name}:{offset}".encode()

    def write(self, offset: int, data: memoryview) -> Maybe[int]:
        self.disk.written.append((offset, bytes(data)))
        return Pending() if self.disk.silent else len(data)

    def close(self) -> None:
        """Nothing is held."""


class Disk(Dir):
    """A driver's files."""

    def __init__(self, name: str, silent: bool = False) -> None:
        self.name, self.silent = name, silent
        self.asked: list[tuple[int, int]] = []
        self.written: list[tuple[int, bytes]] = []

    @entries
    def files(self) -> dict[str, File]:
        """One file."""
        return {"data": File(0o600, lambda mode: Held(self), lambda: 512)}


class Server:
    """A driver's process, as far as its service goes."""

    def __init__(self, disk: Disk) -> None:
        self.root, self.disk = Tree("disk").root(disk), disk

    def attach(self, uname: str, aname: str) -> Node:
        return self.root

    def refused(self, error: Exception, what: str, path: str) -> None:
        """Nobody minds."""


async def post(services: Services, disk: Disk, name: str = "disk", **how: Any) -> Connection:
    """Post a service; its end that can be hung up on."""
    ours, theirs = socket.socketpair()
    server = Server(disk)
    made = await serve_socket(theirs, lambda: Connection(lambda _: server))
    await services.post_socket(name, OWNER, ours, **how)
    return made


async def settled(value: Maybe[Any]) -> Any:
    return await value if waits(value) else value


async def opened(services: Services) -> Handle:
    node = await settled(services.find("disk").walk("data"))
    handle: Handle = await settled(node.open(ORDWR))
    return handle


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await work

    asyncio.run(limited())


def text(data: Bytes) -> bytes:
    return bytes(data)


def kept(reading: Maybe[Any]) -> Maybe[bytes]:
    return after(reading, text)


def test_a_read_on_its_way_is_sent_again_to_the_next_one() -> None:
    async def work() -> None:
        services, first, second = Services(), Disk("first", silent=True), Disk("second")
        server = await post(services, first, hold=LIMIT)
        handle = await opened(services)
        reading = handle.read(512, 100)
        assert isinstance(reading, Pending)
        answer = asyncio.ensure_future(settled(reading.map(text)))
        await until(lambda: first.asked)
        server.close()
        await until(lambda: not services.posted["disk"].answers)
        later = asyncio.ensure_future(settled(handle.read(1024, 100)))
        await post(services, second, hold=LIMIT)
        assert await answer == b"second:512"
        assert bytes(await later) == b"second:1024"
        services.close()

    run(work())


def test_reads_that_wait_together_open_their_file_once() -> None:
    """Each may ask for it, as none knows of the others: one way to it is kept, and no fid is left."""

    async def work() -> None:
        services = Services()
        server = await post(services, Disk("first"), hold=LIMIT)
        handle = await opened(services)
        node = await settled(services.find("disk").walk("data"))
        server.close()
        await until(lambda: not services.posted["disk"].answers)
        reads = [handle.read(n, 100) for n in range(8)]
        stats = [node.stat() for _ in range(8)]
        waiting = [asyncio.ensure_future(settled(w)) for w in (*map(kept, reads), *stats)]
        second = await post(services, Disk("second"), hold=LIMIT)
        found = await asyncio.gather(*waiting)
        assert found[:8] == [f"second:{n}".encode() for n in range(8)]
        await until(lambda: len(second.session.fids) <= 3)  # the root, the node, the handle
        del handle, node, reads, stats, waiting, found
        await until(lambda: len(second.session.fids) == 1)
        services.close()

    run(work())


@pytest.mark.parametrize("repeats", [False, True])
def test_a_write_is_sent_again_only_where_that_does_no_harm(repeats: bool) -> None:
    async def work() -> None:
        services, first, second = Services(), Disk("first", silent=True), Disk("second")
        server = await post(services, first, hold=LIMIT, repeats=repeats)
        handle = await opened(services)
        writing = asyncio.ensure_future(settled(handle.write(0, memoryview(b"abc"))))
        await until(lambda: first.written)
        server.close()
        await until(lambda: not services.posted["disk"].answers)
        await post(services, second, hold=LIMIT, repeats=repeats)
        if repeats:
            assert await writing == 3
            assert second.written == [(0, b"abc")]
        else:
            with pytest.raises(Lux9Error):
                await writing
            assert second.written == []
        services.close()

    run(work())


def test_walks_and_stats_wait_for_the_next_one_too() -> None:
    async def work() -> None:
        services = Services()
        server = await post(services, Disk("first"), hold=LIMIT)
        root = services.find("disk")
        node = await settled(root.walk("data"))
        before = (await settled(node.stat())).qid
        server.close()
        await until(lambda: not services.posted["disk"].answers)
        walking = asyncio.ensure_future(settled(root.walk("data")))
        statting = asyncio.ensure_future(settled(node.stat()))
        await post(services, Disk("second"), hold=LIMIT)
        assert (await walking).qid == (await statting).qid == before, "files keep their numbers"
        services.close()

    run(work())


def test_nobody_waits_longer_than_the_hold() -> None:
    async def work() -> None:
        services = Services()
        server = await post(services, Disk("first", silent=True), hold=0.05)
        handle = await opened(services)
        reading = asyncio.ensure_future(settled(handle.read(0, 10)))
        await asyncio.sleep(0)
        server.close()
        with pytest.raises(ServiceDown, match="did not come back within"):
            await reading
        with pytest.raises(ServiceDown):
            await settled(handle.read(0, 10))

    run(work())


def test_without_a_hold_they_are_told_at_once() -> None:
    async def work() -> None:
        services = Services()
        server = await post(services, Disk("first", silent=True))
        handle = await opened(services)
        reading = asyncio.ensure_future(settled(handle.read(0, 10)))
        await asyncio.sleep(0)
        server.close()
        with pytest.raises(Lux9Error):
            await reading
        assert "disk" not in services.posted
        with pytest.raises(ServiceDown):
            await settled(handle.read(0, 10))

    run(work())


def test_whoever_waits_is_told_when_it_is_withdrawn() -> None:
    async def work() -> None:
        services = Services()
        server = await post(services, Disk("first"), hold=LIMIT)
        handle = await opened(services)
        server.close()
        await until(lambda: not services.posted["disk"].answers)
        reading = asyncio.ensure_future(settled(handle.read(0, 10)))
        await asyncio.sleep(0)
        services.withdraw("disk")
        with pytest.raises(ServiceDown):
            await reading

    run(work())
