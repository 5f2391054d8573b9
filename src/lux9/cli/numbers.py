"""Numbers on the command line: decimal, hexadecimal as 0x1f, and with K, M or G for powers of 1024."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    IntType = click.ParamType[int]
else:  # not generic in every click that will do
    IntType = click.ParamType

UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
WIDTH = click.Choice(["1", "2", "4", "8"])  # of an access, in bytes


class Number(IntType):
    """A number that is not negative."""

    name = "number"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number; a usage error names what may be written."""
        if isinstance(value, int):
            return value
        unit = UNITS.get(value[-1:].lower(), 1)
        try:
            number = int(value if unit == 1 else value[:-1], 0) * unit
        except ValueError:
            number = -1
        if number < 0:
            self.fail(f"{value!r} is not a number; write 512, 0x200 or 4K", param, ctx)
        return number


NUMBER = Number()
