"""The derived half of the manual: `{{ word … }}` in a page becomes what the code declares.

    {{ tree /dev/pci lux9.kernel.dev.pci:PciDir }}    a directory's files and ctl commands
    {{ registers lux9.arch.ahci:HBA }}                a block's registers, and the bits of each
    {{ command boot }}                                a command's help
    {{ messages }}  {{ errors }}                      the protocol's tables

A page cannot say what the code does not: a name that is not there stops the build. MkDocs calls
`on_page_markdown` (see `hooks` in mkdocs.yml); the tests call `expand`.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

from lux9.regs import Block, Field, Register

PLACEHOLDER = re.compile(r"^\{\{ (\w+)((?: +[^ }]+)*) \}\}$", re.MULTILINE)
REMARK = re.compile(r"^    (\w+)\s*(?::\s*\w+)?\s*=[^#]*\)\s*#\s*(.+)$")


def expand(markdown: str) -> str:
    """A page with its placeholders filled in."""
    return PLACEHOLDER.sub(lambda m: "\n".join(WORDS[m[1]](*m[2].split())), markdown)


def on_page_markdown(markdown: str, **_: object) -> str:
    """MkDocs' hook: a page's source before it is rendered."""
    return expand(markdown)


def load(where: str) -> Any:
    """`package.module:Name`."""
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def fenced(lines: Iterator[str] | list[str]) -> list[str]:
    """Lines as they are."""
    return ["```text", *lines, "```"]


def row(*cells: object) -> str:
    """One row of a table."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def head(*names: str) -> list[str]:
    """A table's first two rows."""
    return [row(*names), row(*("---" for _ in names))]


def doc(thing: object) -> str:
    """A docstring's first paragraph, on one line."""
    return " ".join((thing.__doc__ or "").strip().partition("\n\n")[0].split())


# --- trees ------------------------------------------------------------------------------------


def tree(path: str, where: str) -> list[str]:
    """The SYNOPSIS of one directory class."""
    from lux9.tree import synopsis

    return fenced([path.rstrip("/") + "/", *synopsis(load(where), "    ")])


# --- registers --------------------------------------------------------------------------------


def registers(where: str) -> list[str]:
    """A block's table, a table for each kind of block in it, then each register's bits."""
    blocks = list(dict.fromkeys(nested(load(where))))
    kinds = {slot.kind for block in blocks for slot in block.slots.values() if slot.kind.fields}
    lines = [line for block in blocks for line in block_table(block)]
    return lines + [line for kind in sorted(kinds, key=by_name) for line in bits(kind)]


def by_name(kind: type) -> str:
    """A class's name."""
    return kind.__name__


def nested(block: type[Block]) -> Iterator[type[Block]]:
    """A block, and the kinds of the blocks in it."""
    yield block
    for part in block.parts.values():
        yield from nested(part.kind)
    for bank in block.inner.values():
        yield from nested(bank.kind)


def block_table(block: type[Block]) -> Iterator[str]:
    """The table of a block, in the order of offsets."""
    yield from ("", f"### {block.__name__}", "", doc(block), "")
    yield from head("offset", "name", "bytes", "access", "what")
    yield from (text for _, text in sorted(members(block)))
    yield ""


def members(block: type[Block]) -> Iterator[tuple[int, str]]:
    """Offset and row of everything in a block."""
    said = remarks(block)
    for name, slot in block.slots.items():
        what = doc(slot.kind) if slot.kind.fields else said.get(name, "")
        yield member(slot.offset, name, slot.kind.size, slot.access.access, what)
    for name, run in block.runs.items():
        yield member(run.offset, name, run.length, "rw", said.get(name, "octets"))
    for name, part in block.parts.items():
        yield member(part.offset, name, part.kind.extent(), "", f"a {part.kind.__name__}")
    for name, bank in block.inner.items():
        what = f"{bank.count} × {bank.kind.__name__}, {bank.stride:#x} apart"
        yield member(bank.offset, name, bank.stride * bank.count, "", what)


def member(offset: int, name: str, size: int, access: str, what: str) -> tuple[int, str]:
    """One row of a block's table, with what it is sorted by."""
    return offset, row(f"`{offset:#05x}`", name.rstrip("_"), size, access, what)


def bits(kind: type[Register]) -> Iterator[str]:
    """The bits of a register, high to low as data sheets have them."""
    said = remarks(kind)
    yield from ("", f"#### {kind.__name__}", "", doc(kind), "")
    yield from head("bits", "name", "what")
    for name, field in sorted(kind.fields.items(), key=lambda item: -item[1].hi):
        yield row(place(field), name.rstrip("_"), "; ".join(facts(field, said.get(name, ""))))


def place(field: Field) -> str:
    """`31:28`, or `0`."""
    return str(field.hi) if field.hi == field.lo else f"{field.hi}:{field.lo}"


def facts(field: Field, remark: str) -> Iterator[str]:
    """What is known of a field: its remark, the names of its values, what a write does."""
    if remark:
        yield remark
    if issubclass(field.kind, IntEnum):
        yield ", ".join(f"{int(value)} {value.name}" for value in field.kind)
    if field.w1c:
        yield "write one to clear"


def remarks(cls: type) -> dict[str, str]:
    """The comments that stand beside the members of a class: `st: bool = bit(0)  # start the list`."""
    lines = [line for base in reversed(cls.__mro__) for line in source(base)]
    found = (REMARK.match(line) for line in lines)
    return {m[1]: m[2] for m in found if m}


def source(cls: type) -> list[str]:
    """The lines of one of our classes."""
    return inspect.getsource(cls).splitlines() if cls.__module__.startswith("lux9.arch") else []


# --- the command line -------------------------------------------------------------------------


def command(name: str) -> list[str]:
    """What `lux9 NAME --help` prints."""
    import click

    from lux9.cli import main

    context = click.Context(main, info_name="lux9", terminal_width=90)
    found = main.get_command(context, name)
    if found is None:
        raise KeyError(f"lux9 has no command {name}")
    with click.Context(found, info_name=name, parent=context, terminal_width=90) as inner:
        return fenced(found.get_help(inner).splitlines())


def commands() -> list[str]:
    """A line a command, each with a link to its page."""
    import click

    from lux9.cli import main

    context = click.Context(main, info_name="lux9")
    names = main.list_commands(context)
    found = {name: main.get_command(context, name) for name in names}
    rows = [row(f"[{n}]({n}.md)", c.get_short_help_str(90)) for n, c in found.items() if c]
    return [*head("command", "what it does"), *rows]


# --- the protocol -----------------------------------------------------------------------------


def messages() -> list[str]:
    """Every message of every dialect, as intro(5) writes them."""
    from lux9.wire.messages import DIALECTS

    lines: list[str] = []
    for dialect in DIALECTS.values():
        lines += ["", f"## {dialect.version}", "", *head("number", "message", "on the wire")]
        lines += [row(n, m.__name__, f"`{doc(m)}`") for n, m in sorted(dialect.types.items())]
    return lines


def errors() -> list[str]:
    """The table between Plan 9's strings and errno."""
    import errno

    from lux9.errors import PLAN9

    return [
        *head("9P2000", "9P2000.L", "errno"),
        *(row(text, number, errno.errorcode[number]) for number, text in sorted(PLAN9.items())),
    ]


WORDS: dict[str, Callable[..., list[str]]] = {
    "tree": tree,
    "registers": registers,
    "command": command,
    "commands": commands,
    "messages": messages,
    "errors": errors,
}
