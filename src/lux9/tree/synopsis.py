"""A directory class's lines in the manual, derived."""

from __future__ import annotations

from collections.abc import Iterator

from .declare import Dir


def synopsis(cls: type[Dir], at: str = "") -> Iterator[str]:
    """A line a file: name, mode, kind and what it is; then a line a ctl command."""
    for entry in cls.table.values():
        yield f"{at}{entry.name:12} {entry.mode:04o} {entry.kind:7} {entry.doc}"
    for entry in cls.dynamic:
        yield f"{at}{entry.name.upper():12} {entry.mode:04o} {'entries':7} {entry.doc}"
    for v in cls.verbs.values():
        yield f"{at}ctl: {v.usage:24} {v.doc}"
