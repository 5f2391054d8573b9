"""Plugging and unplugging while the machine runs, where the guest's part of it is ours too.

QEMU's `device_del` only asks: the guest has to let go. On a PCI Express slot that is to switch the slot's power
off (PCIe 4.0 §6.7.1), on an i440FX board to write to ACPI's eject register. Nobody is asked here whether it suits:
to the drivers this is a card that is pulled out.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from typing import Any, cast

from ...arch import pci as arch
from ...errors import BadArgument, DeviceTimeout, NotFound
from ..abstract import Bdf, Machine
from ..functions import Config, FunctionInfo
from .qmp import Monitor

LED_ON, LED_OFF = 1, 3
EJECT, SELECT = 0xAE08, 0xAE10  # QEMU, docs/specs/acpi_pci_hotplug
ON_A_PORT = "boot with --device pcie-root-port,id=NAME,slot=1, and plug the card with bus=NAME"
_numbers = itertools.count(1)
LIMIT = 5.0  # seconds until a device that was let go of is gone


async def place(monitor: Monitor, id: str) -> Bdf:
    """Where the device with that id is. Raises NotFound."""
    for bus in await monitor.do("query-pci"):
        for found in _walk(bus["devices"]):
            if found["qdev_id"] == id:
                return int(found["bus"]) << 8 | int(found["slot"]) << 3 | int(found["function"])
    raise NotFound(f"QEMU has no device {id!r} on its buses")


async def add(monitor: Monitor, card: str) -> str:
    """`device_add` with a card in `-device`'s words; its id, ours where it has none. Raises BadArgument."""
    found = re.search(r"(?:^|,)id=([^,]*)", card)
    id = found[1] if found else f"lux9-{next(_numbers)}"
    line = card if found else f"{card},id={id}"
    said: str = await monitor.do("human-monitor-command", command_line=f"device_add {line}")
    if said.strip():
        text = " ".join(said.removeprefix("Error: ").split())
        hint = f"; {ON_A_PORT}" if "hotplug" in text else ""
        raise BadArgument(f"qemu: device_add {card}: {text}{hint}")
    return id


async def name_of(monitor: Monitor, bdf: Bdf) -> str:
    """The id of the device at `bdf`. Raises NotFound, BadArgument for what has none."""
    where = (bdf >> 8, bdf >> 3 & 31, bdf & 7)
    for bus in await monitor.do("query-pci"):
        for found in _walk(bus["devices"]):
            if (found["bus"], found["slot"], found["function"]) == where:
                if found["qdev_id"]:
                    return str(found["qdev_id"])
                raise BadArgument(
                    f"{arch.bdf_text(bdf)} is part of the board, or has no id; give it one: --device …,id=NAME"
                )
    raise NotFound(f"{arch.bdf_text(bdf)} has no card")


def _walk(devices: list[Any]) -> Iterator[Any]:
    for device in devices:
        yield device
        yield from _walk(device.get("pci_bridge", {}).get("devices", []))


def slot_of(machine: Machine, known: list[FunctionInfo], bdf: Bdf) -> arch.Pcie | None:
    """The slot's registers, in the port above a function; None where there is no such port."""
    for info in known:
        at = info.capability(arch.CapId.PCIE) if info.secondary == bdf >> 8 != 0 else None
        if at is not None:
            return arch.Pcie(Config(machine, info.bdf), at, f"{info.name} slot")
    return None


def with_it(known: list[FunctionInfo], bdf: Bdf) -> list[FunctionInfo]:
    """The functions that go when the device at `bdf` goes: its own, and those behind it."""
    own = [f for f in known if f.bdf >> 3 == bdf >> 3]
    buses = [range(f.secondary, f.subordinate + 1) for f in own if f.secondary]
    return own + [f for f in known if any(f.bdf >> 8 in bus for bus in buses)]


def power(slot: arch.Pcie, on: bool) -> None:
    """Switch the power of a slot, with its light."""
    slot.slotctl.update(power_off=not on, power_led=LED_ON if on else LED_OFF)


def eject(machine: Machine, bdf: Bdf) -> None:
    """Let go of a slot on bus 0 of an i440FX board."""
    machine.io_write(SELECT, 4, 0)
    machine.io_write(EJECT, 4, 1 << (bdf >> 3 & 31))


async def remove(
    monitor: Monitor, machine: Machine, known: list[FunctionInfo], id: str, bdf: Bdf
) -> None:
    """`device_del`, and the guest's part. Raises DeviceTimeout when QEMU does not let it go."""
    async with monitor.events("DEVICE_DELETED") as events:
        await monitor.do("device_del", id=id)
        slot = slot_of(machine, known, bdf)
        if slot is not None:
            power(slot, False)
        else:
            eject(machine, bdf)
        machine.config_read(bdf, 0, 2)  # what was posted is done
        try:
            async with asyncio.timeout(LIMIT):
                async for event in events:
                    if cast("dict[str, object]", event["data"]).get("device") == id:
                        return
        except TimeoutError:
            raise DeviceTimeout(f"QEMU did not let go of {id!r} within {LIMIT:g} s") from None
