"""Starts that come to nothing: whatever the reason, they are over, told of, and can be made again."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from lux9.errors import Busy, RemoteError
from lux9.sip.sandbox.isolation import Isolation
from lux9.sip.sandbox.level import Level
from tests.readable import readable
from tests.sip.rig import LIMIT, Rig, rig

OK = "[a]\n$ok\nmount = '/x/a'"
SATA = "ids = '8086:2922'"


async def clone(r: Rig, orders: str) -> None:
    await r.write("/dev/sip/clone", orders)


def test_a_start_that_fails_in_a_way_nobody_thought_of_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, it does not stay `starting` for ever, and the next one comes up."""

    def refused(*args: object) -> None:
        raise OSError(24, "Too many open files")

    async def body() -> None:
        async with rig(tmp_path, OK) as r:
            with monkeypatch.context() as patch:
                patch.setattr("lux9.sip.life.start", refused)
                with pytest.raises(RemoteError, match=r"a did not start: .*too many open files"):
                    await clone(r, "type a\nstart")
            assert r.sip("a").state == "crashed"
            await r.order("a", "start")
            assert await r.read("/x/a/version") == "first"

    asyncio.run(body())


def test_a_process_whose_limits_cannot_be_had_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs by then: it is ended, and not forgotten."""
    begun: list[int] = []

    def refused(pid: int, values: object) -> None:
        begun.append(os.pidfd_open(pid))
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("lux9.sip.sandbox.isolation.impose", refused)

    async def body() -> None:
        async with rig(tmp_path, "[b]\ncommand = ['sleep', '60']") as r:
            with pytest.raises(RemoteError, match="b did not start"):
                await clone(r, "type b\nstart")
            await r.until(lambda: begun and readable(begun[0]))

    asyncio.run(body())
    os.close(begun[0])


@pytest.mark.parametrize("value", ["9" * 5000, str(1 << 63)])
def test_a_limit_that_no_number_holds_is_refused(tmp_path: Path, value: str) -> None:
    async def body() -> None:
        async with rig(tmp_path, f"{OK}\n{SATA}") as r:
            with pytest.raises(RemoteError, match="is not a number from 0 to"):
                await r.order("a", f"limit memory {value}")
            assert r.sip("a").stanza.limits.memory == 1 << 30

    asyncio.run(body())


def test_a_module_that_cannot_be_loaded_ends_the_start(tmp_path: Path) -> None:
    """Within the kernel: whatever importing it raises."""

    async def body() -> None:
        async with rig(tmp_path, "[b]\nmodule = 'lux9.no_such_driver'") as r:
            r.launcher.starter.isolation = Isolation(Level.NONE)
            with pytest.raises(RemoteError, match="No module named"):
                await clone(r, "type b\nstart")
            assert r.sip("b").state == "crashed"

    asyncio.run(body())


def test_why_a_service_refuses_is_told(tmp_path: Path) -> None:
    """It answers, goes on, and has no place for us: that it hung up would not be true."""
    script = (
        "import os, time\n"
        "while asked := os.read(5, 8192):\n"
        "    os.write(5, b'\\x10\\0\\0\\0\\x6b' + asked[5:7] + b'\\7\\0' + b'go away')\n"
    )

    async def body() -> None:
        async with rig(tmp_path, f"[b]\ncommand = {[sys.executable, '-c', script]!r}") as r:
            with pytest.raises(RemoteError, match="b did not start: go away"):
                await clone(r, "type b\nstart")

    asyncio.run(body())


def test_a_start_that_is_given_up_ends_its_process(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, "[s]\n$slow") as r:
            sip = r.launcher.create(r.launcher.type("s"))
            starting = asyncio.ensure_future(r.launcher.start(sip))
            await r.until(lambda: sip.child is not None and sip.output)
            starting.cancel()
            await r.entered("s", "stopped")
            assert sip.last_exit.startswith("given up")
            assert sip.child is None

    asyncio.run(body())


def test_nothing_is_started_once_all_were_stopped(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, OK) as r:
            await clone(r, "type a\nstart")
            await r.launcher.stop_all()
            with pytest.raises(Busy, match="lux9 is ending"):
                await r.launcher.start(r.sip("a"))
            assert r.sip("a").state == "stopped"

    async def main() -> None:
        async with asyncio.timeout(LIMIT):
            await body()

    asyncio.run(main())
