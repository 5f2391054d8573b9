"""A driver that attacks: a file for each attack; whoever reads it lets it happen and gets what came of it.

Each is run with only the rights that its test gives it.
"""

from __future__ import annotations

from lux9.driver.environment import Environment, run
from tests.sip.hostile.noise import Noise
from tests.sip.hostile.on_host import OnHost
from tests.sip.hostile.on_kernel import OnKernel
from tests.sip.hostile.on_memory import OnMemory
from tests.sip.hostile.on_shares import OnShares


class Rogue(OnKernel, OnMemory, OnShares, OnHost, Noise):
    """All attacks."""


async def main(environment: Environment) -> None:
    await environment.serve(Rogue(environment))


if __name__ == "__main__":
    run(main)
