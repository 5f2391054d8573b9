"""The message decoder under atheris: whatever the bytes are, a message or DecodeError.

`make fuzz` runs it for a minute; what it found before is in `fuzz/corpus`. The first byte of an input says
whether the size field is made true, because a fuzzer that must guess it seldom gets past the header.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["lux9.wire", "lux9.errors"]):
    from lux9.wire import codec

    # The codec writes its functions when a message is declared: instrument them as they are made.
    written = codec.Writer.function

    def instrumented(*args: Any) -> Any:
        """A function that the codec wrote, with coverage."""
        return atheris.instrument_func(written(*args))

    Writer: Any = codec.Writer
    Writer.function = instrumented
    from lux9.wire import dialects

HEADER = 4  # size[4], which `mended` makes true


def mended(data: bytes) -> bytes:
    """The input as a message: the flag byte off, and where it says so the size made true."""
    flag, body = data[0], data[1:]
    if flag & 1:
        return (len(body) + HEADER).to_bytes(HEADER, "little") + body
    return body


def test_one(data: bytes) -> None:
    """One input through every dialect: what decodes must encode to the same bytes."""
    if not data:
        return
    wire = mended(data)
    for dialect in dialects.DIALECTS.values():
        try:
            tag, message = dialect.decode(wire)
        except codec.DecodeError:
            continue
        again = bytes(message.encode(tag))
        if again != wire:
            raise AssertionError(f"{message!r} was {wire.hex()}, encodes to {again.hex()}")


def seeds() -> list[bytes]:
    """An empty body for every message of every dialect."""
    numbers = {n for dialect in dialects.DIALECTS.values() for n in dialect.types}
    return [bytes([1, number]) + bytes(34) for number in sorted(numbers)]


def main() -> None:
    """Fill the corpus folder that libFuzzer is given last, then run."""
    folder = Path(sys.argv[-1])
    if folder.is_dir():
        for seed in seeds():
            (folder / f"seed-{seed[1]}").write_bytes(seed)
    atheris.Setup(sys.argv, test_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
