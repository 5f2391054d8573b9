"""`lux9.connect()`: paths, waiting files, threads, limits and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Never
from unittest.mock import Mock

import pytest

import lux9
from lux9 import RemoteTree
from lux9.wire.messages import DMDIR, QTDIR, Qid, Stat
from tests.ninep.serving import LIMIT, Served


class TestPaths:
    def test_after_pathlib(self, tree: RemoteTree) -> None:
        path = tree / "n003/down" / "here"
        assert (str(path), path.name, path.parent.name) == ("/n003/down/here", "here", "down")
        assert path.read_text() == "4\n"
        assert path == tree.path("/n003/down/here")
        assert path.parent < path
        assert len({path, tree / "n003/down/here"}) == 1
        assert path.match("*/here")
        assert (path / "../x.img").suffix == ".img"
        assert path.parts == ("/", "n003", "down", "here")
        with path.open() as f:
            assert f.read() == "4\n"

    def test_stat(self, tree: RemoteTree) -> None:
        assert stat.S_ISDIR((tree / "").stat().st_mode)
        found = (tree / "ctl").stat()
        assert stat.S_IMODE(found.st_mode) == 0o664
        assert stat.S_ISREG(found.st_mode)
        assert (found.st_uid, (tree / "ctl").owner()) == (-1, tree.stat("/ctl").uid)
        assert (tree / "ctl").is_file()
        assert (tree / "n001").is_dir()
        assert not (tree / "nope").exists()
        assert not (tree / "ctl/below").exists()
        assert not (tree / "nope").is_dir()

    def test_what_is_there(self, tree: RemoteTree) -> None:
        assert tree.listdir("/n001") == ["down", "here"]
        assert [path.name for path in (tree / "n001").iterdir()] == ["down", "here"]
        assert [str(p) for p in tree.glob("/n00[12]/here")] == ["/n001/here", "/n002/here"]
        assert [str(p) for p in tree.glob("n09?/down/h*")] == [
            f"/n09{i}/down/here" for i in range(10)
        ]
        assert [p.name for p in tree.iterdir()] == tree.listdir()
        assert not list(tree.glob("nope/*"))
        top, inner, files = next((tree / "n005").walk())
        assert (str(top), inner, files) == ("/n005", ["down"], ["here"])

    def test_a_link_that_leads_back_is_not_gone_into(
        self, tree: RemoteTree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = Stat(0, 0, Qid(QTDIR, 0, 7), DMDIR | 0o555, 0, 0, 0, "loop", "", "", "")
        for name, told in (("stat", loop), ("scandir", [loop])):
            monkeypatch.setattr(tree, name, Mock(return_value=told))
        assert [(str(top), inner) for top, inner, _ in (tree / "").walk()] == [("/", ["loop"])]

    def test_come_and_go(self, tree: RemoteTree, served: Served) -> None:
        assert (tree / "new").write_bytes(b"abc") == 3
        assert (tree / "new").read_bytes()[:3] == b"abc"
        (tree / "new").unlink()
        assert served.top.removed == ["new"]
        with pytest.raises(ValueError, match="within its directory"):
            (tree / "new").rename("../old")
        with pytest.raises(PermissionError):
            (tree / "ctl").rename("other")


class TestFollowing:
    def test_line_by_line(self, tree: RemoteTree, served: Served) -> None:
        events = tree.follow("/event", timeout=LIMIT)
        got: list[str] = []
        with ThreadPoolExecutor(1) as pool:
            going = pool.submit(lambda: got.extend(events))
            for i, text in enumerate(["one\ntw", "", "o\nlast", "", ""]):
                served.until(lambda i=i: len(served.top.waiting) == i + 1)  # type: ignore[misc]
                served.event(text, i)
            going.result(LIMIT)
        assert got == ["one", "two", "last"]

    def test_nothing_is_lost_when_the_time_is_over(self, tree: RemoteTree, served: Served) -> None:
        events = tree.follow("/event", timeout=0.01)
        with pytest.raises(TimeoutError, match="no answer within"):
            next(events)
        assert served.top.given_up == 0, "the read stays where it is"
        served.event("late\n")
        events.timeout = LIMIT
        assert next(events) == "late"

    def test_closed_the_wait_ends(self, tree: RemoteTree, served: Served) -> None:
        with tree.follow("/event", timeout=0.01) as events, pytest.raises(TimeoutError):
            next(events)
        assert list(events) == []
        served.until(lambda: served.top.given_up == 1)

    def test_forgotten_too(self, tree: RemoteTree, served: Served) -> None:
        events = tree.follow("/event", timeout=0.01)
        with pytest.raises(TimeoutError):
            next(events)
        del events
        served.until(lambda: served.top.given_up == 1)


class TestThreads:
    def test_one_that_waits_holds_nobody_up(self, tree: RemoteTree, served: Served) -> None:
        events = [tree.follow("/event") for _ in range(3)]
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(next, e) for e in events]
            served.until(lambda: len(served.top.waiting) == 3)
            assert tree.read_text("/ctl") == "facts\n"
            for i in reversed(range(3)):
                served.event(f"{i}\n", i)
            assert sorted(f.result(LIMIT) for f in waiting) == ["0", "1", "2"]

    def test_many_at_once(self, tree: RemoteTree, served: Served) -> None:
        want = bytes(served.top.long_.data)

        def work(n: int) -> bool:
            with tree.raw("/long") as f:
                same = all(f.pread(999, i * n) == want[i * n : i * n + 999] for i in range(30))
            return same and tree.read_text(f"/n0{n:02}/here") == f"{n}\n"

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(40)))

    def test_long_writes_beside_a_waiting_read(self, tree: RemoteTree, served: Served) -> None:
        """The writer takes answers in while it writes; the thread that watches must not sleep on one of them."""
        events = tree.follow("/event")
        data = bytes(range(250)) * 1000
        with ThreadPoolExecutor(4) as pool:
            waiting = pool.submit(next, events)
            served.until(lambda: len(served.top.waiting) == 1)
            writers = [pool.submit(tree.write_bytes, "/long", data) for _ in range(30)]
            served.event("now\n")
            assert waiting.result(LIMIT) == "now"
            assert {w.result(LIMIT) for w in writers} == {len(data)}

    def test_hanging_up_tells_them(self, tree: RemoteTree, served: Served) -> None:
        events = tree.follow("/event")
        with ThreadPoolExecutor(2) as pool:
            waiting = pool.submit(next, events)
            served.until(lambda: len(served.top.waiting) == 1)
            tree.close()
            with pytest.raises(BrokenPipeError, match="closed here"):
                waiting.result(LIMIT)
        assert tree.closed
        tree.close()
        with pytest.raises(BrokenPipeError):
            tree.read_text("/ctl")


class TestLimits:
    def test_an_operation_that_takes_too_long_is_flushed(self, addr: str, served: Served) -> None:
        with lux9.connect(addr, timeout=0.05) as tree:
            with pytest.raises(TimeoutError, match="no answer within"):
                tree.open("/later", "rb")
            served.until(lambda: served.top.given_up == 1)
            tree.shared.timeout = LIMIT
            assert tree.read_text("/ctl") == "facts\n"

    def test_nobody_there(self, tmp_path: Path) -> None:
        with pytest.raises(ConnectionError, match="lux9 boot"):
            lux9.connect(f"unix!{tmp_path / 'none'}")
        with pytest.raises(ConnectionError, match="is not an address"):
            lux9.connect("nonsense")

    def test_by_default_where_the_commands_look(
        self, addr: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LUX9_ADDR", addr)
        with lux9.connect() as tree:
            assert tree.addr == addr


class TestCtrlC:
    """A signal to this very process, while its main thread waits."""

    @pytest.fixture
    def interrupt(self, served: Served) -> Iterator[None]:
        """SIGINT when somebody waits for an event."""

        def send() -> None:
            served.until(lambda: len(served.top.waiting) == 1)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=send)
        thread.start()
        yield
        thread.join(LIMIT)

    @pytest.mark.usefixtures("interrupt")
    def test_ends_the_wait_and_not_the_connection(self, tree: RemoteTree, served: Served) -> None:
        before = signal.getsignal(signal.SIGINT)
        with tree.raw("/event") as f, pytest.raises(KeyboardInterrupt):
            f.pread(100, 0)
        served.until(lambda: served.top.given_up == 1)
        assert tree.read_text("/ctl") == "facts\n"
        assert signal.getsignal(signal.SIGINT) is before

    @pytest.mark.usefixtures("interrupt")
    def test_also_while_another_thread_watches_the_socket(
        self, tree: RemoteTree, served: Served
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(tree.raw, "/later")
            served.until(lambda: len(served.top.opening) == 1)
            with tree.raw("/event") as f, pytest.raises(KeyboardInterrupt):
                f.pread(100, 0)
            served.do(lambda: served.top.opening[0].resolve(served.top.memory))
            opening.result(LIMIT).close()
        assert tree.read_text("/ctl") == "facts\n"

    def test_in_the_middle_of_a_long_copy(self, tree: RemoteTree, served: Served) -> None:
        """It comes wherever it comes; the connection is good afterwards."""
        due: SimpleQueue[bool] = SimpleQueue()  # whether there is to be one more

        def send() -> None:
            while due.get(timeout=LIMIT):
                time.sleep(0.0005)
                os.kill(os.getpid(), signal.SIGINT)

        def read_on() -> Never:
            due.put(True)
            while True:
                tree.read_bytes("/long")

        thread = threading.Thread(target=send)
        thread.start()
        for _ in range(100):
            with pytest.raises(KeyboardInterrupt):
                read_on()
        due.put(False)
        thread.join(LIMIT)
        assert tree.read_bytes("/long") == bytes(served.top.long_.data)
        tree.stat("/")  # the clunks before it were answered
        assert len(tree.shared.caller.table) <= 1, "its own clunk"
        held = served.do(lambda: set(served.connections[0].session.fids))
        assert held - set(tree.shared.caller.fids) == {tree.shared.root}


def test_for_asyncio(addr: str) -> None:
    async def main() -> bytes:
        async with lux9.aconnect(addr) as tree:
            return await tree.read("/ctl")

    assert asyncio.run(main()) == b"facts\n"

    async def nobody() -> None:
        async with lux9.aconnect(addr + "x"):
            raise AssertionError

    with pytest.raises(ConnectionError):
        asyncio.run(nobody())
