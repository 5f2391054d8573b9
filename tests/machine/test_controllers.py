"""Resetting a controller by its class's own registers."""

from __future__ import annotations

import asyncio

import pytest

from lux9.arch import ahci
from lux9.errors import DeviceTimeout
from lux9.machine.controllers import by_class
from lux9.machine.functions import Memory, scan
from lux9.machine.sim import Sim, q35
from lux9.models.ahci import Ahci

SATA, LPC = 0x1F << 3 | 2, 0x1F << 3


def started() -> tuple[Sim, ahci.HBA]:
    sim = q35()
    asyncio.run(sim.start(lambda n, up: None, lambda about, text: None))
    bar = next(f for f in scan(sim) if f.bdf == SATA).bar(5)
    assert bar is not None
    return sim, ahci.HBA(Memory(sim, bar.address))


@pytest.mark.parametrize("command", [0, 2, 6])
def test_an_ahci_controller_is_reset_and_its_command_register_kept(command: int) -> None:
    sim, hba = started()
    sim.config_write(SATA, 4, 2, 2)
    hba.ghc.write(ahci.GHC(ae=True, ie=True))
    sim.config_write(SATA, 4, 2, command)
    assert by_class(sim, SATA) == "HBA reset (AHCI)"
    assert sim.config_read(SATA, 4, 2) == command
    sim.config_write(SATA, 4, 2, 2)
    assert not hba.ghc.read().ie
    asyncio.run(sim.close())


def test_a_function_of_another_class_has_no_such_reset() -> None:
    sim, _ = started()
    assert by_class(sim, LPC) is None
    assert by_class(sim, 0x50) is None
    asyncio.run(sim.close())


def test_a_controller_whose_registers_have_no_place() -> None:
    sim, _ = started()
    sim.config_write(SATA, 0x24, 4, 0)
    assert by_class(sim, SATA) is None
    asyncio.run(sim.close())


def test_a_controller_that_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(model: Ahci) -> ahci.GHC:
        return model.regs.ghc.value.replace(hr=True)

    monkeypatch.setattr(Ahci, "begin_reset", never)
    monkeypatch.setattr(ahci, "RESET_LIMIT", 0.05)
    sim, _ = started()
    sim.config_write(SATA, 4, 2, 6)
    with pytest.raises(DeviceTimeout, match=r"ghc is still GHC\(.*hr"):
        by_class(sim, SATA)
    assert sim.config_read(SATA, 4, 2) == 6
    asyncio.run(sim.close())
