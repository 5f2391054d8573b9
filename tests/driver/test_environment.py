from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lux9.driver.arena import Arena
from lux9.driver.environment import Environment
from lux9.errors import DeviceError, Disconnected, UserError
from lux9.ninep.caller import Caller
from lux9.ninep.client import Client
from lux9.tree import Dir, DirNode
from lux9.wire.node import Node

AS_FD_3 = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"


class Served:
    """What `serve` was called with."""

    def __init__(self) -> None:
        self.node: Node | None = None
        self.lost: Callable[[], None] | None = None

    async def serve(
        self, node: Node, after_batch: Callable[[], None] | None, lost: Callable[[], None]
    ) -> None:
        self.node, self.lost = node, lost


def environment(served: Served, **variables: str) -> Environment:
    arena = Arena(memoryview(bytearray()), 0, 0)
    return Environment(Client(Caller()), arena, variables, served.serve)


def test_a_variable_that_is_not_set_is_told() -> None:
    env = environment(Served(), LUX9_FUNCTION="0000:00:1f.2")
    assert env.variable("LUX9_FUNCTION") == "0000:00:1f.2"
    with pytest.raises(UserError, match="LUX9_FILE is not set"):
        env.variable("LUX9_FILE")


def test_serving_ends_when_the_other_side_goes() -> None:
    async def work() -> None:
        served = Served()
        task = asyncio.ensure_future(environment(served).serve(Dir()))
        while served.lost is None:
            await asyncio.sleep(0)
        assert isinstance(served.node, DirNode)
        assert not task.done()
        served.lost()
        await task

    asyncio.run(work())


@pytest.mark.parametrize("hung_up", [True, False])
def test_what_it_undoes_at_its_end_is_not_cut_short_when_it_is_told_again(hung_up: bool) -> None:
    seen: list[str] = []

    async def work() -> None:
        served = Served()
        env = environment(served)
        flushed = asyncio.Event()

        async def driver() -> None:
            try:
                await env.serve(Dir())
            finally:
                seen.append("begins to end")
                await flushed.wait()
                seen.append("is done with it")

        task = asyncio.ensure_future(driver())
        while served.lost is None:
            await asyncio.sleep(0)
        served.lost() if hung_up else env.stop(task)
        while not seen:
            await asyncio.sleep(0)
        env.stop(task)
        await asyncio.sleep(0)
        flushed.set()
        await asyncio.wait([task])

    asyncio.run(work())
    assert seen == ["begins to end", "is done with it"]


def test_a_driver_that_does_not_serve_yet_is_ended_too() -> None:
    async def work() -> None:
        env = environment(Served())
        task: asyncio.Task[None] = asyncio.ensure_future(asyncio.sleep(3600.0))
        env.stop(task)
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(work())


@pytest.mark.parametrize("error", [None, Disconnected("gone"), DeviceError("broken")])
def test_how_it_ends(error: Exception | None) -> None:
    async def work() -> None:
        env = environment(Served())
        env.end(error)
        env.end(DeviceError("later"))
        await env.serve(Dir())

    if isinstance(error, DeviceError):
        with pytest.raises(DeviceError, match="broken"):
            asyncio.run(work())
    else:
        asyncio.run(work())


def test_started_by_hand_a_driver_says_what_it_is() -> None:
    """Nobody's fd 3 is a kernel's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.close()
        source = Path(__file__).parents[2] / "src"
        done = subprocess.run(
            [sys.executable, "-c", AS_FD_3, str(theirs.fileno()), "-m", "lux9.drivers.ahci"],
            env={**os.environ, "PYTHONPATH": str(source)},
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("connection closed")
