"""A driver that measures: `rate` is how many registers it reads in a second."""

from __future__ import annotations

from lux9.driver.environment import Environment, run
from lux9.driver.files import FileFunction
from lux9.tree import Dir, text

from .timing import rate

VERSION = 0x10  # offset of the AHCI version register in BAR 5
MANY = 64


class Reader(Dir):
    """The results."""

    def __init__(self, function: FileFunction) -> None:
        self.bar = function.bar(5)

    @text(0o444)
    def rate(self) -> str:
        """Register reads a second, one after the other."""
        return f"{rate(self._some):.0f}\n"

    def _some(self) -> int:
        for _ in range(MANY):
            self.bar.read(VERSION, 4)
        return MANY


async def main(environment: Environment) -> None:
    with environment.function() as function:
        await environment.serve(Reader(function))


if __name__ == "__main__":
    run(main)
