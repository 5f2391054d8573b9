"""QEMU as a machine: what firmware leaves, accesses, interrupts, messages, arenas, reset, and its end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lux9.arch import pci as arch
from lux9.errors import (
    BadArgument,
    DeviceError,
    DeviceGone,
    LimitReached,
    NoMemory,
    NotFound,
    UserError,
)
from lux9.machine.abstract import Machine
from lux9.machine.functions import Config, FunctionInfo
from lux9.machine.qemu import Board, Medium, Qemu
from lux9.machine.qemu.board import PROGRAM
from lux9.machine.qemu.doorbell import COUNT, FIRST
from lux9.regs import U16
from tests.machine.qemu.system import needs_qemu

pytestmark = needs_qemu
LIMIT = 20.0
SATA = 0x1F << 3 | 2
ONES = 0xFFFF_FFFF
EDU = 0x11E8
RAISE, ACKNOWLEDGE = 0x60, 0x64  # edu's registers. QEMU, docs/specs/edu


class Running:
    """A started machine, and what its sink and report got."""

    def __init__(self, board: Board) -> None:
        self.machine = Qemu(board)
        self.told: list[tuple[int, bool]] = []
        self.reports: list[str] = []

    def sink(self, number: int, asserted: bool) -> None:
        self.told.append((number, asserted))

    def report(self, about: str, text: str) -> None:
        self.reports.append(f"{about}: {text}")

    def find(self, device: int) -> FunctionInfo:
        return next(f for f in self.machine.known if f.device == device)

    def enable(self, f: FunctionInfo) -> int:
        arch.Header0(Config(self.machine, f.bdf)).command.update(mem=True, master=True)
        return f.bars[0].address

    def risen(self) -> list[int]:
        """What was told as asserted, in order, now that QEMU has done everything."""
        self.machine.qtest.collect()
        self.machine.pump()
        return [n for n, up in self.told if up]

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT):
            while not true():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def started(*devices: str, **board: object) -> AsyncGenerator[Running, None]:
    running = Running(Board(devices=devices).but(**board))
    await running.machine.start(running.sink, running.report)
    try:
        yield running
    finally:
        await running.machine.close()


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await work()

    asyncio.run(limited())


def test_it_is_a_machine() -> None:
    machine: Machine = Qemu()
    assert isinstance(machine, Machine)
    assert machine.why_not() == []
    assert not machine.protects


def test_without_the_program_it_says_what_to_install() -> None:
    (lack,) = Qemu(Board(program="/nowhere/qemu")).why_not()
    assert "/nowhere/qemu" in lack.what
    assert "apt-get install" in lack.remedy


def test_a_q35_board_is_there_with_everything_placed() -> None:
    async def work() -> None:
        async with started() as r:
            names = {f.name: (f.vendor, f.device) for f in r.machine.known}
            assert names["0000:00:00.0"] == (0x8086, 0x29C0)
            assert names["0000:00:1f.2"] == (0x8086, 0x2922)
            assert "0000:00:1e.0" not in names, "the doorbell is ours alone"
            sata = r.find(0x2922)
            assert sata.irq == 11
            assert [b.address != 0 for b in sata.bars] == [True, True]
            r.machine.config_write(SATA, 4, 2, 2)
            assert r.machine.mem_read(sata.bars[1].address, 4) >> 31 == 1  # CAP.S64A
            assert r.machine.mem_read(sata.bars[1].address + 0x10, 4) == 0x0001_0000  # VS

    run(work)


def test_a_pc_board_has_its_own_router_and_ports() -> None:
    async def work() -> None:
        async with started("edu,addr=5", kind="pc") as r:
            assert {f.device for f in r.machine.known} >= {0x1237, 0x7000, 0x7010}
            edu, ide = r.find(EDU), r.find(0x7010)
            assert ide.bars[0].address >= 0x1000
            base = r.enable(edu)
            r.machine.mem_write(base + RAISE, 4, 1)
            await r.until(lambda: (edu.irq, True) in r.told)
            assert {n for n, _ in r.told} == {edu.irq}
            assert r.machine.config_size(edu.bdf) == 256

    run(work)


def test_a_pc_board_has_ports_for_itself_and_for_many_bridges() -> None:
    """Each bridge takes 4 KiB of them; from 0xa000 to 0xbfff they are the chipset's own."""
    devices = [what for n in range(1, 8) for what in (bridge(n), f"e1000,bus=b{n},addr=1")]

    async def work() -> None:
        async with started(*devices, kind="pc") as r:
            ports = [bar for f in r.machine.known for bar in f.bars if bar.kind == "io"]
            assert len(ports) == 8
            assert all(0x1000 <= b.address < b.end <= 0xA000 or b.address >= 0xC000 for b in ports)

    run(work)


