"""The steps of a namespace: what is bound or mounted where, as ns(1) prints them, and a table made from them."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence

from ..errors import ControlError, NotFound
from ..wire.steady import changed

Path = tuple[str, ...]


def split(path: str) -> Path:
    """A path's names. Raises ControlError for one that is not absolute."""
    if not path.startswith("/"):
        raise ControlError(f"{path!r} is not an absolute path")
    return tuple(name for name in path.split("/") if name)


class Step:
    """One bind or mount."""

    __slots__ = ("flag", "source", "steady", "to", "verb")

    def __init__(self, verb: str, flag: str, source: str, to: Path) -> None:
        self.verb, self.flag, self.source, self.to = verb, flag, source, to
        self.steady = (
            len(source) == 2 and source[0] == "#"
        )  # a device's root; it says when it is another

    def __str__(self) -> str:
        flag = f"-{self.flag} " if self.flag else ""
        return f"{self.verb} {flag}{shlex.quote(self.source)} /{'/'.join(self.to)}"


class Group:
    """The steps that processes share. `-b` puts before what is there, `-a` after, no flag in its stead."""

    def __init__(self, steps: Sequence[str] = ()) -> None:
        self.started = int(time.time())
        self.steps: list[Step] = []
        self.table: dict[Path, list[Step]] = {}
        self.ways: dict[Path, list[str]] = {}
        for line in steps:
            self.do(line)

    def do(self, line: str) -> None:
        """One line of ns(1): `bind [-abc] SOURCE PATH`, `mount [-abc] SOURCE PATH`, `unmount [SOURCE] PATH`."""
        try:
            words = shlex.split(line, comments=False)
        except ValueError as error:
            raise ControlError(f"{line!r}: {error}") from None
        verb, args = (words[0], words[1:]) if words else ("", [])
        flags = args.pop(0)[1:] if args and args[0].startswith("-") else ""
        if verb in ("bind", "mount") and len(args) == 2 and set(flags) <= set("abc"):
            self.add(Step(verb, flags.replace("c", "")[:1], args[0], split(args[1])))
        elif verb == "unmount" and 1 <= len(args) <= 2:
            self.drop(split(args[-1]), args[0] if len(args) == 2 else None)
        elif verb != "cd":
            raise ControlError(
                f"{line.strip()!r}: write bind|mount [-a|-b] SOURCE PATH or unmount PATH"
            )

    def add(self, step: Step) -> None:
        """One more step. Raises ControlError for one that would lead back to itself."""
        if self._leads(step.source, step, set()):
            raise ControlError(
                f"{step}: {step.source} is reached through /{'/'.join(step.to)} itself"
            )
        if not step.flag:
            self.steps = [s for s in self.steps if s.to != step.to]
        self.steps.append(step)
        self._make()

    def _leads(self, source: str, to: Step, seen: set[str]) -> bool:
        """Whether a walk to a path goes through a step: sources are looked up when they are walked to."""
        if source.startswith("#") or source in seen:
            return False
        seen.add(source)
        path = split(source)
        through = [s for s in (*self.steps, to) if s.to and path[: len(s.to)] == s.to]
        return any(s is to or self._leads(s.source, to, seen) for s in through)

    def drop(self, to: Path, source: str | None) -> None:
        """Undo what was bound to a path, or one of it."""
        kept = [s for s in self.steps if s.to != to or (source is not None and s.source != source)]
        if len(kept) == len(self.steps):
            raise NotFound(f"nothing is mounted on /{'/'.join(to)}")
        self.steps = kept
        self._make()

    def forget(self, source: str) -> None:
        """Undo every step of a source that is gone."""
        self.steps = [s for s in self.steps if s.source != source]
        self._make()

    def _make(self) -> None:
        self.table = {}
        for step in self.steps:
            at = self.table.setdefault(step.to, [])
            at.insert(0, step) if step.flag == "b" else at.append(step)
        ways = {(to[:n], to[n]) for to in self.table for n in range(len(to))}
        self.ways = {}
        for path, name in sorted(ways):
            self.ways.setdefault(path, []).append(name)
        changed()

    def below(self, path: Path) -> Sequence[str]:
        """Names in a directory that are there because something is mounted on them, or below."""
        return self.ways.get(path, ())

    def copy(self) -> Group:
        """The same steps, to go its own way."""
        return Group([str(step) for step in self.steps])

    def __str__(self) -> str:
        return "".join(f"{step}\n" for step in self.steps)
