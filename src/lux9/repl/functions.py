"""The machine's functions at a prompt: `pci["00:1f.2"]`, its configuration, capabilities and registers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from ..arch import registers_of
from ..arch.pci import (
    CapId,
    Header0,
    Header1,
    bdf,
    bdf_text,
    capabilities,
    capability_block,
)
from ..connection import RemoteFile, RemoteTree
from ..connection.bus import Listed, functions
from ..regs import Block
from .views import BlockView

BRIDGE = "0604"  # class and sub-class of a function whose header is type 1. PPB 1.2 §3.1


class FileWindow:
    """Words of a register file: one access each. The file is opened when the first is wanted."""

    def __init__(self, function: FunctionView, name: str) -> None:
        self.function, self.name = function, name

    def read(self, offset: int, width: int) -> int:
        """The word at an offset."""
        return int.from_bytes(self.function.file(self.name).pread(width, offset), "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """Set the word at an offset."""
        self.function.file(self.name).pwrite(value.to_bytes(width, "little"), offset)


class FunctionView:
    """A PCI function.

    To read its registers opens its BAR, which the kernel lets one program do at a time: the function is this
    prompt's until `release()`, or the prompt's end. To write takes an explicit `claim()`.
    """

    def __init__(self, tree: RemoteTree, listed: Listed) -> None:
        self.tree, self.listed, self.name = tree, listed, listed.address
        self.path = tree / "dev/pci" / self.name
        self.claimed = False
        self._files: dict[str, RemoteFile] = {}

    # -- whose it is

    def claim(self) -> None:
        """Take it for this prompt, to be written to. Raises OSError when somebody has it."""
        self._say("claim")
        self.claimed = True

    def release(self) -> None:
        """Give it back: interrupts masked, bus master off."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self.claimed:
            self.claimed = False
            self._say("release")

    def reset(self) -> None:
        """Reset it, by whatever means it has; it has to be claimed."""
        self._say("reset")

    def master(self, on: bool) -> None:
        """Let it read and write memory, or not; it has to be claimed."""
        self._say(f"master {'on' if on else 'off'}")

    def _say(self, command: str) -> None:
        (self.path / "ctl").write_text(command)

    @property
    def owner(self) -> str | None:
        """Who has claimed it, or None."""
        found = re.search(r"^owner: (\S+)$", (self.path / "ctl").read_text(), re.MULTILINE)
        return found[1] if found and found[1] != "-" else None

    def may_write(self, what: str) -> None:
        """Raises PermissionError unless it is claimed."""
        if not self.claimed:
            raise PermissionError(
                f"{what} is not written: {self.name} is not claimed; pci[{self.name!r}].claim() claims it, "
                "and .release() or the end of the prompt gives it back"
            )

    # -- its registers

    @property
    def regs(self) -> BlockView:
        """The registers in its BAR. Raises LookupError where none are declared for it."""
        if (known := registers_of(int(self.listed.code, 16), self.listed.card)) is None:
            raise LookupError(
                f"{self.name}: no registers are declared for {self.listed.name}; it has .config and .bar(n)"
            )
        return BlockView(known.block(FileWindow(self, f"bar{known.bar}")), self)

    @property
    def config(self) -> BlockView:
        """The configuration header, by its type."""
        kind: type[Block] = Header1 if self.listed.code.startswith(BRIDGE) else Header0
        return BlockView(kind(FileWindow(self, "config")), self)

    @property
    def caps(self) -> Capabilities:
        """Its capabilities, decoded."""
        return Capabilities(self)

    def bar(self, n: int) -> RemoteFile:
        """A BAR as a file: `bar(5).pread(4, 0x10)`."""
        return self.file(f"bar{n}")

    def file(self, name: str) -> RemoteFile:
        """One of its register files, opened once."""
        if name not in self._files:
            self._files[name] = self.tree.raw(str(self.path / name), "r+")
        return self._files[name]

    def __repr__(self) -> str:
        f = self.listed
        lines = [f"{f.address} {f.name} [{f.code[:4]}]: {f.vendor}:{f.device}"]
        lines.append(f"  owner {self.owner or '-'}, irq {f.irq if f.irq >= 0 else '-'}")
        lines += [f"  bar{b['bar']} at {b['address']:#x}, {b['size']:#x} bytes" for b in f.bars]
        return "\n".join(lines)


class Capabilities:
    """A function's capability list: `caps.msi`, or `caps[0x80]` by offset. It is read when it is shown or asked."""

    def __init__(self, function: FunctionView) -> None:
        self._function = function

    def _found(self) -> Iterator[tuple[str, int, Block]]:
        window = FileWindow(self._function, "config")
        for found in capabilities(window):
            block = capability_block(window, found)
            block.name = name_of(found.id)
            yield block.name, found.offset, block

    def __getattr__(self, name: str) -> BlockView:
        if name.startswith("_"):  # whoever asks looks for what Python's own things have
            raise AttributeError(name)
        return self._one(name, name)

    def __getitem__(self, offset: int) -> BlockView:
        return self._one(offset, f"capability at {offset:#x}")

    def _one(self, wanted: str | int, what: str) -> BlockView:
        found = list(self._found())
        for name, at, block in found:
            if wanted in (name, at):
                return BlockView(block, self._function)
        raise AttributeError(
            f"{self._function.name} has no {what}; it has {' '.join(n for n, _, _ in found)}"
        )

    def __repr__(self) -> str:
        return (self._function.path / "caps").read_text().rstrip("\n")


def name_of(id: int) -> str:
    """`msi`, or `cap_1f` where it has no name."""
    return CapId(id).name.lower() if id in list(CapId) else f"cap_{id:02x}"


class Pci:
    """The functions of the machine, by name: `pci["00:1f.2"]`."""

    def __init__(self, tree: RemoteTree) -> None:
        self.tree = tree
        self._views: dict[str, FunctionView] = {}

    def listed(self) -> dict[str, Listed]:
        """What the bus says of each, by name."""
        return {f.address: f for f in functions(self.tree.read_bytes, self.tree.listdir)}

    def __getitem__(self, name: str) -> FunctionView:
        try:
            full = bdf_text(bdf(name))
        except ValueError as error:
            raise KeyError(str(error)) from None
        if full not in self._views:
            found = self.listed()
            if full not in found:
                raise KeyError(f"{name}: there is no such function; there are: {' '.join(found)}")
            self._views[full] = FunctionView(self.tree, found[full])
        return self._views[full]

    def __iter__(self) -> Iterator[FunctionView]:
        return (self[name] for name in self.listed())

    def __len__(self) -> int:
        return len(self.listed())

    def keys(self) -> list[str]:
        """Their names, in the order of the bus."""
        return list(self.listed())

    def close(self) -> None:
        """Give back what was claimed."""
        for view in self._views.values():
            with contextlib.suppress(OSError):
                view.release()

    def __repr__(self) -> str:
        lines = [
            f"{f.address} {f.name} [{f.code[:4]}]: {f.vendor}:{f.device}"
            for f in self.listed().values()
        ]
        return "\n".join(lines)