def test_every_slot_but_the_doorbells_takes_a_card() -> None:
    async def work() -> None:
        async with started(*["pci-testdev"] * 29, kind="pc") as r:
            assert sorted({f.bdf >> 3 for f in r.machine.known}) == [*range(30), 0x1F]

    run(work)


def bridge(n: int) -> str:
    return f"pci-bridge,id=b{n},chassis_nr={n}"


def test_extended_space_is_expresss_only() -> None:
    async def work() -> None:
        async with started("pcie-root-port,id=rp", "e1000e,bus=rp", "edu") as r:
            card, edu = r.find(0x10D3), r.find(EDU)
            assert (r.machine.config_size(card.bdf), r.machine.config_size(edu.bdf)) == (4096, 256)
            assert r.machine.config_read(card.bdf, 0x100, 2) == 1  # advanced error reporting
            assert r.machine.config_read(0x50, 0, 4) == ONES
            assert r.machine.config_size(0x50) == 256

    run(work)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_configuration_accesses_of_each_width(width: int) -> None:
    async def work() -> None:
        async with started() as r:
            for board in range(2):
                r.machine.config.extended = not board
                got = r.machine.config_read(SATA, 0, width)
                assert got == 0x2922_8086 & (1 << 8 * width) - 1
                r.machine.config_write(SATA, 0x3C, 1, 5 + board)
                assert r.machine.config_read(SATA, 0x3C, width) & 0xFF == 5 + board

    run(work)


def test_memory_accesses_of_each_width() -> None:
    async def work() -> None:
        async with started() as r:
            arena = r.machine.arena(4096)
            view = arena.view()
            view[:8] = bytes(range(1, 9))
            for width in (1, 2, 4, 8):
                assert r.machine.mem_read(arena.bus, width) == int.from_bytes(
                    view[:width], "little"
                )
            r.machine.mem_write(arena.bus + 8, 8, 0x1122_3344_5566_7788)
            r.machine.mem_write(arena.bus + 16, 1, 0xFF)
            assert r.machine.mem_read(arena.bus + 8, 4) == 0x5566_7788
            assert view[8:17] == bytes.fromhex("8877665544332211ff")

    run(work)


def test_an_interrupt_comes_by_both_lines_and_goes_when_it_is_acknowledged() -> None:
    async def work() -> None:
        async with started("edu,addr=3") as r:
            edu = r.find(EDU)
            base = r.enable(edu)
            lines = {edu.irq, 16 + (3 % 4 + 4)}
            r.machine.mem_write(base + RAISE, 4, 1)
            await r.until(lambda: {n for n, up in r.told if up} == lines)
            r.machine.mem_write(base + ACKNOWLEDGE, 4, 1)
            await r.until(lambda: {n for n, up in r.told if not up} == lines)

    run(work)


def test_a_masked_line_is_told_when_it_is_unmasked() -> None:
    async def work() -> None:
        async with started("edu,addr=3") as r:
            edu = r.find(EDU)
            base, line = r.enable(edu), edu.irq
            for n in range(24):
                r.machine.mask(n)
            r.machine.mem_write(base + RAISE, 4, 1)
            assert r.machine.mem_read(base + 0x24, 4) == 1
            assert r.risen() == []
            r.machine.unmask(line)
            await r.until(lambda: r.told == [(line, True)])
            r.machine.mask(line)
            r.machine.unmask(line)  # still asserted
            await r.until(lambda: r.told == [(line, True)] * 2)
            r.machine.mask(line)
            r.machine.mem_write(base + ACKNOWLEDGE, 4, 1)
            r.machine.unmask(line)  # while the write that quiets it is on its way
            assert r.machine.mem_read(base + 0x24, 4) == 0
            assert r.risen() == [line] * 2

    run(work)


