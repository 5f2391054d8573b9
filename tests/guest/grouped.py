"""A kernel in a control group of its own, with a greedy driver, in its sandbox and without one.

Run in a guest, by root; prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lux9.cli.system import System
from lux9.errors import RemoteError
from lux9.kernel.console import Console
from lux9.kernel.process import Limits
from lux9.machine.sim import Sim
from lux9.ninep.client import Client
from lux9.sip.sandbox.level import Level
from lux9.sip.stanza import Stanza
from lux9.sip.supervisor import Pace
from tests.guest import greedy

GROUP = Path("/sys/fs/cgroup/lux9")
TESTS = Path(__file__).parents[1]
LIMITS = Limits(memory=112 << 20, arena=16 << 20, processes=12)
ROOMY = replace(LIMITS, memory=512 << 20)  # for as many as its group lets it have
SHARE = 50  # percent of a processor, when it runs
LIMIT = 120.0
FILES = (
    *("memory.max", "memory.swap.max", "memory.peak", "memory.events"),
    *("pids.max", "pids.current", "pids.events", "cpu.max", "cpu.stat"),
)


def divide() -> None:
    """Move into a group that has all controllers."""
    top = GROUP.parent
    (top / "cgroup.subtree_control").write_text("+cpu +memory +pids")
    GROUP.mkdir()
    (GROUP / "cgroup.procs").write_text(f"{os.getpid()}\n")


def facts() -> dict[str, dict[str, str]]:
    """What the groups below ours say."""
    return {
        group.name: {name: (group / name).read_text().strip() for name in FILES}
        for group in GROUP.iterdir()
        if group.is_dir()
    }


def sandboxed(client: Client) -> dict[str, Any]:
    """Let it take what it can, and look."""
    told: dict[str, Any] = {
        "status": client.read("/dev/sip/servers/greedy/status").decode(),
        "before": facts(),
        "memory": client.read("/greedy/memory").decode(),
    }
    client.write("/dev/sip/servers/greedy/ctl", f"limit cpu {SHARE}".encode())
    told |= {"shared": facts(), "busy": client.read("/greedy/busy").decode()}
    client.write("/dev/sip/servers/greedy/ctl", b"limit cpu 0")
    return told | {"processes": client.read("/greedy/processes").decode(), "after": facts()}


def loose(client: Client) -> dict[str, Any]:
    """Root's, outside of a sandbox: setrlimit(2) counts no processes of root's."""
    return {"processes": client.read("/greedy/processes").decode(), "after": facts()}


async def driven(
    level: Level, limits: Limits, work: Callable[[Client], dict[str, Any]]
) -> dict[str, Any]:
    """What becomes of a greedy driver at that level."""
    stanza = Stanza(
        "greedy",
        module=greedy.__name__,
        mount="/greedy",
        limits=limits,
        environment={"PYTHONPATH": str(TESTS.parent)},
        read=(str(TESTS),),
    )

    def ask(address: str) -> dict[str, Any]:
        with Client.dial(address) as client:
            return work(client)

    with tempfile.TemporaryDirectory() as folder:
        path, quiet = Path(folder) / "sock", Console(quiet=True)
        system = System(Sim([]), [], path, isolation=level, console=quiet)
        async with system, asyncio.timeout(LIMIT):
            # It is busy, in a guest that is slow: a probe may wait.
            system.launcher.supervisor.pace = Pace(limit=LIMIT)
            sip = system.launcher.create(stanza, "-")
            await system.launcher.start(sip)
            if sip.state != "running":
                sys.exit(f"{sip.state}: {sip.reason} {list(sip.output)}")
            try:
                told = await asyncio.to_thread(ask, system.address)
            except RemoteError as error:
                sys.exit(f"{error}: {sip.state}: {sip.reason} {list(sip.output)}")
            await system.launcher.stop(sip)
            return told | {"stopped": sorted(facts())}


async def main() -> None:
    divide()
    told = {
        "sandboxed": await driven(Level.SANDBOX, LIMITS, sandboxed),
        "loose": await driven(Level.PROCESS, ROOMY, loose),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
