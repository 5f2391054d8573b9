"""Options of a command that belong together, declared as the fields of one dataclass.

@dataclass(frozen=True)
class Faults:
    rules: Sequence[str] = option((), "--fault", multiple=True, help="…")
    seed: int = option(0, "--seed", help="…")

@click.command()
@takes(Faults)
def boot(faults: Faults) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, fields
from functools import update_wrapper
from typing import Any, TypeVar

import click

T = TypeVar("T")
DECLARED = "option"


def option(default: T, *flags: str, **attributes: Any) -> T:
    """A field that these flags set; `attributes` are those of click.option."""
    return field(default=default, metadata={DECLARED: (flags, attributes)})


def takes(*groups: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command has the options of these dataclasses, and is called with one of each, in their order."""

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        def called(**given: Any) -> None:
            made = [group(**{f.name: given.pop(f.name) for f in fields(group)}) for group in groups]
            command(*made, **given)

        out: Callable[..., None] = update_wrapper(called, command)
        for f in reversed([f for group in groups for f in fields(group)]):
            flags, attributes = f.metadata[DECLARED]
            out = click.option(*flags, f.name, default=f.default, **attributes)(out)
        return out

    return wrap