def test_messages_are_counted_one_by_one_and_stop_when_they_are_taken_back() -> None:
    async def work() -> None:
        async with started("edu") as r:
            edu = r.find(EDU)
            base, config = r.enable(edu), Config(r.machine, edu.bdf)
            (message,) = r.machine.messages(edu.bdf, 1)
            assert message.number == FIRST
            msi = arch.Msi64(config, edu.capability(arch.CapId.MSI) or 0)
            msi.address.write(arch.MsiAddress.of(message.address))
            msi.data.write(U16.of(message.data))
            msi.control.update(enable=True)
            for _ in range(3):
                r.machine.mem_write(base + RAISE, 4, 1)
            await r.until(lambda: len(r.told) == 3)
            assert r.told == [(FIRST, True)] * 3
            r.machine.free_messages(edu.bdf)
            r.machine.mem_write(base + RAISE, 4, 1)
            assert r.machine.mem_read(base, 4) == 0x010000ED
            assert r.risen() == [FIRST] * 3

    run(work)


def test_vectors_are_aligned_and_run_out() -> None:
    async def work() -> None:
        async with started() as r:
            first, second = r.machine.messages(8, 3), r.machine.messages(16, 4)
            assert [m.number for m in first] == [32, 33, 34]
            assert [m.number for m in second] == [36, 37, 38, 39]
            with pytest.raises(LimitReached, match=f"of {COUNT} are free"):
                r.machine.messages(24, COUNT)
            r.machine.free_messages(8)
            assert r.machine.messages(24, 1)[0].number == 32

    run(work)


def test_arenas_are_given_back_empty_and_end() -> None:
    async def work() -> None:
        async with started(memory=128 << 20) as r:
            arena = r.machine.arena(4096)
            bus = arena.bus
            arena.view()[:5] = b"whose"
            arena.close()
            arena.close()
            others = [r.machine.arena(32 << 20) for _ in range(2)]
            again = r.machine.arena(32 << 20)
            assert bus in {a.bus for a in (*others, again)}
            assert not any(bytes(a.view()[:5]) == b"whose" for a in (*others, again))
            with pytest.raises(NoMemory, match="--memory"):
                r.machine.arena(4096)

    run(work)


def test_resets() -> None:
    async def work() -> None:
        devices = ("pcie-root-port,id=rp,addr=4", "nvme,serial=x,bus=rp", "edu,addr=5")
        async with started(*devices) as r:
            nvme = r.find(0x10)
            before = [r.machine.config_read(nvme.bdf, at, 4) for at in (4, 0x10, 0x3C)]
            assert r.machine.reset(nvme.bdf) == "function level reset (PCI Express)"
            assert [r.machine.config_read(nvme.bdf, at, 4) for at in (4, 0x10, 0x3C)] == before
            assert r.machine.reset(SATA) == "HBA reset (AHCI)"
            with pytest.raises(DeviceError, match=r"00:05\.0 cannot be reset"):
                r.machine.reset(5 << 3)
            with pytest.raises(DeviceGone):
                r.machine.reset(9 << 3)

    run(work)


