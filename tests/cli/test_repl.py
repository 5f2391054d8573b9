"""`lux9 repl` as somebody has it who types: on a terminal, with a machine, and nothing left behind."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.cli.conftest import Run
from tests.readable import readable

LUX9 = [sys.executable, "-m", "lux9"]
LIMIT = 40.0
PROMPT = ">>> "
ESCAPES = re.compile(r"\x1b\[[?\d;]*[a-zA-Z]|\x07")
HBA = 'pci["00:1f.2"]'


class Typist:
    """A terminal with a prompt on it."""

    def __init__(self, home: Path, *args: str, addr: str = "") -> None:
        env = os.environ | {"TERM": "dumb", "XDG_STATE_HOME": str(home), "PAGER": "cat"}
        env |= {"LUX9_ADDR": addr} if addr else {}
        self.ours, theirs = pty.openpty()
        self.child = subprocess.Popen(
            [*LUX9, "repl", *args], stdin=theirs, stdout=theirs, stderr=theirs, env=env,
            start_new_session=True, preexec_fn=_controlling,
        )  # fmt: skip
        os.close(theirs)
        self.banner = self.until(PROMPT)

    def until(self, end: str) -> str:
        """What is printed up to and with `end`."""
        said, limit = "", time.monotonic() + LIMIT
        while not said.endswith(end):
            left = max(0.0, limit - time.monotonic())
            assert readable(self.ours, left), f"nothing more after {said!r}"
            data = os.read(self.ours, 4096)
            said = ESCAPES.sub("", said + data.decode()).replace("\r\n", "\n")
        return said

    def type(self, text: str) -> None:
        """Keys."""
        os.write(self.ours, text.encode())

    def ask(self, line: str) -> str:
        """A line and what comes of it, without the echo."""
        self.type(line + "\n")
        said = self.until(PROMPT)
        return said.partition("\n")[2].removesuffix(PROMPT).rstrip("\n")

    def end(self) -> int:
        """Ctrl-D; the status."""
        self.type("\x04")
        status = self.child.wait(LIMIT)
        os.close(self.ours)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(LIMIT)
            os.close(self.ours)


def _controlling() -> None:
    """The terminal is that of the new session."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def typist(machine: str, tmp_path: Path) -> Iterator[Typist]:
    with Typist(tmp_path, addr=machine) as typist:
        yield typist


class TestOnATerminal:
    def test_what_is_there(self, typist: Typist) -> None:
        assert "hba                             registers of 0000:00:1f.2" in typist.banner
        assert "0000:00:1f.2 SATA controller [0106]: 8086:2922" in typist.ask("pci")
        assert typist.ask('tree/"dev/drivers"').splitlines()[0] == "#/ root"
        assert "- 0444            0 bus" in typist.ask('tree/"dev/pci"').splitlines()
        assert "not read to be shown" in typist.ask('tree/"dev/pci/0000:00:1f.2/bar5"')
        assert typist.ask("1 + 1") == "2"
        assert typist.ask("_ + 1") == "3"
        assert typist.end() == 0

    def test_registers(self, typist: Typist) -> None:
        shown = typist.ask("hba.ghc").splitlines()
        assert shown[0] == "ghc = 0x80000000 ae"
        assert shown[1].split() == ["31", "ae", "1", "AHCI", "enable"]
        assert typist.ask("hba.ports[0].cmd.sud") == "True"
        said = typist.ask("hba.ports[0].cmd.fre = True")
        assert said.startswith("PermissionError: port[0].cmd is not written: 0000:00:1f.2 is not")
        assert typist.ask("before = hba.snapshot()") == ""
        assert typist.ask(f"{HBA}.claim()") == ""
        assert typist.ask(f"{HBA}.owner") == "'repl'"
        assert typist.ask("hba.ghc.ie = True") == ""
        assert typist.ask("hba.diff(before)") == "ghc 0x80000000 → 0x80000002  ie: 0 → 1"
        assert typist.ask(f"{HBA}.release()") == ""
        assert typist.ask(f"{HBA}.owner") == ""
        assert "capability" not in typist.ask(f"{HBA}.caps.msi.control")
        assert typist.ask(f"{HBA}.config.vendor") == "vendor = 0x8086"
        assert typist.end() == 0

    def test_help(self, typist: Typist) -> None:
        said = typist.ask("help(hba.ports[0].cmd)").splitlines()
        assert said[0] == "port[0].cmd: PxCMD, 32 bits, read and write"
        assert "Port command and status. AHCI 1.3.1 §3.3.7" in said

    def test_completion(self, typist: Typist) -> None:
        typist.type("hba.ports[0].cmd.su\t")
        typist.until("hba.ports[0].cmd.sud")
        assert typist.ask("") == "True"
        typist.type('tree/"dev/driv\t')
        typist.until('tree/"dev/drivers')
        assert typist.ask('"').splitlines()[0] == "#/ root"
        typist.type('pci["00:1f.2\t')
        typist.until('pci["00:1f.2"]')
        assert typist.ask(".name") == "'0000:00:1f.2'"

    def test_mistakes_are_told_in_a_line(self, typist: Typist) -> None:
        assert typist.ask("hba.nope").startswith(
            "AttributeError: HBA has no 'nope'; it has cap ghc"
        )
        assert typist.ask('tree/"nope"').startswith("FileNotFoundError: [Errno 2] file does not")
        assert typist.ask('pci["9"]').startswith("KeyError: ")
        assert "Traceback" in typist.ask("1 / 0")
        assert "Traceback" in typist.ask("nobody")

    def test_ctrl_c_ends_what_waits(self, typist: Typist) -> None:
        typist.ask('log = tree.follow("/dev/kmesg")')
        assert "machine sim" in typist.ask("next(log)")
        typist.type("next(log)\n")
        typist.until("next(log)\n")
        typist.type("\x03")
        assert "KeyboardInterrupt" in typist.until(PROMPT)
        assert typist.ask('tree/"dev/drivers"').splitlines()[0] == "#/ root"
        assert typist.end() == 0

    def test_history_is_kept(self, machine: str, tmp_path: Path) -> None:
        for line in ("6 * 7", "7 * 8"):
            with Typist(tmp_path, addr=machine) as typist:
                typist.ask(line)
                assert typist.end() == 0
        kept = (tmp_path / "lux9" / "repl-history").read_text().splitlines()
        assert kept == ["6 * 7", "7 * 8"]


