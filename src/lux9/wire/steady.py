"""Answers that stay as they are, so that a server may give them again without asking anew.

A node may have `steady(name)`: whether a walk to `name`, or its qid and stat where `name` is empty, gives the same
until `changed` is called. Whoever changes what such an answer depends on (what is mounted where, which functions
there are, who may see what) calls that; texts, sizes and whatever lives in another process are never steady.
"""

from __future__ import annotations

from typing import Any

from .node import Node


class Epoch:
    """How often something has changed. One count for all: it seldom does."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


EPOCH = Epoch()


def changed() -> None:
    """What was steady may be something else from here on."""
    EPOCH.count += 1


def steady(node: Node, name: str = "") -> bool:
    """Whether the node's answer stays; one that does not say so is asked each time."""
    own: Any = getattr(node, "steady", None)
    return own is not None and bool(own(name))


__all__ = ["EPOCH", "changed", "steady"]
