"""The words of the language: kinds of files, verbs of a ctl file, directories."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from ..errors import ControlError, PermissionDenied
from ..pending import Maybe
from ..wire.messages import DMDIR, OTRUNC
from ..wire.node import Bytes, Handle

F = TypeVar("F", bound=Callable[..., Any])


class Raw(Protocol):
    """A file whose offset is an address: one read or write is one access of that width.

    It may also have `length` (bytes), `close()`, and `handle()`: a Handle that is called with nothing between.
    """

    def pread(self, count: int, offset: int) -> Maybe[Bytes]:
        """The bytes at `offset`."""
        ...

    def pwrite(self, data: memoryview, offset: int) -> Maybe[int]:
        """Set the bytes at `offset`; how many were taken."""
        ...


class Entry:
    """A declared file: its kind, its mode and the method behind it."""

    __slots__ = ("doc", "fn", "kind", "mode", "name", "write")

    def __init__(
        self, kind: str, mode: int, fn: Callable[..., Any], name: str = "", write: str = ""
    ) -> None:
        self.kind, self.mode, self.fn, self.write = kind, mode, fn, write
        self.name = name or fn.__name__.strip("_")
        self.doc = summary(fn)

    def __get__(self, d: Dir | None, owner: type) -> Any:
        return self if d is None else self.fn.__get__(d, owner)


class File:
    """A file that comes and goes: a leaf that an `entries` method gives.

    `open(mode)` gives a Handle or a Raw; `length()` its size in bytes.
    """

    __slots__ = ("length", "mode", "open")

    def __init__(
        self,
        mode: int,
        open: Callable[[int], Maybe[Handle | Raw]],
        length: Callable[[], int] = lambda: 0,
    ) -> None:
        self.mode, self.open, self.length = mode, open, length


def summary(fn: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(fn) or "").partition("\n")[0]


def _kind(kind: str, mode: int, name: str, write: str = "") -> Callable[[F], F]:
    def mark(fn: F) -> F:
        entry: Any = Entry(kind, mode, fn, name, write)
        return entry  # type: ignore[no-any-return]  # the method is what callers see

    return mark


def text(mode: int, *, name: str = "", write: str = "") -> Callable[[F], F]:
    """A file of text, made whole when it is opened.

    What is written to it goes to the directory's verbs, or to the method named by `write`, a text at a time.
    """
    return _kind("text", mode, name, write)


def raw(mode: int, *, name: str = "") -> Callable[[F], F]:
    """A file whose offset is an address; the method gives a Raw at each open."""
    return _kind("raw", mode, name)


def stream(mode: int, *, name: str = "") -> Callable[[F], F]:
    """A file of its own making: the method takes the open mode and gives a Handle."""
    return _kind("stream", mode, name)


def event(mode: int, *, name: str = "") -> Callable[[F], F]:
    """A file whose read waits for one event; the method gives it, or a Pending of it."""
    return _kind("event", mode, name)


def rpc(mode: int, *, name: str = "") -> Callable[[F], F]:
    """Write a request, then read the answer on the same open file."""
    return _kind("rpc", mode, name)


def entries(fn: F) -> F:
    """Directories and files that come and go: a mapping of names to Dir or File."""
    entry: Any = Entry("entries", 0o555, fn)
    return entry  # type: ignore[no-any-return]  # as above


class Verb:
    """A command that the directory's ctl file takes."""

    __slots__ = ("doc", "fn", "least", "most", "name", "rest", "usage")

    def __init__(self, fn: Callable[..., Any], least: int, most: int, rest: bool) -> None:
        self.fn, self.least, self.most, self.rest = fn, least, most, rest
        self.name = fn.__name__.strip("_")
        self.doc = summary(fn)
        words = [p.upper() for p in list(inspect.signature(fn).parameters)[1:]]
        shown = [w if i < least else f"[{w}]" for i, w in enumerate(words)]
        self.usage = " ".join([self.name, *shown])

    def __get__(self, d: Dir | None, owner: type) -> Any:
        return self if d is None else self.fn.__get__(d, owner)

    def split(self, line: str) -> list[str]:
        """The arguments of a command line. Raises ControlError with the usage."""
        args = line.split(maxsplit=self.most)[1:] if self.rest else line.split()[1:]
        if not self.least <= len(args) <= self.most:
            raise ControlError(f"{line.strip()!r}: {len(args)} argument(s); usage: {self.usage}")
        return args


def verb(least: int, most: int | None = None, *, rest: bool = False) -> Callable[[F], F]:
    """A ctl command with that many arguments; `rest`: the last takes the rest of the line.

    A method that gives a str has it read back on the same open file.
    """

    def mark(fn: F) -> F:
        made: Any = Verb(fn, least, least if most is None else most, rest)
        return made  # type: ignore[no-any-return]  # as above

    return mark


class Dir:
    """A directory: subclasses declare its files. The class's docstring names it in the manual."""

    table: ClassVar[dict[str, Entry]] = {}
    dynamic: ClassVar[list[Entry]] = []
    verbs: ClassVar[dict[str, Verb]] = {}
    mode: int = 0o555
    steady: ClassVar[bool] = False  # what `child` and `shows` say stays until `wire.steady.changed`

    def __init_subclass__(cls) -> None:
        members = {k: v for base in reversed(cls.__mro__) for k, v in vars(base).items()}
        found = [v for v in members.values() if isinstance(v, Entry)]
        cls.table = {v.name: v for v in found if v.kind != "entries"}
        cls.dynamic = [v for v in found if v.kind == "entries"]
        cls.verbs = {v.name: v for v in members.values() if isinstance(v, Verb)}

    def control(self, line: str) -> Maybe[str | None]:
        """Carry one ctl command out. Raises ControlError naming what there is."""
        words = line.split()
        found = self.verbs.get(words[0]) if words else None
        if found is None:
            known = "; ".join(v.usage for v in self.verbs.values()) or "none"
            raise ControlError(f"unknown command {line.strip()!r}; known: {known}")
        answer: Maybe[str | None] = found.fn(self, *found.split(line))
        return answer

    def shows(self, name: str) -> bool:
        """Whether a declared file is there now."""
        return True

    def check(self, name: str, perm: int, mode: int) -> None:
        """Refuse an open that the file's mode bits forbid. Devices add their capabilities here."""
        if (mode & 3) in (0, 2) and not perm & 0o444:
            raise PermissionDenied(f"{name} (mode {perm:04o}) cannot be read")
        if ((mode & 3) in (1, 2) or mode & OTRUNC) and not perm & 0o222:
            raise PermissionDenied(f"{name} (mode {perm:04o}) cannot be written")
        if (mode & 3) == 3:
            raise PermissionDenied(f"{name} cannot be executed")

    def make(self, name: str, perm: int, mode: int) -> File:
        """Create a file. Most directories refuse."""
        kind = "directories" if perm & DMDIR else "files"
        raise PermissionDenied(f"{kind} cannot be created here ({name!r})")

    def drop(self, name: str) -> None:
        """Remove a file. Most directories refuse."""
        raise PermissionDenied(f"{name} cannot be removed")

    def children(self) -> Mapping[str, Dir | File]:
        """What comes and goes, all `entries` methods together."""
        out: dict[str, Dir | File] = {}
        for entry in self.dynamic:
            out.update(entry.fn(self))
        return out

    def child(self, name: str) -> Dir | File | None:
        """One of them; override where the mapping is dear to make."""
        return self.children().get(name)
