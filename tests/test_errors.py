"""One table between Plan 9's strings and errno; messages that name the thing."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from lux9 import errors
from lux9.errors import (
    NUMBERS,
    PLAN9,
    Busy,
    DeviceError,
    Lux9Error,
    NotFound,
    RemoteError,
    number_of,
    text_of,
)


def below(cls: type[Lux9Error]) -> Iterator[type[Lux9Error]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from below(sub)


OURS = [cls for cls in below(Lux9Error) if cls.__module__ == errors.__name__]


def test_the_table_goes_both_ways() -> None:
    assert len(NUMBERS) == len(PLAN9), "two numbers with one string"
    assert all(number in errno.errorcode for number in PLAN9)
    assert not [text for text in PLAN9.values() if ":" in text], "`:` ends the table's part"


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_every_error_has_its_string_in_the_table(cls: type[Lux9Error]) -> None:
    error = RemoteError("x") if cls is RemoteError else cls("x")
    assert cls.errno in PLAN9
    assert cls.__doc__
    assert text_of(error)


def test_the_string_leads_and_is_not_said_twice() -> None:
    assert text_of(NotFound("/dev/x")) == "file does not exist: /dev/x"
    assert text_of(NotFound()) == "file does not exist"
    assert text_of(NotFound("file does not exist: x")) == "file does not exist: x"


@pytest.mark.parametrize("number", PLAN9)
def test_what_a_server_says_keeps_its_number(number: int) -> None:
    passed_on = RemoteError(f"{PLAN9[number]}: some detail")
    assert number_of(passed_on) == number
    assert text_of(passed_on) == f"{PLAN9[number]}: some detail"


def test_a_strange_server_gives_an_input_output_error() -> None:
    assert number_of(RemoteError("phase error -- cannot happen")) == errno.EIO
    assert number_of(RemoteError("i have no idea", errno.EBUSY)) == errno.EBUSY


@pytest.mark.parametrize(
    ("error", "number", "text"),
    [
        (Busy("0000:00:1f.2 is claimed by ahci"), errno.EBUSY, "device or object already in use"),
        (DeviceError("PxTFD"), errno.EIO, "i/o error: PxTFD"),
        (OSError(errno.ENOSPC, "No space left on device"), errno.ENOSPC, "no space left: No space"),
        (OSError(errno.ENOTTY, "what"), errno.EIO, "i/o error: what"),
        (OSError("odd"), errno.EIO, "i/o error: OSError: odd"),
        (ValueError("mine"), errno.EIO, "i/o error: ValueError: mine"),
    ],
)
def test_any_exception_has_a_number_and_a_text(error: Exception, number: int, text: str) -> None:
    assert number_of(error) == number
    assert text_of(error).startswith(text)
