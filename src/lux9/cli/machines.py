"""The one place that chooses a machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..machine.abstract import Machine

NAMES = ("sim",)


def make(name: str, disks: Sequence[Path], read_only: bool = False) -> Machine:
    """The machine of that name with these disk images. Raises UserError with what is in the way."""
    if name not in NAMES:
        raise UserError(f"there is no machine {name!r}; there is: {' '.join(NAMES)}")
    from ..machine.sim import q35

    machine = q35(disks, read_only=read_only)
    lacks = machine.why_not()
    if lacks:
        raise UserError("; ".join(f"{lack.what}: {lack.remedy}" for lack in lacks))
    return machine
