"""A mount for one program, on a connection that can do no more than the program may: `lux9 run` starts this.

    python -m lux9.fuse.private ADDRESS DIRECTORY

On stdin are lines `PATH TEXT`, which are written to the tree before it is mounted, and an empty one. `mounted` on
stdout says that it is there. When stdin ends, whoever asked for it is done or dead: everything is undone.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from ..errors import Lux9Error, UserError, text_of
from .keeper import unmount
from .mount import Tree, serve

MOUNTED = b"mounted\n"


class Private(Tree):
    """The tree, for a program that has given up what it does not need."""

    def init(self, path: str) -> None:
        """Tell that it is there."""
        super().init(path)
        os.write(1, MOUNTED)


def told() -> Iterator[tuple[str, str]]:
    """Path and text of each line."""
    while line := sys.stdin.buffer.readline().strip():
        path, _, text = line.decode().partition(" ")
        yield path, text


def _undo(where: Path) -> None:
    """Unmount at once, whoever still has a file open, and end; the kernel quiesces what was held."""
    while os.read(0, 64):  # not by sys.stdin, whose lock would be held when Python ends
        pass
    unmount(where)
    _remove(where)
    os._exit(0)


def _remove(where: Path) -> None:
    with contextlib.suppress(OSError):
        where.rmdir()


def main(address: str, where: Path) -> None:
    """All of it. Raises UserError or what the tree refuses."""
    tree = Private(address)
    for path, text in told():
        tree.bridge.ask(tree.client.write(path, text.encode()))
    threading.Thread(target=_undo, args=[where], daemon=True).start()
    try:
        serve(tree, where)
    finally:
        _remove(where)  # it may have been unmounted by another, or be the first to hear that it was


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except (Lux9Error, OSError) as error:
        sys.exit(str(error) if isinstance(error, UserError) else text_of(error))
