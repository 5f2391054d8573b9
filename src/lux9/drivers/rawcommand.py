"""The raw file of a disk: one command at a time, by sd(3)'s three steps."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import BadArgument
from ..pending import Maybe, Pending

Command = Callable[[bytes, "memoryview | int"], Pending[tuple[int, bytes]]]
LONGEST = 64  # bytes of a command block of any kind of disk


class RawCommand:
    """An open raw file: write the command block, transfer the data, read the status as a decimal.

    The direction is the transfer's: a write gives the command data, a read takes as much as it asks for; a
    command without data is one whose transfer is a read of no bytes, or a status read at once.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self.block = b""
        self.status: int | None = None

    def write(self, offset: int, data: memoryview) -> Maybe[int]:
        """The command block, or the data that goes with it."""
        if self.status is not None:
            raise BadArgument("raw: read the status of the last command first")
        if not self.block:
            if not 0 < len(data) <= LONGEST:
                raise BadArgument(f"raw: a command block of {len(data)} bytes; 1 to {LONGEST} are")
            self.block = bytes(data)
            return len(data)
        count = len(data)
        return self._issue(data).map(lambda _: count)

    def read(self, offset: int, count: int) -> Maybe[bytes]:
        """The data of a command, or the status of one whose data was transferred."""
        if self.status is not None:
            answer, self.status = str(self.status), None
            return answer.encode()
        if not self.block:
            raise BadArgument("raw: write a command block first")
        return self._issue(count)

    def _issue(self, data: memoryview | int) -> Pending[bytes]:
        block, self.block = self.block, b""
        return self.command(block, data).map(self._ended)

    def _ended(self, answer: tuple[int, bytes]) -> bytes:
        self.status = answer[0]
        return answer[1]

    def close(self) -> None:
        """Nothing is held."""
