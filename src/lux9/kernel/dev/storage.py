"""#S: the controllers of all disk drivers in one file. sd(3)."""

from __future__ import annotations

from typing import Any

from ...pending import Maybe, after, gather, rescued, within
from ...tree import Dir, text
from ...wire.messages import OREAD
from ...wire.node import Handle, Node
from ..services import Services

CTL = "sdctl"
LARGE = 65536  # bytes of one driver's lines
LIMIT = 5.0  # seconds that all of them have: longer than a driver's code takes to be swapped


class StorageDir(Dir):
    """What the drivers tell of their controllers, put together."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def shows(self, name: str) -> bool:
        """There are disks, perhaps, once there are services."""
        return bool(self.services.posted)

    @text(0o444)
    def sdctl(self) -> Maybe[str]:
        """A line a controller: `sd%c %s %d units`; a service that does not answer in time has none."""
        told = gather(list(self.services.posted.values()), lambda posted: _lines(posted.root))
        return after(told, lambda parts: "".join(sorted("".join(parts).splitlines(keepends=True))))


def _lines(root: Node) -> Maybe[str]:
    """Those of one service; one that has none, or is down, or takes too long has nothing to say."""
    return within(rescued(lambda: after(root.walk(CTL), _opened), lambda _: ""), LIMIT, "")


def _opened(node: Node) -> Maybe[str]:
    opened: Maybe[Any] = node.open(OREAD)
    return after(opened, _read)


def _read(handle: Handle) -> Maybe[str]:
    read: Maybe[Any] = handle.read(0, LARGE)
    return after(read, lambda data: bytes(data).decode(errors="replace"))
