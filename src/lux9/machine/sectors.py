"""Sectors as people write them in a fault: `7`, `0x40`, `100-107`."""

from __future__ import annotations

MOST = 1 << 48  # of any disk: ATA8-ACS §4.1, the 48-bit Address feature set


def sectors(text: str) -> range:
    """FIRST or FIRST-LAST, both included. Raises ValueError with what would be right."""
    first, dash, last = text.partition("-")
    try:
        found = range(int(first, 0), int(last if dash else first, 0) + 1)
    except ValueError:
        found = range(0)
    if not found or found.stop > MOST:
        raise ValueError("write a sector or FIRST-LAST, from 0 to 2^48-1, as in where=100-107")
    return found
