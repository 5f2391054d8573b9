"""The progress of a long copy, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextmanager
def bar(
    name: str, total: int
) -> Generator[Callable[[Iterable[bytes]], Iterator[bytes]], None, None]:
    """Bytes led through what this gives are counted against `total`."""
    words = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
    rates = (TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*words, *rates, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(name, total=total)

        def counted(chunks: Iterable[bytes]) -> Iterator[bytes]:
            for data in chunks:
                yield data
                shown.advance(task, len(data))

        yield counted
