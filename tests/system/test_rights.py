"""What a driver may not do: it is told, it is in the audit, and nobody else notices."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.running import AHCI, Running

SMBUS = "0000:00:1f.3"
PUPPET = Path(__file__).with_name("puppet.py")
FATAL = 1 << 29  # PxIS.HBFS, AHCI 1.3.1 §3.3.5
confined = pytest.mark.parametrize("machine_name", ["sim"], indirect=True)  # where DMA is
CAPABILITIES = ("pci", "mem", "irq", "dma")


def stanza(name: str, class_: str, capabilities: tuple[str, ...] = CAPABILITIES) -> str:
    words = ", ".join(f'"{c}"' for c in capabilities)
    return (
        f'[{name}]\nclass = "{class_}"\ncommand = ["{sys.executable}", "{PUPPET}"]\n'
        f'capabilities = [{words}]\nmount = "/dev"\nread = ["{PUPPET}"]\n'
    )


@pytest.fixture(scope="module")
def stage(
    disk: Path, machine_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Two drivers: one of the disk controller, one of the SMBus controller."""
    folder = tmp_path_factory.mktemp("stage")
    manifest = folder / "m.toml"
    manifest.write_text(stanza("rogue", "01.06.01") + stanza("victim", "0c.05"))
    options = ("--disk", str(disk), "--read-only", "--manifest", str(manifest))
    with Running(folder, "--machine", machine_name, *options) as made:
        assert say(made, "claim") == AHCI
        assert say(made, "claim", SMBUS) == SMBUS
        yield made


def say(running: Running, line: str, function: str = AHCI) -> str:
    """Pull a string, and hear what came of it."""
    with running.client() as client, client.open(f"/dev/{function}/do", 2) as f:
        return f.pread(f.pwrite(0, line.encode()), 1 << 16).decode()


def denied(running: Running, line: str, function: str = AHCI) -> str:
    """The same, which is refused and in the audit."""
    before = len(running.audit())
    answer = say(running, line, function)
    assert answer.startswith("refused: "), answer
    assert len(running.audit()) > before, f"not in the audit: {answer}"
    return answer


def bar(running: Running, function: str = AHCI, n: int = 5) -> int:
    ctl = running.read(f"/dev/pci/{function}/ctl")
    found = re.search(rf"^bar{n}: 0x([0-9a-f]+) ", ctl, re.MULTILINE)
    assert found, ctl
    return int(found[1], 16)


# -- registers


@pytest.mark.parametrize(
    ("offset", "count"),
    [(0x11, 4), (0x12, 4), (0x10, 3), (0x11, 2), (0x10, 6), (1, 8), (0x12, 100)],
)
def test_a_misaligned_or_odd_read(stage: Running, offset: int, count: int) -> None:
    assert f"{count} bytes at {offset:#x}" in denied(
        stage, f"read /dev/pci/{AHCI}/bar5 {offset} {count}"
    )


@pytest.mark.parametrize(
    ("offset", "data"), [(0x11, "00000000"), (0x10, "000000"), (2, "0000000000000000")]
)
def test_a_misaligned_or_odd_write(stage: Running, offset: int, data: str) -> None:
    assert "bad argument" in denied(stage, f"write /dev/pci/{AHCI}/bar5 {offset} {data}")


def test_past_the_end_of_the_bar(stage: Running) -> None:
    assert say(stage, f"read /dev/pci/{AHCI}/bar5 0x1000 4") == ""
    assert "past the 0x1000 bytes" in denied(stage, f"write /dev/pci/{AHCI}/bar5 0x1000 00000000")


def test_the_version_register_both_ways(stage: Running) -> None:
    here = say(stage, f"read /dev/pci/{AHCI}/bar5 0x10 4")
    assert here == say(stage, f"read /dev/mem {bar(stage) + 0x10:#x} 4")
    assert here in ("00000100", "00030100", "01030100")


