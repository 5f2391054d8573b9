"""Cards that whoever runs the machine plugs in and pulls out with `lux9 put`, and the drivers that follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.errors import RemoteError
from tests.machine.qemu.system import needs_qemu
from tests.system.running import Running, lux9

MACHINES = {
    "sim": ((), "ahci", "edu"),
    "qemu": (
        ("--machine", "qemu", *("--device", "pcie-root-port,id=rp,slot=1")),
        "ahci,bus=rp",
        "edu,bus=rp",
    ),
}


@pytest.mark.parametrize("machine", ["sim", pytest.param("qemu", marks=needs_qemu)])
def test_a_card_is_plugged_in_and_its_driver_comes_and_goes(
    disk: Path, tmp_path: Path, machine: str
) -> None:
    options, ahci, edu = MACHINES[machine]
    with Running(tmp_path, *options, "--disk", str(disk), "--read-only") as r:
        for _ in range(2):
            comes_and_goes(r, ahci)
        name = put(r, f"plug {edu}")
        put(r, f"unplug {name}")
        r.until("/dev/pci/bus", lambda text: name not in text)
        name = put(r, f"plug {edu}")
        assert f"{name} vendor=0x1234 device=0x11e8" in r.read("/dev/pci/bus")
        r.alive()
        told = [(e["what"], e["target"]) for e in r.audit(verdict="allowed")]
        assert ("pci plug", edu) in told
        assert ("pci unplug", name) in told


def put(r: Running, text: str) -> str:
    done = lux9("--addr", r.address, "put", "--answer", "/dev/pci/ctl", text)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def comes_and_goes(r: Running, card: str) -> None:
    name = put(r, f"plug {card}")
    r.until("/dev/sdctl", lambda text: f"sdF ahci {name} 0 units" in text)
    (driver,) = [n for n in ("ahci0", "ahci1") if _binding(r, n) == name]
    assert r.status(driver)["state"] == "running"
    put(r, f"unplug {name}")
    r.until(f"/dev/sip/servers/{driver}/status", lambda text: "state: stopped" in text)
    assert "its function was pulled out" in r.read(f"/dev/sip/servers/{driver}/status")
    r.until("/dev/sdctl", lambda text: "sdF" not in text)
    r.until("/dev/pci/bus", lambda text: name not in text)


def _binding(r: Running, name: str) -> str:
    try:
        return r.status(name).get("binding", "")
    except RemoteError:
        return ""


@pytest.mark.parametrize("machine", ["sim", pytest.param("qemu", marks=needs_qemu)])
def test_what_cannot_be_plugged_or_pulled_is_refused(tmp_path: Path, machine: str) -> None:
    with Running(tmp_path, "--machine", machine) as r:
        for text, words in (
            ("plug nonsense", "nonsense"),
            ("unplug 0000:00:1f.2", "is part of the board"),
            ("unplug 0000:00:1c.0", "has no card"),
            ("unplug fish", "fish"),
        ):
            with pytest.raises(RemoteError, match=words):
                r.write("/dev/pci/ctl", text)
            assert text.split()[1] in [e["target"] for e in r.audit(f"pci {text.split()[0]}")]
        if machine == "qemu":
            with pytest.raises(RemoteError, match="boot with --device pcie-root-port,id=NAME"):
                r.write("/dev/pci/ctl", "plug edu")
