"""What isolation costs: how long a driver takes to start, and how fast it reads registers, at each level."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from lux9.cli.system import System, run
from lux9.kernel.console import Console
from lux9.kernel.process import ALL
from lux9.machine.sim import q35
from lux9.ninep.client import Client
from lux9.sip.sandbox.host import host
from lux9.sip.sandbox.level import Level
from lux9.sip.server import Sip
from lux9.sip.stanza import Stanza

STARTS = 5  # the best counts
FUNCTION = "0000:00:1f.2"
REPOSITORY = Path(__file__).parents[1]
PATH = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
READER = Stanza(
    "reader",
    module="bench.reader",
    capabilities=ALL,
    mount="/reader",
    environment={"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *PATH])},
    read=(str(REPOSITORY / "bench"),),
)


def measure() -> dict[str, float]:
    """Milliseconds and register reads a second, by what is measured; printed, too."""
    found: dict[str, float] = {}
    for level in Level:
        if level <= host().best:
            found |= run(_measure(level))
    for name, value in found.items():
        print(f"  {name:46} {value:>12,.1f}", flush=True)
    return found


async def _measure(level: Level) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="lux9-bench-") as place:
        path = Path(place) / "sock"
        console = Console(quiet=True)
        async with System(q35(), [], path, isolation=level, console=console) as system:
            sip = system.launcher.create(READER, FUNCTION)
            times = [await _start(system, sip) for _ in range(STARTS)]
            await system.launcher.start(sip)
            rate = await asyncio.to_thread(_rate, system.address)
    return {
        f"start of a driver, {level.word}, ms": min(times) * 1e3,
        f"register reads/s of a driver, {level.word}": rate,
    }


async def _start(system: System, sip: Sip) -> float:
    start = time.perf_counter()
    up = await system.launcher.start(sip)
    took = time.perf_counter() - start
    assert up, (sip.reason, list(sip.output))
    await system.launcher.stop(sip)
    return took


def _rate(address: str) -> float:
    with Client.dial(address) as client:
        return float(client.read("/reader/rate"))


if __name__ == "__main__":
    measure()
