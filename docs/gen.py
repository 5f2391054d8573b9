"""The derived half of the manual: `{{ word … }}` in a page becomes what the code declares.

    {{ tree /dev/pci lux9.kernel.dev.pci:PciDir }}    a directory's files and ctl commands
    {{ registers lux9.arch.ahci:HBA }}                a block's registers, and the bits of each
    {{ command boot }}                                a command's help
    {{ policy }}                                      what configuration space keeps from drivers
    {{ source sh examples/edu/edu.sh }}               a file of the repository, as it is
    {{ messages }}  {{ errors }}  {{ conformance }}     the protocol's tables

A page cannot say what the code does not: a name that is not there stops the build. MkDocs calls
`on_page_markdown` (see `hooks` in mkdocs.yml); the tests call `expand`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

WIDTH = 90  # columns of a command's help
PLACEHOLDER = re.compile(r"^\{\{ (\w+)((?: +[^ }]+)*) \}\}$", re.MULTILINE)


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


def source(language: str, path: str) -> list[str]:
    """A file of the repository, shown in its language."""
    lines = (Path(__file__).parents[1] / path).read_text().rstrip("\n").expandtabs(4).split("\n")
    return [f"```{language}", *lines, "```"]


# --- trees ------------------------------------------------------------------------------------


def tree(path: str, where: str) -> list[str]:
    """The SYNOPSIS of one directory class."""
    from lux9.tree import synopsis

    return fenced([path.rstrip("/") + "/", *synopsis(load(where), "    ")])


# --- registers --------------------------------------------------------------------------------


def registers(where: str) -> list[str]:
    """A block's registers, those of the blocks in it, and the bits of each."""
    from lux9.regs_view import table

    return table(load(where)).splitlines()


def policy() -> list[str]:
    """What a driver cannot change in configuration space, and why."""
    from lux9.kernel.hardware.policy import table

    return [*head("where", "what", "why"), *(row(*cells) for cells in table())]


# --- the command line -------------------------------------------------------------------------


def command(name: str) -> list[str]:
    """What `lux9 NAME --help` prints, and that of its own commands where it has some."""
    from lux9.cli import main

    above = click.Context(main, info_name="lux9")
    found = main.get_command(above, name)
    if found is None:
        raise KeyError(f"lux9 has no command {name}")
    return help_of(found, name, above)


def help_of(found: click.Command, name: str, above: click.Context) -> list[str]:
    """A command's help, then those of the commands in it."""
    with click.Context(found, info_name=name, parent=above, terminal_width=WIDTH) as context:
        lines = fenced(found.get_help(context).splitlines())
    inner: dict[str, click.Command] = {}
    if isinstance(found, click.Group):
        inner = dict(found.commands)
    return lines + [line for n, c in inner.items() for line in ("", *help_of(c, n, context))]


def commands() -> list[str]:
    """A line a command, each with a link to its page."""
    from lux9.cli import main

    context = click.Context(main, info_name="lux9")
    names = main.list_commands(context)
    found = {name: main.get_command(context, name) for name in names}
    rows = [row(f"[{n}]({n}.md)", c.get_short_help_str(90)) for n, c in found.items() if c]
    return [*head("command", "what it does"), *rows]


# --- the protocol -----------------------------------------------------------------------------


def messages() -> list[str]:
    """Every message of every dialect, as intro(5) writes them."""
    from lux9.wire.dialects import DIALECTS

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


def conformance() -> list[str]:
    """Every request of the three dialects, and the tests that prove it."""
    from docs.conformance import proofs, wanted

    need, have = wanted(), proofs()
    names = list(dict.fromkeys(name for column in need.values() for name in column))
    lines = head("message", *need)
    for name in names:
        cells = (
            "<br>".join(f"`{test}`" for test in have[dialect, name]) if name in column else "–"
            for dialect, column in need.items()
        )
        lines.append(row(f"{name}, R{name[1:]}" if name[0] == "T" else name, *cells))
    return lines


WORDS: dict[str, Callable[..., list[str]]] = {
    "tree": tree,
    "source": source,
    "registers": registers,
    "policy": policy,
    "command": command,
    "commands": commands,
    "messages": messages,
    "errors": errors,
    "conformance": conformance,
}
