"""What the prompt offers by name."""

from __future__ import annotations

import pydoc
from dataclasses import dataclass
from typing import Any

from ..arch import registers_of
from ..connection import RemotePath, RemoteTree
from ..wire.messages import DMDIR, Stat
from .functions import Pci
from .views import BlockView, RegView

HEAD = 1 << 16  # bytes of a file that are shown
PATIENCE = 1.0  # seconds that a file may take to be read when it is only looked at
EVERYBODY = 0o004  # may read it: then it is text, or data, and no register

TEXT = """\
tree / "dev/pci/bus"            a file, or a directory: shown, it is printed; .read_text(), .open(), .follow() …
pci                             the machine's functions; pci["00:1f.2"] is one: .config .caps .regs .bar(5)
{registers}
x.y = 1, x.y.field = True       write a register, or a field of it; its function has to be claimed: .claim()
s = x.snapshot(); x.diff(s)     what has changed in a block since, by field
help(x)                         what the specification says of a register or a block
To name a thing reads nothing; to show a register reads it, once. Ctrl-D ends."""


@dataclass
class Names:
    """`values` by their names; `registers`: of these, the functions' registers and whose they are."""

    tree: RemoteTree
    pci: Pci
    values: dict[str, Any]
    registers: dict[str, str]

    def banner(self) -> str:
        """What there is."""
        lines = [f"{name:31} registers of {of}" for name, of in self.registers.items()]
        return TEXT.format(
            registers="\n".join(lines) or "(no function has registers that are declared)"
        )

    def close(self) -> None:
        """Give back what was claimed."""
        self.pci.close()


def names(tree: RemoteTree) -> dict[str, Any]:
    """Everything that is offered on this tree, for another prompt than ours."""
    return offered(tree).values


def offered(tree: RemoteTree) -> Names:
    """`tree`, `pci`, `help`, and a name for each function whose registers `arch` knows: hba, hba1, edu …"""
    pci = Pci(tree)
    made = Names(tree, pci, {"tree": tree, "pci": pci, "help": Help()}, {})
    for listed in pci.listed().values():
        known = registers_of(int(listed.code, 16), listed.card)
        if known is None or not known.name:
            continue
        name, n = known.name, 0
        while name in made.values:
            n += 1
            name = f"{known.name}{n}"
        made.values[name] = pci[listed.address].regs
        made.registers[name] = f"{listed.address} {listed.name}"
    return made


class Help:
    """`help(x)`: a register's or a block's page of the specification, else what Python's own says."""

    def __call__(self, *what: Any) -> None:
        """Print it."""
        if what and isinstance(what[0], RegView | BlockView):
            pydoc.pager(what[0].page().rstrip("\n") + "\n")
        else:
            pydoc.help(*what)

    def __repr__(self) -> str:
        return "help(x): what the specification says of a register or a block; of anything else, what Python does"


def looked_at(path: RemotePath) -> str:
    """A path as it is shown: a directory listed, a text printed.

    Read is only what everybody may read; registers and whatever else does something are not among that.
    """
    stat = path.tree.stat(str(path))
    if stat.mode & DMDIR:
        return "\n".join(_listed(found) for found in path.tree.scandir(str(path)))
    if not stat.mode & EVERYBODY:
        return f"{path!r}: not read to be shown, for reading may do something; .open(), .read_bytes(), .follow()"
    with path.tree.raw(str(path)) as file, path.tree.patience(PATIENCE):
        try:
            data = file.pread(HEAD, 0)
        except TimeoutError:
            return f"{path!r}: waits for what is to come; .follow()"
    return _text(path, data)


def _text(path: RemotePath, data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"{path!r}: not text; it begins with {data[:16].hex(' ')}"
    more = "\n…" if len(data) == HEAD else ""
    return text.rstrip("\n") + more


def _listed(stat: Stat) -> str:
    kind = "d" if stat.mode & DMDIR else "-"
    return f"{kind} {stat.mode & 0o777:04o} {stat.length:>12} {stat.name}"
