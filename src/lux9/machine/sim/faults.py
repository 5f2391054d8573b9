"""Faults to order: which function suffers what, at which of its chances, decided by a seed.

A plan is asked each time that a fault could happen (`due`), and answers the same for the same seed and the
same order of asking. `log` has what it did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from ...models.pci import Fault


@dataclass(frozen=True)
class Rule:
    """One fault: the `after`-th chance and the `times` next (0: for ever), each with a probability.

    `function` is a name as 0000:00:1f.2, None for any; `where` the units that it touches (sectors of a
    medium), None for all; `seconds` how late, for SLOW and LATE.
    """

    kind: Fault
    function: str | None = None
    after: int = 0
    times: int = 1
    seconds: float = 0.0
    where: range | None = None
    chance: float = 1.0

    def concerns(self, kind: Fault, function: str, where: range) -> bool:
        """Whether this is a chance for it."""
        if kind is not self.kind or self.function not in (None, function):
            return False
        mine = self.where
        return mine is None or (mine.start < where.stop and where.start < mine.stop)


class Done(NamedTuple):
    """A fault that happened."""

    kind: Fault
    function: str
    where: range


class Plan:
    """Rules, and how often each had its chance."""

    def __init__(self, rules: Iterable[Rule] = (), seed: int = 0) -> None:
        self.rules = list(rules)
        self.log: list[Done] = []
        self._random = Random(seed)
        self._chances: dict[int, int] = {}

    def add(self, rule: Rule) -> None:
        """One more rule, from now on."""
        self.rules.append(rule)

    def has(self, *kinds: Fault) -> bool:
        """Whether any rule is of these kinds."""
        return any(rule.kind in kinds for rule in self.rules)

    def due(self, kind: Fault, function: str, where: range = range(0)) -> float | None:
        """The seconds of the first rule whose turn it is, or None: all goes well."""
        for n, rule in enumerate(self.rules):
            if rule.concerns(kind, function, where) and self._turn(n, rule):
                self.log.append(Done(kind, function, where))
                return rule.seconds
        return None

    def _turn(self, n: int, rule: Rule) -> bool:
        chance = self._chances.get(n, 0)
        self._chances[n] = chance + 1
        if chance < rule.after or (rule.times and chance >= rule.after + rule.times):
            return False
        return rule.chance >= 1 or self._random.random() < rule.chance
