"""/dev/irq: interrupts as files. A read of a number waits for one; the next read acknowledges it."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import ControlError
from ...tree import Dir, File, entries, text, verb
from ...tree.handles import Events
from ...wire.numeral import numeral
from ..hardware import Hardware
from ..hardware.irq import NUMBERS
from ..process import Process


def number(word: str, what: str) -> int:
    """A number of a command: decimal, or hexadecimal after 0x. Raises ControlError."""
    try:
        return int(word, 0)
    except ValueError:
        raise ControlError(f"{what} {word!r} is not a number") from None


class IrqDir(Dir):
    """Interrupts: 0 to 15 the ISA lines, 16 to 23 the I/O APIC's, 32 and up messages."""

    def __init__(self, hardware: Hardware, process: Process) -> None:
        self.hardware, self.process, self.irq = hardware, process, hardware.irq

    @text(0o664)
    def ctl(self) -> str:
        """A line a registered one, with its counters; takes the commands below."""
        return self.irq.lines()

    @verb(2, 3)
    def register(self, n: str, name: str, shared: str = "") -> None:
        """Be told of the line of a claimed function, alone or `shared`."""
        if shared not in {"", "shared"}:
            raise ControlError(f"register: {shared!r} is not `shared`")
        self.irq.register(self.process, number(n, "irq"), name, bool(shared))

    @verb(1)
    def unregister(self, n: str) -> None:
        """Be told no more; a function's messages go together."""
        self.irq.unregister(self.process, number(n, "irq"))

    @verb(3)
    def msi(self, function: str, count: str, name: str) -> str:
        """Give a claimed function messages by MSI; their numbers can be read back."""
        return self._messages("msi", function, count, name)

    @verb(3)
    def msix(self, function: str, count: str, name: str) -> str:
        """Give a claimed function messages by MSI-X; their numbers can be read back."""
        return self._messages("msix", function, count, name)

    def _messages(self, kind: str, function: str, count: str, name: str) -> str:
        wanted = number(count, "count")
        given = self.irq.messages(self.process, function, wanted, name, kind)
        return " ".join(map(str, given)) + "\n"

    @entries
    def numbers(self) -> Mapping[str, File]:
        """A read waits for one interrupt and gives `irq N`; only for its registrant."""
        return {str(n): self._file(n) for n in sorted(self.irq.numbers)}

    def child(self, name: str) -> File | None:
        """Any number can be walked to; only the registered ones are listed."""
        n = numeral(name)
        return self._file(n) if 0 <= n < NUMBERS else None

    def _file(self, n: int) -> File:
        return File(0o400, lambda mode: self._open(n))

    def _open(self, n: int) -> Events:
        registrant = self.irq.check(self.process, n)
        return Events(lambda: self.irq.read(n, registrant))
