"""AHCI host bus adapters as disks. Ref: AHCI 1.3.1, ACS-3; class 01.06.01.

    controller.py  the HBA: handoff, reset, ports, interrupts
    port.py        one port, and its commands out; bringup.py and recovery.py change its state
    completion.py  its commands in: seen in memory, told by interrupts, found by the watch
    far.py         the same where they are on another host
    queue.py       slots, knows no hardware; commands.py, pure; memory.py, structures in memory
    disk.py        what ../block.py serves as sd(3); transfer.py, its requests for data

The first controller's disks are sdE0 …, the next one's (LUX9_INSTANCE=1) sdF0 …; LUX9_INTERRUPT=msi asks for
messages instead of the pin.
"""

from __future__ import annotations

import asyncio

from ...driver.environment import Environment, run
from ...driver.function import Function, Kind
from ..block import Disks
from .controller import Controller

FIRST = "E"  # sd(3): the letters C and D are IDE's


async def main(env: Environment) -> None:
    """Claim the function, start the controller, and serve its disks until the kernel goes."""
    with env.function() as function:
        await drive(env, function)


async def drive(env: Environment, function: Function) -> None:
    """The same with a function that is claimed already."""
    letter = chr(ord(FIRST) + int(env.variables.get("LUX9_INSTANCE", "0")))
    disks = Disks(letter, f"ahci {function.bdf}")
    prefer: Kind = "msi" if env.variables.get("LUX9_INTERRUPT") == "msi" else "intx"
    async with Controller(
        function, disks.add, disks.remove, letter=letter, prefer=prefer
    ) as controller:
        controller.gone.add_done_callback(lambda gone: env.end(_error(gone)))
        await env.serve(disks, "sd", controller.issue)


def _error(gone: asyncio.Future[None]) -> Exception | None:
    error = None if gone.cancelled() else gone.exception()
    return error if isinstance(error, Exception) else None


if __name__ == "__main__":
    run(main)
