"""Faults to order: which function suffers what, at which of its chances, decided by a seed.

A plan is asked each time that a fault could happen (`due`), and answers the same for the same seed and the
same order of asking. `log` has what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from ...arch.pci import bdf, bdf_text
from ...errors import UserError
from ...models.pci import Fault
from ..sectors import sectors


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

    @classmethod
    def parse(cls, text: str) -> Rule:
        """A rule as text: `lost 0000:00:1f.2 after=3 times=1`, `media where=100-107 times=0`.

        The kind first, then a function or none, then fields; `where` is first and last. Raises UserError.
        """
        kind, *words = text.split() or [""]
        if kind not in KINDS:
            raise UserError(f"{kind!r} is no fault; one of {' '.join(KINDS)}")
        values: dict[str, Any] = {"kind": KINDS[kind]}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                values["function"] = _read("function", word)
            elif name in READERS:
                values[name] = _read(name, value)
            else:
                raise UserError(f"{name!r} is no field of a fault; one of {' '.join(READERS)}")
        return cls(**values)

    def concerns(self, kind: Fault, function: str, where: range) -> bool:
        """Whether this is a chance for it."""
        if kind is not self.kind or self.function not in (None, function):
            return False
        mine = self.where
        return mine is None or (mine.start < where.stop and where.start < mine.stop)

    def first(self, where: range) -> int:
        """The first unit that it touches of those that it concerns."""
        return where.start if self.where is None else max(self.where.start, where.start)

    def number(self, where: range) -> float:
        """What a model is told of it (`models.host.Host.fault`)."""
        return self.first(where) if self.kind is Fault.MEDIA else self.seconds


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("write a number of 0 or more")
    return int(text)


def _least(text: str, most: float, what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:  # nor NaN
        raise ValueError(f"write {what}")
    return number


KINDS = {kind.value: kind for kind in Fault}
READERS: dict[str, Callable[[str], object]] = {
    "function": lambda text: bdf_text(bdf(text)),
    "after": _number,
    "times": _number,
    "seconds": lambda text: _least(text, 86_400, "seconds, 0 to 86400"),
    "chance": lambda text: _least(text, 1, "a probability, 0 to 1"),
    "where": sectors,
}


def _read(name: str, text: str) -> object:
    try:
        return READERS[name](text)
    except ValueError as error:
        raise UserError(f"{name}={text}: {error}") from None


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

    def forget(self) -> None:
        """No rules any more."""
        self.rules.clear()
        self._chances.clear()

    def has(self, *kinds: Fault) -> bool:
        """Whether any rule is of these kinds."""
        return any(rule.kind in kinds for rule in self.rules)

    def due(self, kind: Fault, function: str, where: range = range(0)) -> float | None:
        """The number of the first rule whose turn it is, by what it touches; or None: all goes well."""
        may = [(n, r) for n, r in enumerate(self.rules) if r.concerns(kind, function, where)]
        for n, rule in sorted(may, key=lambda one: one[1].first(where)):
            if self._turn(n, rule):
                self.log.append(Done(kind, function, where))
                return rule.number(where)
        return None

    def _turn(self, n: int, rule: Rule) -> bool:
        chance = self._chances.get(n, 0)
        self._chances[n] = chance + 1
        if chance < rule.after or (rule.times and chance >= rule.after + rule.times):
            return False
        return rule.chance >= 1 or self._random.random() < rule.chance
