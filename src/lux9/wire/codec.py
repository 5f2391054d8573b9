"""Declared messages become straight-line code.

`@message(110)` reads a class's annotations, in the order of the wire, and writes two functions for it with
`struct`, as dataclasses write `__init__`: the declared form is the fast form too. The class itself becomes a
frozen tuple, because making a tuple is the cheapest thing that Python can make.

Contract: `decode` gives a message or `DecodeError`, nothing else, and looks at no byte outside the message.
"""

from __future__ import annotations

import struct
from collections import namedtuple
from collections.abc import Callable
from typing import (
    Annotated,
    Any,
    ClassVar,
    NamedTuple,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from ..errors import ProtocolError

HEADER = struct.Struct("<IBH")  # size[4] type[1] tag[2]
NOTAG = 0xFFFF
NOFID = 0xFFFFFFFF


class DecodeError(ProtocolError):
    """The bytes are not the message that they say they are."""


class Fixed(NamedTuple):
    """An unsigned integer: its letter in `struct`."""

    code: str


class Text(NamedTuple):
    """A string in UTF-8 with a 2-byte count, without NUL (intro(5)). `errors`: as of `str`, what becomes of others."""

    errors: str = "strict"


class Counted(NamedTuple):
    """Bytes with a 4-byte count; decoded as a view, not copied."""


class Sized(NamedTuple):
    """A record with a 2-byte count before it (the stat of Rstat and Twstat)."""


u8 = Annotated[int, Fixed("B")]
u16 = Annotated[int, Fixed("H")]
u32 = Annotated[int, Fixed("I")]
u64 = Annotated[int, Fixed("Q")]
string = Annotated[str, Text()]
filename = Annotated[str, Text("surrogateescape")]  # of Linux's, any bytes: as of os.fsdecode
blob = Annotated[bytes | bytearray | memoryview, Counted()]

C = TypeVar("C")


def short(what: str, at: int, wanted: int, end: int) -> DecodeError:
    """The error for a message that ends too early."""
    return DecodeError(f"{what}: {wanted} bytes wanted at {at}, the message ends at {end}")


def text(data: memoryview, what: str, errors: str = "strict") -> str:
    """A string from the wire. Raises DecodeError when it is not UTF-8, or has a NUL."""
    try:
        value = str(data, "utf-8", errors)
    except UnicodeDecodeError as error:
        raise DecodeError(f"{what}: not UTF-8: {error.reason}") from None
    if "\0" in value:
        raise DecodeError(f"{what}: a NUL in a string")
    return value


def packed(value: str, what: str, errors: str = "strict") -> bytes:
    """A string for the wire, with its count."""
    try:
        data = value.encode(errors=errors)
    except UnicodeEncodeError as error:
        raise ProtocolError(
            f"{what}: {value!r} cannot be written in UTF-8: {error.reason}"
        ) from None
    if len(data) > 0xFFFF:
        raise ProtocolError(f"{what}: a string of {len(data)} bytes; 65535 at most")
    if 0 in data:
        raise ProtocolError(f"{what}: {value!r} has a NUL, which no string of 9P may have")
    return len(data).to_bytes(2, "little") + data


class Writer:
    """The source of one class's two functions, line by line."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.names: dict[str, Any] = {
            "short": short,
            "text": text,
            "packed": packed,
            "_E": DecodeError,
        }
        self.get: list[str] = []
        self.put: list[str] = []
        self.run: list[tuple[str, str]] = []  # fixed fields not written yet: target, struct letter
        self.structs = 0
        self.head = ""  # struct letters from the beginning to the first count
        self.fields = True  # the next field belongs to the head
        self.made: list[
            tuple[str, list[str]]
        ] = []  # records of fixed fields, put together at the end

    def fixed(self, target: str, code: str) -> None:
        """One integer; neighbours share one struct."""
        self.run.append((target, code))
        self.head += code if self.fields else ""

    def flush(self) -> None:
        """Write the struct for the fixed fields gathered so far."""
        if not self.run:
            return
        packer = struct.Struct("<" + "".join(code for _, code in self.run))
        s, self.structs = f"S{self.structs}", self.structs + 1
        self.names |= {s + "get": packer.unpack_from, s + "put": packer.pack}
        targets = [target for target, _ in self.run]
        n = packer.size
        self.get += [
            f"if at + {n} > end: raise short({self.name!r}, at, {n}, end)",
            f"{', '.join(t.replace('.', '_') for t in targets)}, = {s}get(buf, at)",
            f"at += {n}",
        ]
        self.put.append(f"out += {s}put({', '.join('m.' + t for t in targets)})")
        self.run = []

    def field(self, name: str, hint: Any) -> None:
        """One declared field."""
        kind = get_args(hint)[1] if get_origin(hint) is Annotated else None
        if isinstance(kind, Fixed):
            self.fixed(name, kind.code)
        elif kind is None and get_origin(hint) is None and hint.layout is not None:
            self.names["R" + name] = hint
            self.made.append((name, [part for part, _ in hint.layout]))
            for part, code in hint.layout:
                self.fixed(f"{name}.{part}", code)
        else:
            self.flush()
            self.varying(name, hint, kind)

    def varying(self, name: str, hint: Any, kind: Any) -> None:
        """A field whose length is on the wire."""
        if self.fields:
            self.head += "I" if isinstance(kind, Counted) else "H"
            self.fields = False
        what = f"{self.name}.{name}"
        if isinstance(kind, (Text, Counted)):
            self.counted(name, what, kind)
        elif isinstance(kind, Sized):
            self.sized(name, get_args(hint)[0], what)
        else:
            self.many(name, get_args(hint)[0], what)

    def counted(self, name: str, what: str, kind: Text | Counted) -> None:
        """A string or a blob."""
        width = 2 if isinstance(kind, Text) else 4
        how = f"{what!r}, {kind.errors!r}" if isinstance(kind, Text) else ""
        self.get += [
            f"if at + {width} > end: raise short({what!r}, at, {width}, end)",
            f"n = int.from_bytes(buf[at:at + {width}], 'little')",
            f"at += {width}",
            f"if at + n > end: raise short({what!r}, at, n, end)",
            f"{name} = text(buf[at:at + n], {how})" if width == 2 else f"{name} = buf[at:at + n]",
            "at += n",
        ]
        if width == 2:
            self.put.append(f"out += packed(m.{name}, {how})")
        else:
            self.put.append(f"out += len(m.{name}).to_bytes({width}, 'little'); out += m.{name}")

    def sized(self, name: str, record: Any, what: str) -> None:
        """A record behind its size."""
        self.names["R" + name] = record
        self.get += [
            f"if at + 2 > end: raise short({what!r}, at, 2, end)",
            "n = int.from_bytes(buf[at:at + 2], 'little'); at += 2",
            f"if at + n > end: raise short({what!r}, at, n, end)",
            f"{name}, last = R{name}.get(buf, at, at + n); at += n",
            f"if last != at: raise _E(f'{what}: {{at - last}} bytes left over')",
        ]
        self.put.append(
            f"part = m.{name}.put(); out += len(part).to_bytes(2, 'little'); out += part"
        )

    def many(self, name: str, of: Any, what: str) -> None:
        """A 2-byte count, and that many strings or records."""
        is_text = get_origin(of) is Annotated
        how = f"{what!r}, {get_args(of)[1].errors!r}" if is_text else ""
        self.names["R" + name] = text_record if is_text else of
        self.get += [
            f"if at + 2 > end: raise short({what!r}, at, 2, end)",
            "n = int.from_bytes(buf[at:at + 2], 'little'); at += 2",
            "items = []",
            "for _ in range(n):",
            f"    item, at = R{name}.get(buf, at, end); items.append(item)",
            f"{name} = tuple(items)",
        ]
        self.put += [
            f"out += len(m.{name}).to_bytes(2, 'little')",
            f"for item in m.{name}: out += "
            + (f"packed(item, {how})" if is_text else "item.put()"),
        ]

    def function(self, head: str, body: list[str], tail: str) -> Any:
        """One function from its lines."""
        source = "\n    ".join([head, *body, tail])
        space = dict(self.names)
        exec(compile(source, f"<{self.name}>", "exec"), space)
        return space["made"]

    def finish(self, fields: list[str], cls: type) -> tuple[Any, Any]:
        """`get(buf, at, end) -> (value, at)` and `put(m) -> bytearray` of the declared fields."""
        self.flush()
        self.names |= {"new": _new, "cls": cls}
        for name, parts in self.made:
            values = ", ".join(f"{name}_{part}" for part in parts)
            self.get.append(f"{name} = new(R{name}, ({values},))")
        value = f"new(cls, ({', '.join(fields)},))" if fields else "cls()"
        get = self.function("def made(buf, at, end):", self.get, f"return {value}, at")
        put = self.function("def made(m):", ["out = bytearray()", *self.put], "return out")
        return get, put


class text_record:
    """A string as an item of a list, which a client asks for: strict. It stands where a record class does."""

    @staticmethod
    def get(buf: memoryview, at: int, end: int) -> tuple[str, int]:
        """The string at `at`, and where it ends."""
        if at + 2 > end:
            raise short("name", at, 2, end)
        n = int.from_bytes(buf[at : at + 2], "little")
        at += 2
        if at + n > end:
            raise short("name", at, n, end)
        return text(buf[at : at + n], "name"), at + n


_same: Any = vars(tuple)["__eq__"]  # of the tuple that a message is
_new: Any = vars(tuple)["__new__"]


class Declared:
    """What every message and record has beside its fields."""

    __slots__ = ()
    layout: ClassVar[list[tuple[str, str]] | None] = None  # of a record whose fields are all fixed
    _replace: Callable[..., Any]  # namedtuple's

    def but(self, **fields: object) -> Any:
        """The same with some fields changed."""
        return self._replace(**fields)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and bool(_same(self, other))

    def __ne__(self, other: object) -> bool:  # a tuple has its own
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self), tuple(self)))  # type: ignore[arg-type]


def _build(cls: type[Any]) -> tuple[type[Any], Writer, list[str]]:
    hints = get_type_hints(cls, include_extras=True)
    own = {k: v for k, v in hints.items() if get_origin(v) is not ClassVar}
    base = namedtuple(cls.__name__, list(own))  # type: ignore[misc]
    kept = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")}
    above = tuple(b for b in cls.__bases__ if b is not object)
    new = type(cls.__name__, (Declared, *above, base), {**kept, "__slots__": ()})
    writer = Writer(cls.__name__)
    for name, hint in own.items():
        writer.field(name, hint)
    return new, writer, list(own)


@dataclass_transform(frozen_default=True)
def record(cls: type[C]) -> type[C]:
    """A part of messages: `get(buf, at, end) -> (value, at)` and `put() -> bytes` are written for it."""
    new, writer, names = _build(cls)
    if (
        not writer.structs and not writer.made
    ):  # fixed fields alone: messages take them into their struct
        new.layout = list(writer.run)
    get, put = writer.finish(names, new)
    new.get, new.put = staticmethod(get), put
    return new


@dataclass_transform(frozen_default=True)
def sized(cls: type[C]) -> type[C]:
    """A record that begins with its own size[2], which is not one of its fields (stat(5))."""
    new: Any = record(cls)
    get, put = new.get, new.put

    def sized_get(buf: memoryview, at: int, end: int) -> tuple[C, int]:
        if at + 2 > end:
            raise short(cls.__name__, at, 2, end)
        last = at + 2 + int.from_bytes(buf[at : at + 2], "little")
        if last > end:
            raise short(cls.__name__, at, last - at, end)
        value, stop = get(buf, at + 2, last)
        if stop != last:
            raise DecodeError(f"{cls.__name__}: {last - stop} bytes left over")
        return value, last

    def sized_put(m: C) -> bytes:
        body: bytes = put(m)
        return len(body).to_bytes(2, "little") + body

    new.layout, new.get, new.put = None, staticmethod(sized_get), sized_put
    kind: type[C] = new
    return kind


@dataclass_transform(frozen_default=True)
def message(number: int) -> Callable[[type[C]], type[C]]:
    """A message and its number; `encode(tag) -> bytes` and `parse(buf, at, end)` are written for it."""

    def make(cls: type[C]) -> type[C]:
        new, writer, names = _build(cls)
        get, put = writer.finish(names, new)

        def encode(m: Any, tag: int) -> bytes:
            try:
                body = put(m)
                return bytes(HEADER.pack(len(body) + 7, number, tag) + body)
            except (struct.error, OverflowError) as error:
                raise ProtocolError(
                    f"{cls.__name__}: a field does not fit its width: {error}"
                ) from None

        def parse(buf: memoryview, at: int, end: int) -> Any:
            value, last = get(buf, at, end)
            if last != end:
                raise DecodeError(f"{cls.__name__}: {end - last} bytes left over")
            return value

        new.number, new.encode, new.parse = number, encode, staticmethod(parse)
        new.head = struct.Struct(HEADER.format + writer.head)
        return new

    return make


class Message:
    """What a declared message has; classes inherit it so that type checkers know."""

    __slots__ = ()
    number: ClassVar[int]
    head: ClassVar[struct.Struct]  # size, type, tag, the fields of fixed width, and the first count

    def encode(self, tag: int) -> bytes:
        """The whole message. Raises ProtocolError when a field does not fit."""
        raise NotImplementedError

    @staticmethod
    def parse(buf: memoryview, at: int, end: int) -> Any:
        """The message whose body is buf[at:end]. Raises DecodeError."""
        raise NotImplementedError


class Dialect:
    """The messages of one version of 9P, by number."""

    def __init__(self, version: str, messages: list[type[Message]]) -> None:
        self.version = version
        self.types = {m.number: m for m in messages}

    def decode(self, data: bytes | bytearray | memoryview) -> tuple[int, Message]:
        """The tag and the message that `data` is, whole. Raises DecodeError."""
        if len(data) < HEADER.size:
            raise DecodeError(f"{len(data)} bytes: shorter than a header")
        size, number, tag = HEADER.unpack_from(data)
        if size != len(data):
            raise DecodeError(f"size says {size}, {len(data)} bytes given")
        return tag, self.parse(number, memoryview(data), HEADER.size, size)

    def parse(self, number: int, buf: memoryview, at: int, end: int) -> Message:
        """The message of that number whose body is buf[at:end]. Raises DecodeError."""
        kind = self.types.get(number)
        if kind is None:
            raise DecodeError(f"{self.version} has no message {number}")
        message: Message = kind.parse(buf, at, end)
        return message
