"""Which requests a test proves, for the conformance table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

F = TypeVar("F", bound=Callable[..., Any])


def proves(dialect: str, *messages: str) -> Callable[[F], F]:
    """The test sends these messages in that dialect, or gets them, and says what has to come of it."""
    mark: Any = pytest.mark.proves(dialect, *messages)
    return mark  # type: ignore[no-any-return]  # a mark of pytest's takes a function and gives it back