@pytest.mark.parametrize(
    ("kind", "slot", "card", "other"),
    [
        (
            "q35",
            "pcie-root-port,id=bus,slot=1",
            "e1000e,id=card,bus=bus",
            "nvme,bus=bus,serial=x",
        ),
        ("pc", "edu", "e1000,id=card", "e1000,bus=pci.0"),
    ],
)
def test_a_card_is_pulled_out_and_another_plugged_in(
    kind: str, slot: str, card: str, other: str
) -> None:
    async def work() -> None:
        async with started(slot, card, kind=kind) as r:
            count = len(r.machine.known)
            info = next(f for f in r.machine.known if f.code == 0x020000)
            base = r.enable(info)
            assert r.machine.mem_read(base + 8, 4) not in (0, ONES)
            await r.machine.unplug("card")
            assert r.machine.mem_read(base + 8, 4) == ONES
            assert r.machine.mem_read(base + 8, 1) == 0xFF
            assert r.machine.config_read(info.bdf, 0, 4) == ONES
            assert len(r.machine.known) == count - 1
            bdf = await r.machine.insert(other)
            new = next(f for f in r.machine.known if f.bdf == bdf)
            assert new.bars[0].address
            r.machine.config_write(bdf, 4, 2, 2)
            assert r.machine.mem_read(new.bars[0].address + 8, 4) != ONES
            await r.machine.pull(bdf)
            assert r.machine.config_read(bdf, 0, 4) == ONES
            with pytest.raises(BadArgument, match="device_add no-such-card: 'no-such-card' is not"):
                await r.machine.insert("no-such-card")
            with pytest.raises(BadArgument, match="is part of the board"):
                await r.machine.pull(0x1F << 3 if kind == "q35" else 0)
            with pytest.raises(NotFound, match=r"00:1c\.0 has no card"):
                await r.machine.pull(0x1C << 3)

    run(work)


def test_several_speak_to_the_monitor_at_once_and_one_gives_up() -> None:
    async def work() -> None:
        ports = [f"pcie-root-port,id=rp{n},slot={n},chassis={n}" for n in (1, 2)]
        async with started(*ports) as r:
            hasty = asyncio.ensure_future(r.machine.insert("edu,bus=nowhere"))
            await asyncio.sleep(0)  # it has begun to connect
            hasty.cancel()
            both = [r.machine.insert(f"e1000e,bus=rp{n}") for n in (1, 2)]
            assert sorted(await asyncio.gather(*both)) == [0x100, 0x200]

    run(work)


def test_a_card_for_a_qemu_that_is_gone() -> None:
    async def work() -> None:
        async with started() as r:
            os.kill(r.machine.pid, signal.SIGKILL)
            await r.until(lambda: r.reports)
            for _ in range(2):
                with pytest.raises(DeviceGone, match="QEMU ended before"):
                    await r.machine.insert("edu")

    run(work)


def test_a_screenshot(tmp_path: Path) -> None:
    async def work() -> None:
        async with started("VGA") as r:
            await r.machine.monitor.screenshot(tmp_path / "screen.png")
            assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")

    run(work)


@pytest.mark.parametrize(
    ("board", "words"),
    [
        (Board(devices=["no-such-device"]), "no-such-device"),
        (Board(drives=["if=none,id=x,file=/nowhere/x.img"]), "/nowhere/x.img"),
        (Board(media=[Medium(Path("/nowhere/y.img"))]), "/nowhere/y.img"),
        (Board(memory=100 << 20), "100 MiB"),
        (Board(devices=["edu,addr=1e"]), "-device edu,addr=1e: .* not available for edu"),
    ],
)
def test_what_qemu_does_not_like_is_told_in_its_words(board: Board, words: str) -> None:
    async def work() -> None:
        before = descriptors()
        with pytest.raises(UserError, match=words):
            await Qemu(board).start(lambda n, up: None, lambda about, text: None)
        assert not descriptors() - before

    run(work)


def descriptors() -> set[str]:
    """What this process has open, but for what came and went while we looked."""
    return {fd.name for fd in Path("/proc/self/fd").iterdir() if fd.exists()}


def test_nothing_is_left_behind() -> None:
    async def work() -> None:
        before = descriptors()
        async with started("edu") as r:
            pid = r.machine.pid
            await r.machine.monitor.do("query-status")
        assert not descriptors() - before
        assert not Path(f"/proc/{pid}").exists()

    run(work)


def test_another_program_that_is_no_qemu(tmp_path: Path) -> None:
    program = tmp_path / PROGRAM
    program.write_text("#!/bin/sh\necho not today >&2\nexit 3\n")
    program.chmod(0o755)

    async def work() -> None:
        with pytest.raises(UserError, match="exited with status 3: not today"):
            await Qemu(Board(program=str(program))).start(lambda n, up: None, lambda a, t: None)

    run(work)
