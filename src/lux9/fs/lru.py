"""A cache with a bound: what was used last stays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Keeps values until their costs pass `room`; then the ones unused for longest go."""

    def __init__(self, room: int, cost: Callable[[V], int]) -> None:
        self._room, self._cost, self._used = room, cost, 0
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, which is young again."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> V:
        """Keep a value; it is returned. One that is bigger than the room is kept alone."""
        old = self._values.pop(key, None)
        if old is not None:
            self._used -= self._cost(old)
        self._values[key] = value
        self._used += self._cost(value)
        while self._used > self._room and len(self._values) > 1:
            self._used -= self._cost(self._values.popitem(last=False)[1])
        return value

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)
