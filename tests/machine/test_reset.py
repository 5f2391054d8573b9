"""The methods of a reset, found and used through configuration space."""

from __future__ import annotations

import pytest

from lux9.arch import ich9, pci as arch
from lux9.errors import DeviceGone
from lux9.machine import firmware
from lux9.machine.reset import by_config, methods
from lux9.machine.sim.sim import Sim
from lux9.models.bridge import Bridge
from lux9.models.capabilities import Advanced, Express, Power
from lux9.models.pci import Capability
from lux9.models.q35 import Lpc
from lux9.models.shape import Bar
from tests.models.cards import IDENTITY, Card

EXPRESS = IDENTITY._replace(express=True)


def nothing(seconds: float) -> None:
    """No wait."""


def board(*capabilities: Capability) -> tuple[Sim, Card]:
    card = Card({0: Bar(0x1000)}, capabilities, EXPRESS)
    sim = Sim([(0x10, card)])
    firmware.assign(sim)
    return sim, card


def test_the_gentlest_comes_first() -> None:
    sim, _ = board(Power(0x40), Advanced(0x48), Express(0x50))
    assert [m.name for m in methods(sim, 0x10)] == [
        "function level reset (advanced features)",
        "function level reset (PCI Express)",
        "power management (D3hot and back)",
    ]


@pytest.mark.parametrize("way", [Power(0x40), Advanced(0x40), Express(0x40)])
def test_each_resets_once_and_waits_as_long_as_its_specification_says(way: Capability) -> None:
    sim, card = board(way)
    waited: list[float] = []
    place = card.bar_address(0)
    assert by_config(sim, 0x10, waited.append)
    assert card.resets == 1
    assert card.bar_address(0) == place
    assert sum(waited) >= arch.D3_LIMIT


def test_no_method_is_none() -> None:
    sim, card = board()
    assert by_config(sim, 0x10, nothing) is None
    assert card.resets == 0


def test_a_function_that_does_not_come_back_is_gone() -> None:
    sim, card = board(Express(0x40))
    with pytest.raises(DeviceGone, match="does not answer"):
        by_config(sim, 0x10, lambda seconds: sim.unplug(card))


def test_the_bus_of_a_bridge_behind_a_bridge() -> None:
    sim, outer, inner, card = Sim(), Bridge(), Bridge(), Card()
    sim.plug(outer, 0x10)
    sim.plug(inner, 0x08, outer.below)
    sim.plug(card, 0x00, inner.below)
    firmware.assign(sim)
    assert card.bdf >> 8 == 2
    assert by_config(sim, card.bdf, nothing) == "reset of the bus behind its bridge"
    assert card.resets == 1


def test_after_a_reset_the_router_routes_nothing() -> None:
    card, lpc = Card(), Lpc()
    sim = Sim([(0x10, card), (ich9.LPC_BDF, lpc)])
    firmware.assign(sim)
    card.set_irq(True)
    assert sim.lines.level(11)
    lpc.reset()
    assert not sim.lines.level(11)
    assert sim.lines.level(22)
