"""Records what QEMU's ICH9 AHCI answers to raw register accesses, for test_like_qemu.py to play to our model.

    python -m tests.models.record_qemu > tests/models/data/qemu-7.2-ahci.txt

A line is an act: `r4 OFFSET VALUE` a read and its answer, `w4 OFFSET VALUE` a write, `put ADDRESS BYTES` and
`get ADDRESS BYTES` memory (`..` a byte that does not count), `settle` time for the device, `start NAME` a new machine.
`! VALUE why` at the end: the model answers otherwise, and why.
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lux9.arch.ata import Command, Log, h2d, h2d_control

SECTORS = 2048
ABAR = 0xFEBF0000
LIST, FIS, TABLE, DATA = 0x0400_0000, 0x0400_1000, 0x0401_0000, 0x0410_0000  # as in rig.py
BAD = 0x7000_0000  # where there is no memory
LBA = 0x40
P = 0x100
CLB, FB, IS, IE, CMD, TFD, SIG, SSTS, SCTL, SERR, SACT, CI = (
    P + o for o in (0x00, 0x08, 0x10, 0x14, 0x18, 0x20, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x38)
)
Prds = Sequence[tuple[int, int]]


def content() -> bytes:
    """The disk: every 8 bytes their own number, so that the test can make it too."""
    return b"".join(i.to_bytes(8, "little") for i in range(SECTORS * 64))


class Recorder:
    """QEMU over qtest; every act is a line on standard output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, name: str) -> None:
        self.stop()
        image, bios, path = (
            self.folder / "d.img",
            self.folder / "bios",
            self.folder / f"{name}.sock",
        )
        image.write_bytes(content())
        bios.write_bytes(bytes(0xFFF0) + b"\xfa\xf4\xeb\xfd" + bytes(12))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", "256", "-bios", str(bios), "-nodefaults",
             "-display", "none", "-qtest", f"unix:{path}", "-qtest-log", "none",
             "-drive", f"file={image},if=none,id=d,format=raw", "-device", "ide-hd,drive=d,bus=ide.0"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.wire = listener.accept()[0].makefile("rwb", buffering=0)
        self._config(0x24, ABAR)
        self._config(0x04, 0x0406)
        print(f"start {name}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _ask(self, line: str) -> str:
        self.wire.write(line.encode() + b"\n")
        while True:
            answer = self.wire.readline().decode().strip()
            if not answer.startswith("IRQ"):
                return answer.removeprefix("OK").strip()

    def _config(self, offset: int, value: int) -> None:
        self._ask(f"outl 0xcf8 {0x80000000 | 0x1F << 11 | 2 << 8 | offset:#x}")
        self._ask(f"outl 0xcfc {value:#x}")

    def r(self, offset: int, width: int = 4, ours: int | None = None, why: str = "") -> int:
        got = int(self._ask(f"read{'.bw.l...q'[width]} {ABAR + offset:#x}"), 16)
        self._line(f"r{width} {offset:x} {got:x}", ours, why)
        return got

    def w(self, offset: int, value: int, width: int = 4) -> None:
        self._ask(f"write{'.bw.l...q'[width]} {ABAR + offset:#x} {value:#x}")
        print(f"w{width} {offset:x} {value:x}")

    def put(self, address: int, data: bytes) -> None:
        self._ask(f"write {address:#x} {len(data)} 0x{data.hex()}")
        print(f"put {address:x} {data.hex()}")

    def get(self, address: int, size: int, careless: range = range(0)) -> None:
        data = self._ask(f"read {address:#x} {size}").removeprefix("0x")
        shown = "".join(".." if i in careless else data[2 * i : 2 * i + 2] for i in range(size))
        print(f"get {address:x} {shown}")

    def settle(self) -> None:
        time.sleep(0.05)
        print("settle")

    def _line(self, line: str, ours: int | None, why: str) -> None:
        print(line if ours is None or line.endswith(f" {ours:x}") else f"{line} ! {ours:x} {why}")

    # What drivers do

    def run(self) -> None:
        """The port's engines."""
        for at, value in (
            (CLB, LIST),
            (CLB + 4, 0),
            (FB, FIS),
            (FB + 4, 0),
            (CMD, 0x16),
            (CMD, 0x17),
        ):
            self.w(at, value)
        self.w(IS, 0xFFFFFFFF)
        self.w(IE, 0xFFFFFFFF)
        self.w(4, 0x80000002)

    def command(
        self, fis: bytes, prds: Prds = (), slot: int = 0, write: bool = False, flags: int = 0
    ) -> None:
        """Into a slot."""
        flags |= write << 6 | 5
        table = TABLE + slot * 0x1000
        self.put(
            LIST + 32 * slot, struct.pack("<IIII", len(prds) << 16 | flags, 0xFFFFFFFF, table, 0)
        )
        self.put(table, fis)
        for i, (address, size) in enumerate(prds):
            self.put(table + 0x80 + 16 * i, struct.pack("<QII", address, 0, size - 1))

    def ring(self, slots: int = 1, queued: bool = False) -> None:
        if queued:
            self.w(SACT, slots)
        self.w(CI, slots)
        self.settle()

    def port(self, *ours: tuple[int, int, str]) -> None:
        """The port's registers; (offset, value, why) where the model differs."""
        differ = {offset: (value, why) for offset, value, why in ours}
        for offset in (IS, IE, CMD, TFD, SIG, SSTS, SCTL, SERR, SACT, CI):
            self.r(offset, 4, *differ.get(offset, (None, "")))

    def ack(self) -> None:
        self.w(IS, self.r(IS))
        self.r(8)
        self.r(IS)

    def restart(self) -> None:
        """After an error: stop, reset the device, start."""
        for at, value in (
            (CMD, 0x16),
            (SCTL, 1),
            (SCTL, 0),
            (IS, 0xFFFFFFFF),
            (SERR, 0xFFFFFFFF),
            (CMD, 0x17),
        ):
            self.w(at, value)


HALTED = "the list stops at an error, and CCS tells the slot: §6.2.2.1 (Quirks.runs_on: as QEMU)"
SHORT = "PRDs for less than the command has are an overflow: §6.1.5; QEMU moves nothing, and says nothing"
NOT_YET = "only while ST is set: §3.3.13, §3.3.14"


def reset_values(q: Recorder) -> None:
    for offset in range(0, 0x2C, 4):
        q.r(offset)
    for offset in range(P, P + 0x80, 4):
        q.r(offset)
    for offset in (0x198, 0x1A0, 0x1A4, 0x1A8, 0x398, 0x3A0, 0x400, 0x418, 0xFFC):
        q.r(offset)


def odd_accesses(q: Recorder) -> None:
    for offset, width in (
        (0, 1),
        (1, 1),
        (3, 1),
        (0, 2),
        (2, 2),
        (0, 8),
        (8, 8),
        (P + 0x20, 8),
        (P + 0x18, 1),
    ):
        q.r(offset, width)
    q.w(CLB, 0x1_2345_6400, 8)
    q.r(CLB)
    q.r(CLB + 4)
    q.w(IE, 0xFFFFFFFF)
    q.r(IE)
    q.w(0, 0)
    q.r(0)
    q.w(4, 0)
    q.r(4)
    q.w(4, 2)
    q.r(4)
    q.w(0x28, 2)
    q.r(0x28)
    q.w(SCTL, 0x300)
    q.r(SCTL)


def engines(q: Recorder) -> None:
    q.w(CLB, LIST)
    q.w(FB, FIS)
    q.w(CMD, 0x16)
    q.port()
    q.get(FIS + 0x40, 20, range(1, 2))
    q.w(CMD, 0x17)
    q.port()
    q.ack()
    q.w(CMD, 0x16)
    q.r(CMD)
    q.w(CMD, 0x06)
    q.r(CMD)
    q.w(CMD, 0x16)
    q.r(IS)


def bad_addresses(q: Recorder) -> None:
    q.w(FB, BAD)
    q.w(CMD, 0x16)
    q.r(CMD, ours=0x06, why="nothing is there; QEMU lends the first that asks a bounce buffer")
    q.w(FB, FIS)
    q.w(CLB, BAD)
    q.w(CMD, 0x16)
    q.w(CMD, 0x17)
    q.r(CMD)


def identify(q: Recorder) -> None:
    q.run()
    q.command(h2d(Command.IDENTIFY_DEVICE), [(DATA, 512)])
    q.ring()
    q.port()
    q.get(LIST + 4, 4)
    q.get(FIS + 0x22, 18, range(13, 14))  # QEMU has no D in byte 1, and leaves DRQ in E_Status
    q.get(FIS + 0x40, 20, range(1, 2))  # QEMU sets I only while IS is not zero
    for word, count in (
        (0, 10),
        (21, 2),
        (47, 17),
        (81, 1),
        (83, 1),
        (86, 1),
        (88, 1),
        (100, 4),
        (106, 1),
    ):
        q.get(DATA + 2 * word, 2 * count)
    q.r(8)
    q.ack()


def reads(q: Recorder) -> None:
    q.run()
    for command, count in (
        (Command.READ_DMA_EXT, 3), (Command.READ_DMA, 2), (Command.READ_SECTORS_EXT, 3),
        (Command.READ_SECTORS, 1), (Command.READ_MULTIPLE_EXT, 20), (Command.READ_MULTIPLE, 16),
    ):  # fmt: skip
        q.command(
            h2d(command, 9, count, device=LBA),
            [(DATA, 1024), (DATA + 0x10002, 510), (DATA + 0x20000, 0x8000)],
        )
        q.ring()
        q.port()
        q.get(LIST + 4, 4)
        q.get(FIS + 0x40, 20, range(1, 2))
        q.get(DATA, 16)
        q.get(DATA + 0x10002, 16)
        q.ack()


def writes(q: Recorder) -> None:
    q.run()
    q.put(DATA, bytes(range(256)) * 8)
    for command, count in (
        (Command.WRITE_DMA_EXT, 2), (Command.WRITE_DMA, 1), (Command.WRITE_SECTORS_EXT, 1),
        (Command.WRITE_SECTORS, 3), (Command.WRITE_MULTIPLE_EXT, 2),
    ):  # fmt: skip
        q.command(h2d(command, 100, count, device=LBA), [(DATA, 2048)], write=True)
        q.ring()
        q.port()
        q.get(LIST + 4, 4)
        q.get(FIS + 0x40, 20, range(1, 2))
        q.ack()
    q.command(h2d(Command.READ_DMA_EXT, 100, 4, device=LBA), [(DATA + 0x10000, 2048)])
    q.ring()
    q.get(DATA + 0x10000, 2048)


def queued(q: Recorder) -> None:
    q.run()
    for slot in (0, 3, 31):
        fis = h2d(Command.READ_FPDMA_QUEUED, 16 * slot, slot << 3, 2, LBA)
        q.command(fis, [(DATA + slot * 4096, 1024)], slot)
    q.ring(1 | 1 << 3 | 1 << 31, queued=True)
    q.port()
    q.get(FIS + 0x58, 4)
    for slot in (0, 3, 31):
        q.get(DATA + slot * 4096, 1024)
    q.ack()
    q.put(DATA, b"queued write" * 128)
    q.command(h2d(Command.WRITE_FPDMA_QUEUED, 500, 7 << 3, 3, LBA), [(DATA, 1536)], 7, write=True)
    q.ring(1 << 7, queued=True)
    q.port()
    q.get(FIS + 0x58, 8)
    q.ack()
    q.command(h2d(Command.READ_FPDMA_QUEUED, 500, 8 << 3, 3, LBA), [(DATA + 0x10000, 4096)], 8)
    q.ring(1 << 8, queued=True)
    q.get(DATA + 0x10000, 1536)


def past_the_end(q: Recorder) -> None:
    q.run()
    q.command(h2d(Command.READ_DMA_EXT, SECTORS - 1, 2, device=LBA), [(DATA, 1024)], 2)
    q.ring(1 << 2)
    q.port((CMD, 0xC217, HALTED))
    q.get(FIS + 0x40, 20, range(1, 2))
    q.ack()
    q.restart()
    q.port()
    q.ack()
    q.command(h2d(Command.READ_SECTORS, SECTORS, 1, device=LBA), [(DATA, 512)])
    q.ring()
    q.port()
    q.restart()
    q.command(h2d(Command.READ_DMA_EXT, SECTORS - 1, 1, device=LBA), [(DATA, 512)])
    q.ring()
    q.port()
    q.get(DATA, 512)


def queued_past_the_end(q: Recorder) -> None:
    q.run()
    q.command(h2d(Command.READ_FPDMA_QUEUED, SECTORS, 1 << 3, 1, LBA), [(DATA, 512)], 1)
    q.ring(2, queued=True)
    q.port((CMD, 0xC117, HALTED))
    q.get(FIS + 0x58, 8)
    q.restart()
    q.port()
    q.command(h2d(Command.READ_FPDMA_QUEUED, 0, 1 << 3, 1, LBA), [(DATA, 512)], 1)
    q.ring(2, queued=True)
    q.port()


def aborted(q: Recorder) -> None:
    q.run()
    for command in (Command.NOP, Command.PACKET, Command.DOWNLOAD_MICROCODE, 0xFF):
        q.command(h2d(command, device=LBA), [(DATA, 512)])
        q.ring()
        q.port()
        q.get(FIS + 0x40, 4, range(1, 2))
        q.restart()


def others(q: Recorder) -> None:
    q.run()
    smart = 0xC24F00
    for fis, prds in (
        (h2d(Command.FLUSH_CACHE), []),
        (h2d(Command.FLUSH_CACHE_EXT), []),
        (h2d(Command.CHECK_POWER_MODE), []),
        (h2d(Command.READ_NATIVE_MAX_ADDRESS_EXT, device=LBA), []),
        (h2d(Command.READ_NATIVE_MAX_ADDRESS, device=LBA), []),
        (h2d(Command.SET_FEATURES, features=0x02), []),
        (h2d(Command.SET_FEATURES, features=0x82), []),
        (h2d(Command.SET_FEATURES, count=0x45, features=0x03), []),
        (h2d(Command.SET_MULTIPLE_MODE, count=8), []),
        (h2d(Command.READ_VERIFY_SECTORS_EXT, 0, 8, device=LBA), []),
        (h2d(Command.STANDBY_IMMEDIATE), []),
        (h2d(Command.IDLE_IMMEDIATE), []),
        (h2d(Command.SMART, smart, 1, 0xD0), [(DATA, 512)]),
        (h2d(Command.SMART, smart, 1, 0xD1), [(DATA, 512)]),
        (h2d(Command.SMART, smart, 0, 0xDA), []),
        (h2d(Command.SECURITY_FREEZE_LOCK), []),
    ):
        q.command(fis, prds)
        q.ring()
        q.port()
        q.get(FIS + 0x40, 4, range(1, 2))
        q.ack()
    q.command(h2d(Command.SMART, smart, 1, 0xD0), [(DATA, 512)])
    q.ring()
    q.get(DATA, 512)
    q.command(h2d(Command.SMART, smart, 1, 0xD1), [(DATA, 512)])
    q.ring()
    q.get(DATA, 512)


def refused_features(q: Recorder) -> None:
    q.run()
    for fis in (
        h2d(Command.SET_FEATURES, features=0x33),
        h2d(Command.SET_MULTIPLE_MODE, count=3),
        h2d(Command.SMART, 0, 0, 0xDA),
        h2d(Command.DATA_SET_MANAGEMENT, 0, 1, features=2, device=LBA),
    ):
        q.command(fis)
        q.ring()
        q.port()
        q.restart()


def log(q: Recorder) -> None:
    q.run()
    q.command(h2d(Command.READ_LOG_EXT, Log.NCQ_COMMAND_ERROR, 1), [(DATA, 512)])
    q.ring()
    why = "our disks have the general purpose log, which NCQ asks for, ACS-3 §4.14"
    q.port((IS, 3, why), (TFD, 0x50, why), (CI, 0, why))


def resets(q: Recorder) -> None:
    q.run()
    q.command(h2d(Command.FLUSH_CACHE))
    q.ring()
    q.w(CMD, 0x16)
    q.w(SCTL, 1)
    q.port()
    q.w(SCTL, 0)
    q.port()
    q.get(FIS + 0x40, 20, range(1, 2))
    q.ack()
    q.w(CMD, 0x17)
    q.command(h2d_control(4), flags=0x500)
    q.ring()
    q.port()
    q.command(h2d_control(0), flags=0x100)
    q.ring()
    q.port()
    q.ack()
    q.w(4, 0x80000001)
    q.r(4)
    q.r(8)
    q.port()
    q.r(CLB)
    q.r(FB)


def interrupts(q: Recorder) -> None:
    q.run()
    q.w(IE, 0)
    q.command(h2d(Command.FLUSH_CACHE))
    q.ring()
    q.r(8)
    q.r(IS)
    q.w(IE, 1)
    q.r(8)
    q.w(8, 1)
    q.r(8)
    q.w(IS, 1)
    q.r(8)
    q.r(IS)


def memory_that_is_not(q: Recorder) -> None:
    q.run()
    q.command(h2d(Command.READ_FPDMA_QUEUED, 0, 1 << 3, 8, LBA), [(DATA, 2048)], 1)
    q.ring(2, queued=True)
    q.r(IS)
    q.r(SACT)
    q.r(CI)
    q.r(TFD)
    q.get(DATA, 32)


def several(q: Recorder) -> None:
    """Commands behind one that fails."""
    q.run()
    q.command(h2d(Command.READ_DMA_EXT, 0, 1, device=LBA), [(DATA, 512)], 0)
    q.command(h2d(Command.READ_DMA_EXT, SECTORS, 1, device=LBA), [(DATA + 4096, 512)], 1)
    q.command(h2d(Command.READ_DMA_EXT, 1, 1, device=LBA), [(DATA + 8192, 512)], 2)
    q.ring(7)
    for offset in (CMD, SACT, CI):  # QEMU does the failed one again and again: the rest is chance
        q.r(offset)
    q.get(DATA + 8192, 16)


def several_queued(q: Recorder) -> None:
    q.run()
    for slot, lba in ((0, 0), (1, SECTORS), (2, 8)):
        q.command(
            h2d(Command.READ_FPDMA_QUEUED, lba, slot << 3, 1, LBA),
            [(DATA + slot * 4096, 512)],
            slot,
        )
    q.ring(7, queued=True)
    for offset in (CMD, SACT, CI):  # QEMU does the failed one again and again: the rest is chance
        q.r(offset)
    q.get(DATA + 8192, 16)


def short(q: Recorder) -> None:
    """PRDs for less than the command has."""
    q.run()
    q.command(h2d(Command.READ_DMA_EXT, 8, 2, device=LBA), [(DATA, 600)])
    q.ring()
    q.port((IS, 0x01000001, SHORT))
    q.w(IS, 0xFFFFFFFF)
    q.command(h2d(Command.WRITE_DMA_EXT, 8, 2, device=LBA), [(DATA, 600)], write=True)
    q.ring()
    q.port((IS, 0x01000000, SHORT), (TFD, 0x58, SHORT), (CI, 1, SHORT))
    q.restart()
    q.command(h2d(Command.IDENTIFY_DEVICE))
    q.ring()
    q.port((IS, 0x01000003, SHORT))


def out_of_turn(q: Recorder) -> None:
    """What the specification forbids."""
    q.w(CI, 1)
    q.w(SACT, 2)
    q.r(CI, ours=0, why=NOT_YET)
    q.r(SACT, ours=0, why=NOT_YET)
    q.w(CLB, LIST)
    q.w(FB, FIS)
    q.w(CMD, 0x07)
    q.r(CMD, ours=0x06, why="FRE before ST: §10.3.1")
    q.w(CMD, 0x06)
    q.w(CMD, 0x17)
    q.r(CMD)
    q.w(CMD, 0x07)
    q.r(CMD, ours=0xC017, why="FRE stays while the list runs: §10.3.2")
    q.w(CMD, 0x16)
    q.w(CMD, 0x0E)
    q.r(CMD, ours=0x06, why="CLO never stays, §3.3.7")
    q.w(CMD, 0xFFFFFFE6)
    q.r(CMD)


SCENARIOS: tuple[Callable[[Recorder], None], ...] = (
    reset_values, odd_accesses, engines, bad_addresses, identify, reads, writes, queued, past_the_end,
    queued_past_the_end, aborted, others, refused_features, log, resets, interrupts, memory_that_is_not,
    short, out_of_turn, several, several_queued,
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder))
        for scenario in SCENARIOS:
            recorder.start(re.sub("_", "-", scenario.__name__))
            scenario(recorder)
        recorder.stop()


if __name__ == "__main__":
    main()
