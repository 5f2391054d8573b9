"""Resetting one function through configuration space, on any machine.

The methods in order: function level reset by the PCI Express capability, by the advanced features capability,
leaving D3hot where that does not keep the state, and reset of the bus behind a bridge where nobody else is there.
What firmware set up is put back after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from ..arch import pci as arch
from ..errors import DeviceGone
from .abstract import Bdf, Machine
from .buses import bridge_to
from .functions import Config, present

Pause = Callable[[float], None]
RESET_TIME = 0.001  # Trst: PCI 3.0 table 4-6, PCIe 4.0 §6.6.1


class Method(NamedTuple):
    """A way to reset a function; `act` takes what waits for so many seconds."""

    name: str
    act: Callable[[Pause], None]


def methods(machine: Machine, bdf: Bdf) -> list[Method]:
    """The methods that a function has, the gentlest first."""
    found = [*_by_capability(machine, bdf)]
    found.sort(key=lambda method: method.name.startswith("power"))
    bridge = bridge_to(machine, bdf >> 8)
    if bridge is not None and list(present(machine, bdf >> 8)) == [bdf]:
        found.append(Method("reset of the bus behind its bridge", partial(_bus, bridge)))
    return found


def _by_capability(machine: Machine, bdf: Bdf) -> Iterator[Method]:
    config = Config(machine, bdf)
    for found in list(arch.capabilities(config)):
        block = arch.capability_block(config, found)
        if isinstance(block, arch.Pcie) and block.devcap.read().flr:
            yield Method("function level reset (PCI Express)", partial(_express, block))
        elif isinstance(block, arch.Af) and block.caps.read().flr:
            yield Method("function level reset (advanced features)", partial(_advanced, block))
        elif isinstance(block, arch.Pm) and not block.control.read().no_soft:
            yield Method("power management (D3hot and back)", partial(_power, block))


def by_config(machine: Machine, bdf: Bdf, pause: Pause) -> str | None:
    """Reset by the first method that there is, and give its name; None when there is none.

    `pause` waits for so many seconds. BARs, command register and interrupt line are kept. Raises DeviceGone
    when the function does not answer afterwards.
    """
    ways = methods(machine, bdf)
    if not ways:
        return None
    name, act = ways[0]
    kept = Kept(machine, bdf)
    act(pause)
    if Config(machine, bdf).read(arch.Header.vendor.offset, 2) == arch.NO_FUNCTION:
        raise DeviceGone(f"{arch.bdf_text(bdf)} does not answer after {name}")
    kept.restore()
    return name


class Kept:
    """What firmware set up in a header, to put back: the command register last."""

    def __init__(self, machine: Machine, bdf: Bdf) -> None:
        self.config = config = Config(machine, bdf)
        self.header = arch.Header0(config)
        self.command = self.header.command.read()
        self.line = self.header.line.read()
        self.cache = self.header.cache_line.read()
        layout = self.header.header_type.read().layout
        count = arch.BARS[layout] if layout < len(arch.BARS) else 0
        first = arch.Header0.bar.offset
        self.bars = [(at, config.read(at, 4)) for at in range(first, first + 4 * count, 4)]

    def restore(self) -> None:
        """Put it back."""
        for at, value in self.bars:
            self.config.write(at, 4, value)
        self.header.line.write(self.line)
        self.header.cache_line.write(self.cache)
        self.header.command.write(self.command)


def _express(block: arch.Pcie, pause: Pause) -> None:
    block.devctl.update(flr=True)
    pause(arch.FLR_LIMIT)


def _advanced(block: arch.Af, pause: Pause) -> None:
    block.control.write(arch.AfControl(flr=True))
    pause(arch.FLR_LIMIT)


def _power(block: arch.Pm, pause: Pause) -> None:
    for state in (arch.PowerState.D3, arch.PowerState.D0):
        block.control.update(state=state)
        pause(arch.D3_LIMIT)


def _bus(bridge: arch.Header1, pause: Pause) -> None:
    bridge.control.update(reset=True)
    pause(RESET_TIME)
    bridge.control.update(reset=False)
    pause(arch.FLR_LIMIT)
