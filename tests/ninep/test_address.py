"""Addresses as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lux9.errors import UserError
from lux9.ninep.address import Address, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix!/run/lux9.sock", Address("unix", "/run/lux9.sock")),
        ("unix!a!b", Address("unix", "a!b")),
        ("fd!3", Address("fd", "3")),
        ("tcp!localhost!564", Address("tcp", "localhost", 564)),
        ("tcp!*!0", Address("tcp", "*", 0)),
        ("tls![::1]!564", Address("tls", "::1", 564)),
        ("tls!fe80::1!564", Address("tls", "fe80::1", 564)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse(text) == address
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "unix",
            "unix!",
            "fd!",
            "fd!x",
            "udp!a!1",
            "tcp",
            "tcp!",
            "tcp!a",
            "tcp!!1",
            "tcp!a!",
        ),
        *("tcp!a!b", "tcp!a!-1", "tcp!a!65536", "tcp!a!1!2", "tcp![]!1", "tls!a!²"),
        f"tcp!a!{'9' * 5000}",
    ],
)
def test_what_is_none_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(UserError, match=r"address; write|is not a number") as error:
        parse(text)
    assert repr(text) in str(error.value)


HOSTS = st.from_regex(r"[a-z0-9.:-]{1,40}|\*", fullmatch=True)


@given(st.sampled_from(("tcp", "tls")), HOSTS, st.integers(0, 65535))
def test_what_is_written_reads_back(kind: str, host: str, port: int) -> None:
    address = Address(kind, host, port)
    assert parse(str(address)) == address


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        assert parse(text).kind in ("unix", "fd", "tcp", "tls")
    except UserError:
        pass