class TestAMachineOfOnesOwn:
    @pytest.mark.parametrize("machine", ["sim", "qemu"])
    def test_its_registers(self, machine: str, tmp_path: Path) -> None:
        disk = tmp_path / "disk.img"
        disk.write_bytes(bytes(1 << 20))
        args = ["--machine", machine, "--disk", str(disk), "--device", "edu"]
        with Typist(tmp_path, *args) as typist:
            assert typist.ask("edu.id").startswith("id = 0x010000ed major=0x1 mark=0xed")
            assert typist.ask("hba.vs.mjr") == "1"
            typist.type("\x03\n")  # the prompt's own: the kernel goes on
            typist.until("KeyboardInterrupt\n" + PROMPT)
            typist.type("'go' + 'on'\n")
            typist.until("'goon'\n" + PROMPT)
            assert typist.ask("next(f for f in pci if f.listed.vendor == '1234').claim()") == ""
            assert typist.ask("edu.inverter = 0x0f") == ""
            assert typist.ask("edu.inverter") == "inverter = 0xfffffff0"
            assert typist.end() == 0

    def test_without_a_terminal(self, tmp_path: Path) -> None:
        env = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
        done = subprocess.run(
            [*LUX9, "repl", "--machine", "sim"], input="hba.vs.mjr\n", env=env,
            capture_output=True, text=True, timeout=LIMIT, check=True,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("1\n", "")

    @pytest.mark.parametrize(
        ("text", "printed", "told", "status"),
        [
            ("for i in range(2):\n    i\n", "0\n1\n", "", 0),
            ("print(1\n", "", "SyntaxError: '(' was never closed", 0),
            ("exit(3)\nprint(1)\n", "", "", 3),
        ],
    )
    def test_the_end_of_a_text(
        self, tmp_path: Path, text: str, printed: str, told: str, status: int
    ) -> None:
        env = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
        done = subprocess.run(
            [*LUX9, "repl", "--machine", "sim"], input=text, env=env,
            capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        assert (done.stdout, done.returncode) == (printed, status)
        assert done.stderr.rpartition("\n")[0].endswith(told)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-a", "unix!/x", "repl", "--machine", "sim"], "give one of them"),
        (["repl", "--disk", "x"], "--machine"),
    ],
)
def test_what_does_not_go_together(lux9: Run, args: list[str], says: str) -> None:
    result = lux9(*args)
    assert result.exit_code == 2
    assert says in result.stderr


def test_nobody_there(lux9: Run, tmp_path: Path) -> None:
    result = lux9("-a", f"unix!{tmp_path}/none", "repl")
    assert result.exit_code == 1
    assert "start one with `lux9 boot`" in result.stderr
