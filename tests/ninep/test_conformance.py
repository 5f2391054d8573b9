"""No message without a proof, and no proof of what is not there."""

from __future__ import annotations

import pytest

from docs.conformance import proofs, wanted

CELLS = [(dialect, name) for dialect, names in wanted().items() for name in names]


@pytest.mark.parametrize(("dialect", "name"), CELLS, ids=lambda value: str(value))
def test_a_message_has_a_proof(dialect: str, name: str) -> None:
    assert proofs().get((dialect, name)), f"no test is marked @proves({dialect!r}, {name!r})"


def test_a_mark_names_what_there_is() -> None:
    assert set(proofs()) <= set(CELLS)


def test_the_three_dialects_are_whole() -> None:
    counts = {dialect: len(names) for dialect, names in wanted().items()}
    assert counts == {"9P2000": 14, "9P2000.u": 14, "9P2000.L": 29}
