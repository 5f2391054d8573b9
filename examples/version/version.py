"""The smallest driver that is of use: it serves an AHCI controller's version as a file.

    lux9 boot --manifest examples/version/version.toml --exec 'lux9 cat /dev/version/version'

The kernel starts it for each controller, with that function in $LUX9_FUNCTION, and mounts what it serves.
"""

from __future__ import annotations

from lux9.arch.ahci import ABAR, HBA
from lux9.driver import Environment, run
from lux9.tree import Dir, text


class VersionDir(Dir):
    """What the controller says of itself."""

    def __init__(self, hba: HBA) -> None:
        self.hba = hba

    @text(0o444)
    def version(self) -> str:
        """The specification that it follows, `1.0`; made anew at each open."""
        said = self.hba.vs.read()
        return f"{said.mjr}.{said.mnr >> 8}\n"


async def main(env: Environment) -> None:
    """Claim, set up, serve."""
    with env.function() as function:  # claimed; given back at the end, however that comes
        hba = HBA(function.bar(ABAR))  # registers by name over the BAR's window
        hba.ghc.update(ae=True)  # posted: the next read collects its answer
        await env.serve(VersionDir(hba))  # until the kernel goes


if __name__ == "__main__":
    run(main)
