"""/dev/pci: the bus as files. A directory a function, in the formats of Plan 9's `#$`, sysfs and lspci."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from ...arch.pci import (
    CapHeader,
    Found,
    Msi,
    capability_block,
    class_name,
)
from ...errors import ControlError
from ...machine.functions import FunctionInfo
from ...pending import Maybe, run
from ...regs import RO, Block, Reg, Register
from ...tree import Dir, Raw, entries, raw, text, verb
from ..hardware import Function, Hardware
from ..hardware.policy import cap_name
from ..process import Process

RESOURCES = 7  # lines of sysfs' `resource`: six BARs and the expansion ROM


def triple(code: int) -> str:
    """A class code as `01.06.01`."""
    return f"{code >> 16:02x}.{code >> 8 & 0xFF:02x}.{code & 0xFF:02x}"


class PciDir(Dir):
    """PCI functions."""

    steady = True  # the bus tells when functions come or go

    def __init__(self, hardware: Hardware, process: Process) -> None:
        self.hardware, self.process = hardware, process

    @text(0o664)
    def ctl(self) -> str:
        """How many functions there are; takes the commands below."""
        return f"devices: {len(self.hardware.functions)}\n"

    @verb(0)
    def rescan(self) -> None:
        """Look for functions that came or went."""
        self.hardware.bus.rescan(self.process)

    @verb(1, rest=True)
    def plug(self, card: str) -> Maybe[str | None]:
        """Plug a card into an emulated machine, as `lux9 boot --device` names it; where it is can be read back."""
        return run(self.hardware.bench.plug(self.process, card)).map(lambda name: f"{name}\n")

    @verb(1)
    def unplug(self, function: str) -> Maybe[str | None]:
        """Pull a card out of an emulated machine, whatever it is doing."""
        return run(self.hardware.bench.unplug(self.process, function)).map(lambda _: None)

    @verb(1, rest=True)
    def fault(self, rule: str) -> Maybe[str | None]:
        """Order a fault of an emulated machine, as `lux9 boot --fault` has it; `none` takes all away."""
        return run(self.hardware.bench.fault(self.process, rule)).map(lambda _: None)

    @text(0o444)
    def bus(self) -> str:
        """A line a function, then a line for each of its BARs."""
        return "".join(_bus_lines(f.info) for f in self.hardware.functions.values())

    @text(0o444)
    def dump(self) -> str:
        """Configuration space of all functions, as `lspci -F` reads it."""
        return "\n".join(_dump(f) for f in self.hardware.functions.values()) + "\n"

    @entries
    def functions(self) -> Mapping[str, Dir]:
        """A directory a function, `0000:00:1f.2`."""
        return {n: FunctionDir(self.hardware, self.process, n) for n in self.hardware.functions}

    def child(self, name: str) -> Dir | None:
        """One function's directory, without making the others'."""
        if name not in self.hardware.functions:
            return None
        return FunctionDir(self.hardware, self.process, name)


def _bus_lines(f: FunctionInfo) -> str:
    head = (
        f"{f.name} vendor={f.vendor:#06x} device={f.device:#06x} "
        f"class={triple(f.code)} irq={f.irq}\n"
    )
    return head + "".join(f"  bar{b.index}: addr={b.address:#x} size={b.size:#x}\n" for b in f.bars)


def _dump(f: Function) -> str:
    info = f.info
    place = info.name.removeprefix("0000:")
    lines = [f"{place} {class_name(info.code)}: {info.vendor:04x}:{info.device:04x}"]
    for at in range(0, f.size, 16):
        words = (f.window.read(at + i, 4).to_bytes(4, "little") for i in range(0, 16, 4))
        lines.append(f"{at:02x}: {b''.join(words).hex(' ')}")
    return "\n".join(lines) + "\n"


class FunctionDir(Dir):
    """A PCI function: its configuration, its BARs, and who has claimed it."""

    steady = True  # another function in its place is a change of the bus

    def __init__(self, hardware: Hardware, process: Process, name: str) -> None:
        self.hardware, self.process, self.name = hardware, process, name

    @property
    def function(self) -> Function:
        """The function, as long as it is there. Raises NotFound."""
        return self.hardware.bus.find(self.name)

    # What it is

    @text(0o664)
    def ctl(self) -> str:
        """What it is, where its BARs are and who has claimed it; takes the commands below."""
        f = self.function.info
        lines = [f"vendor: {f.vendor:#06x}", f"device: {f.device:#06x}"]
        lines += [f"class: {triple(f.code)}", f"irq: {f.irq}"]
        lines += [f"bar{b.index}: {b.address:#x} {b.size}" for b in f.bars]
        return "\n".join([*lines, *self._owner()]) + "\n"

    def _owner(self) -> Iterator[str]:
        claim = self.function.claim
        if claim is None:
            yield "owner: -"
            return
        yield f"owner: {claim.owner.name}"
        yield f"process: {claim.owner.number}"
        yield f"since: {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(claim.since))}"
        yield f"command: {claim.owner.command or '-'}"

    @text(0o444)
    def resource(self) -> str:
        """Start, end and flags of each BAR and of the expansion ROM, as sysfs has them."""
        rows = [(0, 0, 0)] * RESOURCES
        for b in self.function.info.bars:
            if b.address:
                rows[b.index] = (b.address, b.end - 1, b.flags)
        return "".join(f"0x{a:016x} 0x{b:016x} 0x{c:016x}\n" for a, b, c in rows)

    @text(0o444)
    def modalias(self) -> str:
        """What a driver binds to, as sysfs has it."""
        f, code = self.function.info, self.function.info.code
        return (
            f"pci:v{f.vendor:08X}d{f.device:08X}sv{f.subvendor:08X}sd{f.subsystem:08X}"
            f"bc{code >> 16:02X}sc{code >> 8 & 0xFF:02X}i{code & 0xFF:02X}\n"
        )

    @text(0o444)
    def caps(self) -> str:
        """A line a capability: offset, name, and its registers decoded."""
        f = self.function
        lines = [f"{c.offset:02x} {cap_name(c)}{_decoded(f, c)}\n" for c in f.capabilities]
        lines += [f"{c.offset:03x} {cap_name(c, extended=True)}\n" for c in f.extended]
        return "".join(lines)

    # Its registers

    @raw(0o660)
    def config(self) -> Raw:
        """Configuration space, 256 or 4096 bytes."""
        return self.hardware.open_config(self.process, self.name)

    @raw(0o660)
    def raw_(self) -> Raw:
        """The same, by the name that Plan 9 gives it."""
        return self.hardware.open_config(self.process, self.name)

    def _bar(self, n: int) -> Raw:
        return self.hardware.open_bar(self.process, self.name, n)

    @raw(0o660)
    def bar0(self) -> Raw:
        """BAR 0: offset is the offset in the BAR, count the access width."""
        return self._bar(0)

    @raw(0o660)
    def bar1(self) -> Raw:
        """BAR 1."""
        return self._bar(1)

    @raw(0o660)
    def bar2(self) -> Raw:
        """BAR 2."""
        return self._bar(2)

    @raw(0o660)
    def bar3(self) -> Raw:
        """BAR 3."""
        return self._bar(3)

    @raw(0o660)
    def bar4(self) -> Raw:
        """BAR 4."""
        return self._bar(4)

    @raw(0o660)
    def bar5(self) -> Raw:
        """BAR 5."""
        return self._bar(5)

    def shows(self, name: str) -> bool:
        """BARs that it does not have are not there."""
        return not name.startswith("bar") or int(name[3:]) in self.function.bars

    # Commands

    @verb(0)
    def claim(self) -> None:
        """Take the function, and let it answer at its BARs."""
        self.hardware.bus.claim(self.process, self.name)

    @verb(0)
    def release(self) -> None:
        """Give it back: interrupts masked, bus master off."""
        self.hardware.release(self.process, self.name)

    @verb(1)
    def master(self, state: str) -> None:
        """Let it read and write the arena: on or off."""
        if state not in {"on", "off"}:
            raise ControlError(f"master {state!r}: on or off")
        self.hardware.bus.master(self.process, self.name, state == "on")

    @verb(0)
    def reset(self) -> str:
        """Reset it; how that was done can be read back."""
        return self.hardware.reset(self.process, self.name) + "\n"

    @verb(0)
    def enable(self) -> None:
        """Let it answer at its BARs."""
        self.hardware.bus.enable(self.process, self.name, True)

    @verb(0)
    def disable(self) -> None:
        """Do not."""
        self.hardware.bus.enable(self.process, self.name, False)


def _decoded(f: Function, found: Found) -> str:
    """The registers after the head, those with fields decoded."""
    block = capability_block(f.window, found)
    return "".join(f" {name}={value}" for name, value in _values(block, _absent(block)))


def _absent(block: Block) -> set[str]:
    """Registers that this form of a capability does not have. PCI 3.0 §6.8.1"""
    if isinstance(block, Msi) and not block.control.read().maskable:
        return {"extended", "mask", "pending"}
    return set()


def _values(block: Block, absent: set[str]) -> Iterator[tuple[str, str]]:
    for name, slot in block.slots.items():
        reg: Reg[Any] = getattr(block, name)
        if slot.kind is CapHeader or name in absent or not isinstance(reg, RO):
            continue
        value: Register = reg.read()
        fields = value.shown()
        yield name, f"{value.raw:#x}" + (f"[{fields}]" if fields else "")