@pytest.mark.parametrize(
    "address", ["0", "0xfee00000", "0xfec00000", "0xb0000000", "0xffffffffffffff00"]
)
def test_memory_outside_the_claim(stage: Running, address: str) -> None:
    found = denied(stage, f"read /dev/mem {address} 4")
    assert f"mem: {int(address, 0):#x} is not in a BAR that rogue has claimed" in found
    denied(stage, f"write /dev/mem {address} 00000000")


def test_memory_of_another_claim(stage: Running) -> None:
    assert "has claimed" in denied(stage, f"read /dev/mem {bar(stage):#x} 4", SMBUS)
    assert "has claimed" in denied(stage, f"write /dev/mem {bar(stage) + 4:#x} 01000000", SMBUS)


def test_configuration_that_is_not_the_drivers(stage: Running) -> None:
    path = f"/dev/pci/{AHCI}/config"
    before = stage.read("/dev/pci/dump")
    assert "refused" in denied(stage, f"write {path} 0x24 00000000")  # BAR 5
    assert stage.read("/dev/pci/dump") == before


# -- what it sees


def test_it_sees_its_own_function_alone(stage: Running) -> None:
    assert say(stage, "ls /dev/pci") == AHCI
    assert say(stage, "ls /dev/pci", SMBUS) == SMBUS
    assert say(stage, f"read /dev/pci/{SMBUS}/config 0 4").startswith(
        "refused: file does not exist"
    )
    for path in ("/dev/sip/ctl", "/srv", "/dev/audit", "/dev/kmesg", "/root", "/dev/pci/bus"):
        assert say(stage, f"read {path} 0 1").startswith("refused: file does not exist"), path


def test_it_sees_itself_alone_in_proc(stage: Running) -> None:
    (number,) = say(stage, "ls /proc").split()
    assert b"name: rogue\n".hex() in say(stage, f"read /proc/{number}/status 0 500")
    other = next(n for n in "12" if n != number)
    assert "file does not exist" in say(stage, f"read /proc/{other}/status 0 10")


@pytest.mark.parametrize("device", ["#P", "#i", "#c", "#s", "#M", f"#P/{SMBUS}", "#Z", "#"])
def test_it_cannot_attach_what_it_was_not_given(stage: Running, device: str) -> None:
    assert "rogue was given" in denied(stage, f"attach {device}")


def test_it_can_attach_what_it_was_given(stage: Running) -> None:
    assert say(stage, f"attach #P/{AHCI}") == "Rattach"
    assert say(stage, "attach #D") == "Rattach"


@pytest.mark.parametrize(
    "line",
    [
        "bind '#P' /dev/pci",
        "bind -a '#c' /dev",
        "mount '#s/victim' /x",
        f"bind '#P/{SMBUS}' /a",
        "bind '#i' /x",
    ],
)
def test_it_cannot_bind_what_it_was_not_given(stage: Running, line: str) -> None:
    before = say(stage, "read /proc/self/ns 0 4096")
    assert "rogue was given" in denied(stage, f"put /proc/self/ns {line}")
    assert say(stage, "read /proc/self/ns 0 4096") == before


def test_it_can_rearrange_what_it_has(stage: Running) -> None:
    assert say(stage, f"put /proc/self/ns bind '#P/{AHCI}' /mine").isdigit()
    assert say(stage, "read /mine/config 0 2") == "8680"
    assert say(stage, "put /proc/self/ns unmount /mine").isdigit()
    assert "file does not exist" in say(stage, "read /mine/config 0 2")


def test_a_function_that_somebody_else_has(stage: Running) -> None:
    with stage.client() as client, pytest.raises(Exception, match="rogue"):
        client.write(f"/dev/pci/{AHCI}/ctl", b"claim")
    assert any(e["what"] == "pci claim" for e in stage.audit())


# -- interrupts and buffers


def test_lines_that_are_not_its_own(stage: Running) -> None:
    denied(stage, "put /dev/irq/ctl register 8 clock")
    denied(stage, "put /dev/irq/ctl register 999 clock")
    denied(stage, "read /dev/irq/5 0 10")


