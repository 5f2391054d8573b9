from __future__ import annotations

from typing import Any

import pytest

from lux9.drivers.rawcommand import RawCommand
from lux9.errors import BadArgument
from lux9.pending import Pending


class Device:
    def __init__(self) -> None:
        self.seen: list[tuple[bytes, bytes | int]] = []

    def command(self, block: bytes, data: memoryview | int) -> Pending[tuple[int, bytes]]:
        self.seen.append((block, data if isinstance(data, int) else bytes(data)))
        out: Pending[tuple[int, bytes]] = Pending()
        out.resolve((80, b"answer"[:data] if isinstance(data, int) else b""))
        return out


def done(value: Any) -> Any:
    """The value of what may be pending."""
    result: Any = getattr(value, "result", None)
    return value if result is None else result()


def test_a_command_that_reads() -> None:
    device = Device()
    raw = RawCommand(device.command)
    assert raw.write(0, memoryview(b"block")) == 5
    assert done(raw.read(0, 6)) == b"answer"
    assert done(raw.read(6, 100)) == b"80"
    assert device.seen == [(b"block", 6)]


def test_a_command_that_writes_and_then_another() -> None:
    device = Device()
    raw = RawCommand(device.command)
    raw.write(0, memoryview(b"one"))
    assert done(raw.write(0, memoryview(b"payload"))) == 7
    assert done(raw.read(0, 10)) == b"80"
    raw.write(0, memoryview(b"two"))
    assert done(raw.read(0, 0)) == b""
    assert done(raw.read(0, 10)) == b"80"
    assert device.seen == [(b"one", b"payload"), (b"two", 0)]


def test_steps_out_of_order_are_refused() -> None:
    raw = RawCommand(Device().command)
    with pytest.raises(BadArgument, match="write a command block first"):
        raw.read(0, 10)
    for block in (b"", bytes(65)):
        with pytest.raises(BadArgument, match="a command block of"):
            raw.write(0, memoryview(block))
    raw.write(0, memoryview(b"one"))
    done(raw.read(0, 1))
    with pytest.raises(BadArgument, match="read the status"):
        raw.write(0, memoryview(b"two"))
