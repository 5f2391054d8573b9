"""Numbers as names: of processes, buffers, interrupts, owners."""

from __future__ import annotations

import re

_FORM = re.compile("0|[1-9][0-9]{0,17}")


def numeral(word: str) -> int:
    """The number that is written so, in decimal; -1 where it is none, or of more digits than 64 bits hold."""
    return int(word) if _FORM.fullmatch(word) else -1


__all__ = ["numeral"]