def test_buffers_that_cannot_be(stage: Running) -> None:
    for request in (
        "size 0",
        "size -1",
        "size 4096 align 3",
        f"size {17 << 20}",
        f"size {1 << 60}",
    ):
        assert "dma" in denied(stage, f"ask /dev/dma/alloc {request}").lower(), request
    assert "bad argument" in say(stage, "ask /dev/dma/alloc please")


def test_too_many_buffers(stage: Running) -> None:
    answers = (say(stage, "ask /dev/dma/alloc size 4096", SMBUS) for _ in range(300))
    refusal = next(answer for answer in answers if answer.startswith("refused"))
    assert "limit 256" in refusal
    assert say(stage, "ask /dev/dma/alloc size 4096").startswith("vaddr:0x")


def test_anothers_buffer(stage: Running) -> None:
    answer = say(stage, "ask /dev/dma/alloc size 4096")
    handle = answer.split("handle:")[1].strip()
    assert say(stage, f"read /dev/dma/{handle} 0 8") == "00" * 8
    assert say(stage, f"read /dev/dma/{handle} 0 8", SMBUS).startswith("refused: ")
    assert say(stage, f"put /dev/dma/ctl free {handle}", SMBUS).startswith("refused: ")
    assert say(stage, f"put /dev/dma/ctl free {handle}").isdigit()


# -- DMA


def test_dma_within_the_arena(stage: Running, disk: Path) -> None:
    address = say(stage, "alloc 4096")
    status, task, left = say(stage, f"dma {address} 512").split()
    assert (int(status, 0) & FATAL, int(task, 0) & 1, left) == (0, 0, "0x0")
    handle_values = say(stage, "peek 0").split()
    assert len(handle_values) > 1, "the sector was not written"
    assert disk.read_bytes()[510:512] == b"\x55\xaa"


@confined
@pytest.mark.parametrize("where", ["0x0", "0xfee00000", "0xb0000000", "0xffffffff00000000"])
def test_a_prdt_that_points_out_of_the_arena(stage: Running, where: str) -> None:
    status, _, _ = say(stage, f"dma {where} 512").split()
    assert int(status, 0) & FATAL
    assert (
        "refused" in [line for line in stage.read("/dev/kmesg").splitlines() if "DMA" in line][-1]
    )


@confined
def test_a_prdt_that_points_to_somebody_elses_arena(stage: Running) -> None:
    say(stage, "put /dev/dma/ctl free 1", SMBUS)
    address = victims_buffer(stage)
    status, _, _ = say(stage, f"dma {address} 512").split()
    assert int(status, 0) & FATAL
    assert say(stage, "peek 0", SMBUS) == str(0x55)


def victims_buffer(stage: Running) -> str:
    """Once, whatever its buffers are used up for."""
    for handle in range(1, 1000):
        if not say(stage, "alloc 4096", SMBUS).startswith("refused"):
            break
        say(stage, f"put /dev/dma/ctl free {handle}", SMBUS)
    lines = [e for e in stage.audit("dma alloc", "allowed") if e["who"].startswith("victim/")]
    return hex(lines[-1]["paddr"])


def test_without_capabilities(tmp_path: Path, disk: Path) -> None:
    manifest = tmp_path / "m.toml"
    manifest.write_text(stanza("poor", "01.06.01", ()))
    options = ("--disk", str(disk), "--read-only", "--manifest", str(manifest))
    with Running(tmp_path, *options) as running:
        assert "refused" in say(running, f"put /dev/pci/{AHCI}/ctl claim")
        assert "lacks capability pci" in denied(running, f"attach #P/{AHCI}")
        for name in ("mem", "irq", "dma"):
            assert f"poor lacks capability {name}" in say(running, f"read /dev/{name}/ctl 0 1")
        assert "file does not exist" in say(running, "read /dev/cons 0 1")
        for device in ("#m", "#I", "#D"):
            assert "poor was given" in denied(running, f"attach {device}")
        assert "caps: -" in running.read("/proc/1/status")
