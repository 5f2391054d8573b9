"""/dev/pci, in the formats that programs parse."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lux9.errors import Busy, ControlError, NotFound, PermissionDenied
from lux9.kernel.dev.pci import FunctionDir, PciDir
from lux9.kernel.process import ALL, Cap
from lux9.tree import synopsis
from tests.kernel.dev.files import Files
from tests.kernel.hardware.board import A, B, Board, C, Gadget


def pci(board: Board, name: str = "one", caps: Cap = ALL) -> Files:
    return Files(PciDir(board.hw, board.process(name, caps)))


def test_the_root(board: Board) -> None:
    files = pci(board)
    assert files.ls() == ["ctl", "bus", "dump", *board.hw.functions]
    assert files.read("ctl") == "devices: 6\n"


def test_bus(board: Board) -> None:
    text = pci(board).read("bus")
    f = board.hw.functions[A].info
    bars = "".join(f"  bar{b.index}: addr={b.address:#x} size={b.size:#x}\n" for b in f.bars)
    assert [b.size for b in f.bars] == [0x1000, 0x20, 0x2000]
    assert f"{A} vendor=0x1af4 device=0x10f0 class=08.80.00 irq={f.irq}\n{bars}" in text
    assert "0000:00:1f.0 vendor=0x8086 device=0x2918 class=06.01.00 irq=0\n" in text


def test_nothing_is_cut_off_however_many_there_are(board: Board) -> None:
    for device in range(3, 0x1A):
        board.sim.plug(Gadget(), device << 3)
    files = pci(board)
    assert files.read("bus").count("vendor=") == 6 + 23
    assert len(files.ls()) == 3 + 6 + 23


def test_rescan(board: Board) -> None:
    files = pci(board)
    assert not files.has("0000:00:05.0")
    board.sim.plug(Gadget(), 5 << 3)
    files.write("ctl", "rescan\n")
    assert files.read("ctl") == "devices: 7\n"
    assert "bar0" in files.ls("0000:00:05.0")


def test_dump_is_what_lspci_reads(board: Board, tmp_path: Path) -> None:
    lspci = shutil.which("lspci", path="/usr/bin:/usr/sbin:/sbin:/bin")
    if lspci is None:
        pytest.skip("lspci is missing (Debian: pciutils)")
    dump = tmp_path / "dump"
    dump.write_text(pci(board).read("dump"))
    run = [lspci, "-F", str(dump)]
    listed = subprocess.run([*run, "-n"], capture_output=True, text=True, check=True).stdout
    assert "00:1a.0 0880: 1af4:10f0 (rev 03)" in listed
    assert len(listed.splitlines()) == 6
    shown = subprocess.run([*run, "-vv"], capture_output=True, text=True, check=True).stdout
    assert "MSI-X: Enable- Count=8" in shown
    assert "BAR=2 offset=00001000" in shown


def test_dump_has_every_byte(board: Board) -> None:
    blocks = pci(board).read("dump").removesuffix("\n\n").split("\n\n")
    assert len(blocks) == 6
    by_place = {b.partition(" ")[0]: b.splitlines()[1:] for b in blocks}
    assert len(by_place["00:1a.0"]) == 16
    assert by_place["00:1a.0"][0].startswith("00: f4 1a f0 10 00 00 10 00 03 00 80 08")
    assert len(by_place["00:02.0"]) == 256
    assert by_place["00:02.0"][16].startswith("100: ")
    assert all(re.fullmatch(r"[0-9a-f]{2,3}:( [0-9a-f]{2}){16}", x) for x in by_place["00:02.0"])


# A function


def test_only_the_bars_that_there_are(board: Board) -> None:
    files = pci(board)
    text = ["ctl", "resource", "modalias", "caps", "config", "raw"]
    assert files.ls(A) == [*text, "bar0", "bar1", "bar2"]
    assert not files.has(f"{A}/bar5")
    assert not files.has("0000:09:00.0")


def test_ctl(board: Board) -> None:
    files, f = pci(board), board.hw.functions[A].info
    bars = "".join(f"bar{b.index}: {b.address:#x} {b.size}\n" for b in f.bars)
    facts = f"vendor: 0x1af4\ndevice: 0x10f0\nclass: 08.80.00\nirq: {f.irq}\n{bars}"
    assert files.read(f"{A}/ctl") == f"{facts}owner: -\n"
    files.write(f"{A}/ctl", "claim\n")
    owner = "owner: one\nprocess: 1\nsince: 1970-01-01T00:00:00Z\ncommand: /bin/one\n"
    assert files.read(f"{A}/ctl") == facts + owner
    files.write(f"{A}/ctl", "release\n")
    assert files.read(f"{A}/ctl") == f"{facts}owner: -\n"


def test_resource(board: Board) -> None:
    bars = board.hw.functions[A].bars
    lines = pci(board).read(f"{A}/resource").splitlines()
    assert len(lines) == 7
    assert (
        lines[0] == f"0x{bars[0].address:016x} 0x{bars[0].address + 0xFFF:016x} 0x0000000000040200"
    )
    assert (
        lines[1] == f"0x{bars[1].address:016x} 0x{bars[1].address + 0x1F:016x} 0x0000000000040101"
    )
    assert lines[2].endswith(" 0x000000000014220c")
    assert lines[3:] == ["0x0000000000000000 0x0000000000000000 0x0000000000000000"] * 4


def test_modalias(board: Board) -> None:
    assert (
        pci(board).read(f"{A}/modalias")
        == "pci:v00001AF4d000010F0sv00001AF4sd00001100bc08sc80i00\n"
    )


def test_caps(board: Board) -> None:
    files = pci(board)
    assert [line.split()[:2] for line in files.read(f"{A}/caps").splitlines()] == [
        ["40", "PM"],
        ["50", "MSI"],
        ["70", "MSI_X"],
        ["80", "ADVANCED_FEATURES"],
    ]
    assert "table=0x1002[offset=0x200 bir=0x2]" in files.read(f"{A}/caps")
    assert "control=0x184[maskable wide wanted=0x2]" in files.read(f"{A}/caps")
    assert "80 PCIE" in files.read(f"{C}/caps")


@pytest.mark.parametrize("name", ["config", "raw"])
def test_config_is_one_access_of_that_width(board: Board, name: str) -> None:
    handle = pci(board).open(f"{A}/{name}")
    assert handle.read(0, 4) == bytes.fromhex("f41af010")
    assert handle.read(0x0A, 2) == bytes.fromhex("8008")
    assert len(handle.read(0, 8192)) == 256
    handle.close()


def test_a_register_by_hand(board: Board) -> None:
    """What `lux9 cat -n 4 -o 0x10 …/bar0` does: nobody has claimed it, and nobody has afterwards."""
    handle = pci(board).open(f"{A}/bar0")
    assert handle.read(0x10, 4) == bytes(4)
    assert "owner: one" in pci(board, "two").read(f"{A}/ctl")
    with pytest.raises(Busy, match="claimed by one"):
        pci(board, "three").open(f"{A}/bar1")
    handle.close()
    assert "owner: -" in pci(board, "four").read(f"{A}/ctl")
    assert board.a.seen == [("r", 0, 0x10, 4)]


def test_the_verbs(board: Board) -> None:
    files = pci(board)
    ctl = f"{A}/ctl"
    files.write(ctl, "claim\nmaster on\n")
    assert board.a.command & 7 == 7
    files.write(ctl, "master off\n")
    assert board.a.command & 7 == 3
    files.write(ctl, "disable\n")
    assert board.a.command & 7 == 0
    files.write(ctl, "enable\n")
    assert board.a.command & 7 == 3
    assert files.ask(ctl, "reset\n") == "function level reset (advanced features)\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fly", "unknown command 'fly'; known: .*claim.*master STATE"),
        ("master", "usage: master STATE"),
        ("master maybe", "master 'maybe': on or off"),
        ("claim now", "usage: claim"),
    ],
)
def test_what_ctl_does_not_take(board: Board, line: str, words: str) -> None:
    with pytest.raises(ControlError, match=words):
        pci(board).write(f"{A}/ctl", line)


def test_verbs_are_for_the_owner(board: Board) -> None:
    one, two = pci(board), pci(board, "two")
    one.write(f"{A}/ctl", "claim")
    for line in ("release", "master on", "reset", "enable", "disable"):
        with pytest.raises(PermissionDenied, match="claimed by one, not by two"):
            two.write(f"{A}/ctl", line)
    with pytest.raises(Busy):
        two.write(f"{A}/ctl", "claim")
    two.write(f"{B}/ctl", "claim")


def test_without_the_capability(board: Board) -> None:
    files = pci(board, caps=Cap(0))
    for path in (f"{A}/config", f"{A}/bar0"):
        with pytest.raises(PermissionDenied, match="lacks capability"):
            files.open(path)
    with pytest.raises(PermissionDenied):
        files.write(f"{A}/ctl", "claim")
    with pytest.raises(PermissionDenied):
        files.write("ctl", "rescan")


def test_what_is_read_cannot_be_written(board: Board) -> None:
    for path in ("bus", "dump", f"{A}/resource", f"{A}/modalias", f"{A}/caps"):
        with pytest.raises(PermissionDenied):
            pci(board).open(path, 1)


def test_a_directory_of_a_function_that_has_gone(board: Board) -> None:
    files = pci(board)
    node = files.node(f"{A}/ctl")
    board.sim.unplug(board.a)
    files.write("ctl", "rescan")
    with pytest.raises(NotFound):
        node.open(0)


def test_the_modes_are_those_of_the_manual() -> None:
    modes = {e.name: e.mode for e in FunctionDir.table.values()}
    bars = dict.fromkeys([f"bar{n}" for n in range(6)], 0o660)
    text = dict.fromkeys(["resource", "modalias", "caps"], 0o444)
    assert modes == {"ctl": 0o664, "config": 0o660, "raw": 0o660, **text, **bars}
    assert {e.name: e.mode for e in PciDir.table.values()} == {
        "ctl": 0o664,
        "bus": 0o444,
        "dump": 0o444,
    }
    assert all(line.split(maxsplit=3)[3] for line in synopsis(FunctionDir))
