"""Our model answers as QEMU 7.2's ICH9 AHCI did when it was recorded, but where a line says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.models.ahci import Quirks
from lux9.models.disk import Disk

from .record_qemu import content
from .rig import Rig

RECORD = Path(__file__).parent / "data" / "qemu-7.2-ahci.txt"


def scenarios() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    acts: list[str] = []
    for line in RECORD.read_text().splitlines():
        if line.startswith("start "):
            acts = found[line.split()[1]] = []
        else:
            acts.append(line)
    return found


def act(rig: Rig, line: str) -> str:
    """Do a line; the same line with what the model answered."""
    verb, *words = line.split(" ! ")[0].split()
    if verb == "settle":
        rig.host.run()
        return line
    at = int(words[0], 16)
    if verb[0] == "r":
        return f"{verb} {at:x} {rig.window.read(at, int(verb[1])):x}"
    if verb[0] == "w":
        rig.window.write(at, int(verb[1]), int(words[1], 16))
    elif verb == "put":
        data = bytes.fromhex(words[1])
        rig.host.memory(at, len(data))[:] = data
    else:
        got = bytes(rig.host.memory(at, len(words[1]) // 2)).hex()
        shown = (".." if a == "." else got[i : i + 2] for i, a in enumerate(words[1]) if not i % 2)
        return f"get {at:x} {''.join(shown)}"
    return line


def expected(line: str) -> str:
    recorded, _, ours = line.partition(" ! ")
    return recorded if not ours else f"{recorded.rpartition(' ')[0]} {ours.split()[0]}"


@pytest.mark.parametrize("name", scenarios())
def test_as_recorded(name: str, tmp_path: Path) -> None:
    (tmp_path / "d.img").write_bytes(content())
    disk = Disk(tmp_path / "d.img", serial="QM00001")
    # How QEMU goes on after an error is a quirk of its own
    rig = Rig(disk, Quirks(runs_on=name.startswith("several")))
    lines = scenarios()[name]
    wrong: list[str] = []
    for number, line in enumerate(lines):
        if (got := act(rig, line)) != expected(line) and line[0] in "rg":
            wrong.append(f"{number}: {line}\n      model: {got}")
    disk.close()
    assert not wrong, "\n".join(["differences", *wrong])
