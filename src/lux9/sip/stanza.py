"""One driver as a manifest tells of it: what it is for, how it is started, what it may do."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..kernel.process import Cap, Limits
from .policy import Restart
from .sandbox.level import Level


class Bound(NamedTuple):
    """A function, as matching sees it."""

    name: str
    code: int
    ids: str = ""
    modalias: str = ""

    @property
    def class_text(self) -> str:
        """`01.06.01`."""
        return f"{self.code >> 16:02x}.{self.code >> 8 & 0xFF:02x}.{self.code & 0xFF:02x}"


class Magic(NamedTuple):
    """Bytes that a file has at a place, when it is what a driver serves."""

    at: int
    content: bytes

    def wrong(self, found: bytes) -> str:
        """What is wrong with the bytes at that place, or nothing."""
        if found == self.content:
            return ""
        there = f"they are {found.hex(' ')}" if found else "the file ends before"
        return f"the bytes at {self.at} would be {self.content.hex(' ')}; {there}"


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Stanza:
    """One driver: what it is for, how it is started, what it may do, where it is mounted.

    `hold`: seconds that its clients wait when it is gone and will come back; `repeats`: what was written to it may
    be written again. `isolation`: the least that it may run with; `protected`: only where its DMA is confined;
    `read`: what of the host it sees in its sandbox. `remote`: it is not started here, but comes (visitors.py).
    """

    name: str
    classes: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    modalias: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    magic: Magic | None = None
    module: str = ""
    command: tuple[str, ...] = ()
    capabilities: Cap = Cap(0)
    mount: str = ""
    namespace: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=_nothing)
    limits: Limits = field(default_factory=Limits)
    restart: Restart = Restart()
    hold: float = 0.0
    repeats: bool = False
    isolation: Level = Level.NONE
    protected: bool = False
    read: tuple[str, ...] = ()
    remote: str = ""  # the user who drives it from another host
    where: str = ""  # the manifest that it is from

    @property
    def argv(self) -> list[str]:
        """What is run."""
        return list(self.command) or [sys.executable, "-m", self.module]

    @property
    def targets(self) -> str:
        """What it binds to, in a word without blanks, or `-`."""
        return ",".join([*self.classes, *self.ids, *self.modalias, *self.files]) or "-"

    def closeness(self, class_text: str) -> int:
        """How much of a function's class `01.06.01` is this driver's, of 3; a shorter class matches its subclasses."""
        fitting = (c for c in self.classes if (class_text + ".").startswith(c + "."))
        return max((c.count(".") + 1 for c in fitting), default=0)

    def fit(self, bound: Bound) -> int:
        """How well it fits a function: 0 not at all; then the length of its class, its modalias and its ids."""
        if bound.ids in self.ids:
            return 5
        if any(fnmatch.fnmatchcase(bound.modalias, pattern) for pattern in self.modalias):
            return 4
        return self.closeness(bound.class_text)
