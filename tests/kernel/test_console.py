"""The console, when nobody is left to read what it prints."""

from __future__ import annotations

import errno
import io

import pytest

from lux9.kernel.console import Console


class Gone(io.StringIO):
    """A terminal whose window was closed."""

    tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise OSError(errno.EIO, "Input/output error")


def test_a_log_that_cannot_be_printed_is_kept_and_stops_nobody() -> None:
    out = Gone()
    console = Console(out)
    console.log("first")
    console.say("ahci", "second")
    assert [line.split(b"] ")[1].strip() for line in console.journal.lines] == [
        b"first",
        b"ahci: second",
    ]
    assert out.tries == 1


def test_whoever_writes_to_it_is_told() -> None:
    with pytest.raises(OSError, match="Input/output"):
        Console(Gone()).write(b"x")
