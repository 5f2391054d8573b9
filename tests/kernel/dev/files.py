"""A tree walked and read as a 9P server would, without one."""

from __future__ import annotations

from typing import Any

from lux9.errors import NotFound
from lux9.pending import Pending
from lux9.tree import Dir, Tree


class Files:
    """The files of one device, by path."""

    def __init__(self, top: Dir) -> None:
        self.root = Tree("#x").root(top)

    def node(self, path: str) -> Any:
        found: Any = self.root
        for name in path.split("/"):
            found = found.walk(name)
        return found

    def open(self, path: str, mode: int = 0) -> Any:
        return self.node(path).open(mode)

    def read(self, path: str) -> str:
        """A text file, whole."""
        handle = self.open(path)
        data = bytes(handle.read(0, 1 << 24))
        handle.close()
        return data.decode()

    def write(self, path: str, text: str, mode: int = 1) -> Any:
        """One write; gives the handle, still open, to read an answer from."""
        handle = self.open(path, mode)
        done = handle.write(0, memoryview(text.encode()))
        assert not isinstance(done, Pending)
        return handle

    def ask(self, path: str, text: str) -> str:
        """Write a command and read the answer on the same open file."""
        handle = self.write(path, text, 2)
        return bytes(handle.read(len(text), 4096)).decode()

    def ls(self, path: str = "") -> list[str]:
        node: Any = self.node(path) if path else self.root
        return [stat.name for stat in node.open(0).entries()]

    def has(self, path: str) -> bool:
        try:
            self.node(path)
        except NotFound:
            return False
        return True
