"""What was tried, and what came of it; and what every group of attacks has.

name of the try: refused: why         as it should be
name of the try: DONE what it got     as it must not be
name of the try: 4096 and no more     what a limit let it have
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

from lux9.driver.environment import Environment
from lux9.ninep.client import Client
from lux9.tree import Dir

OTHER = "0000:00:1f.2"  # the neighbour's function
OTHER_LINE, ENOUGH = 11, 1 << 16


class Tries:
    """What was tried, and what came of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, name: str, work: Callable[[], object]) -> None:
        try:
            self.lines.append(f"{name}: DONE {work()!r}")
        except (Exception, SystemExit) as error:
            self.lines.append(f"{name}: refused: {type(error).__name__} {error}".replace("\n", " "))

    def until(self, name: str, work: Callable[[int], object], most: int = ENOUGH) -> None:
        """As often as it is let; more than `most` times is too often."""
        for count in range(most):
            try:
                work(count)
            except Exception as error:
                self.lines.append(f"{name}: {count} and no more: {type(error).__name__} {error}")
                return
        self.lines.append(f"{name}: DONE {most} times")

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


def call(number: int, *args: int) -> int:
    """A system call, by number. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    got: int = libc.syscall(number, *args)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


class Attacks(Dir):
    """A group of attacks: a file for each."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.client: Client = environment.client
        self.mine = environment.variables.get("LUX9_FUNCTION", "")
        self.kept: list[Any] = []

    def words(self, name: str) -> list[str]:
        """What the test gave it to aim at."""
        return self.environment.variables.get(name, "").split()

    def addresses(self) -> list[int]:
        return [int(word, 16) for word in self.words("ROGUE_ADDRESSES")]

    def tell(self, line: str, path: str) -> object:
        return self.client.write(path, line.encode())

    def claim(self) -> None:
        self.tell("claim", f"/dev/pci/{self.mine}/ctl")


def only(there: object) -> object:
    """What is there. Raises LookupError when it is nothing."""
    if not there:
        raise LookupError("nothing")
    return there
