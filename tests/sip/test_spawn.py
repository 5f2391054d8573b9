"""A driver's process: how it ended, in words, and who may wait for that."""

from __future__ import annotations

import asyncio
import signal
import sys

from lux9.sip.spawn import Child, reason, spawn

LIMIT = 30.0
SLEEPS = [sys.executable, "-c", "import time; print('up'); time.sleep(60)"]
STUBBORN = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('up'); time.sleep(60)"


async def started(script: list[str]) -> Child:
    """One that runs, and has said so: what it prints is told although it never flushes."""
    up = asyncio.Event()
    child = Child(*spawn(script, {}, {}), lambda line: up.set())
    async with asyncio.timeout(LIMIT):
        await up.wait()
    return child


def test_a_signal_that_has_no_name_is_told_by_number() -> None:
    """A real-time one, signal(7): whoever waits for the end is told of it, as of any other."""

    async def body() -> str:
        child = await started(SLEEPS)
        child.signal(signal.SIGRTMIN + 3)
        async with asyncio.timeout(LIMIT):
            return await child.ended

    assert asyncio.run(body()) == f"killed by signal {signal.SIGRTMIN + 3}"
    assert reason(signal.SIGKILL) == "killed by SIGKILL"


def test_an_end_that_somebody_waited_for_in_vain_is_told_to_others() -> None:
    """A stop that is given up while it waits takes the end from nobody."""

    async def body() -> str:
        child = await started(SLEEPS)
        stopping = asyncio.ensure_future(child.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        async with asyncio.timeout(LIMIT):
            return await child.ended

    assert asyncio.run(body()) == "killed by SIGTERM"
