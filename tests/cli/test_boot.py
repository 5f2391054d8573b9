"""`lux9 boot` as a user has it: a process with drivers, commands against it, and nothing left behind."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.ninep.default import VARIABLE
from tests.readable import readable

LUX9 = [sys.executable, "-m", "lux9"]
LIMIT = 30.0  # seconds, of a start with drivers on a busy machine


def tool(name: str) -> str:
    """A program of the host's, which may be in an administrator's place."""
    found = shutil.which(name, path=os.environ["PATH"] + ":/sbin:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def lux9(*args: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LUX9, *args], capture_output=True, text=True, timeout=LIMIT, env=os.environ | extra
    )


@pytest.fixture(scope="module")
def content() -> bytes:
    return bytes(i * i % 255 for i in range(3_000_000))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> Path:
    """An image with an ext4 file system that has a file in it."""
    home = tmp_path_factory.mktemp("disk")
    (home / "tree" / "dir").mkdir(parents=True)
    (home / "tree" / "greeting").write_text("hello\n")
    (home / "tree" / "dir" / "long").write_bytes(content)
    image = home / "disk.img"
    made = [tool("mke2fs"), "-q", "-t", "ext4", "-d", str(home / "tree"), str(image), "16M"]
    subprocess.run(made, check=True, timeout=LIMIT)
    return image


class Booted:
    """A `lux9 boot` in the background."""

    def __init__(self, path: Path, *args: str) -> None:
        self.path, self.addr = path, f"unix!{path}"
        command = [*LUX9, "boot", "--listen", self.addr, *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        assert self.process.stdout is not None
        while b"listening on" not in self.said:
            line = self.process.stdout.readline()
            assert line, self.said.decode()
            self.said += line

    def lux9(self, *args: str) -> subprocess.CompletedProcess[str]:
        return lux9(*args, **{VARIABLE: self.addr})

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=LIMIT)
        self.said += out
        return self.process.returncode


@pytest.fixture(scope="module")
def booted(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    system = Booted(tmp_path_factory.mktemp("run") / "lux9.sock", "--disk", str(disk))
    yield system
    assert system.end(signal.SIGTERM) == 0
    assert b"Traceback" not in system.said
    assert not system.path.exists()


class TestServing:
    def test_the_bus(self, booted: Booted) -> None:
        lines = booted.lux9("cat", "/dev/pci/bus").stdout.splitlines()
        form = re.compile(
            r"[\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.[0-7] vendor=0x[\da-f]{4} device=0x[\da-f]{4} "
            r"class=[\da-f]{2}\.[\da-f]{2}\.[\da-f]{2} irq=-?\d+"
            r"|  bar[0-5]: addr=0x[\da-f]+ size=0x[\da-f]+"
        )
        assert all(form.fullmatch(line) for line in lines)
        ahci = "0000:00:1f.2 vendor=0x8086 device=0x2922 class=01.06.01"
        assert any(line.startswith(ahci) for line in lines)

    def test_the_dump_is_read_by_lspci(self, booted: Booted, tmp_path: Path) -> None:
        lspci = tool("lspci")
        dump = tmp_path / "dump"
        dump.write_text(booted.lux9("cat", "/dev/pci/dump").stdout)
        done = subprocess.run(
            [lspci, "-F", str(dump)], capture_output=True, text=True, check=True, timeout=LIMIT
        )
        assert re.search(r"^00:1f\.2 SATA controller: ", done.stdout, re.MULTILINE)

    def test_files_of_the_file_system(self, booted: Booted, content: bytes, tmp_path: Path) -> None:
        assert booted.lux9("cat", "/root/greeting").stdout == "hello\n"
        assert booted.lux9("ls", "/root/dir").stdout == "long\n"
        copy = tmp_path / "copy"
        with copy.open("wb") as out:
            command = [*LUX9, "-a", booted.addr, "cat", "/root/dir/long"]
            subprocess.run(command, stdout=out, check=True, timeout=LIMIT)
        assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(content).digest()

    def test_the_disk_itself(self, booted: Booted, disk: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        with copy.open("wb") as out:
            command = [*LUX9, "-a", booted.addr, "cat", "/dev/sdE0/data"]
            subprocess.run(command, stdout=out, check=True, timeout=LIMIT)
        assert copy.read_bytes() == disk.read_bytes()

    def test_whose_the_controller_is(self, booted: Booted) -> None:
        verbose = booted.lux9("lspci", "-v").stdout
        assert "\towner ahci, " in verbose
        refused = booted.lux9("regs", "0000:00:1f.2")
        assert refused.returncode == 1
        assert "is claimed by ahci" in refused.stderr
        audit = booted.lux9("cat", "--count", "100000", "/dev/audit").stdout
        assert '"denied"' in audit

    def test_its_socket_is_its_owner_s_alone(self, booted: Booted) -> None:
        assert stat.S_IMODE(booted.path.stat().st_mode) == 0o600

    def test_a_second_one_at_the_same_place_is_refused(self, booted: Booted) -> None:
        result = lux9("boot", "--manifest", "/dev/null", "--listen", booted.addr, "--exec", "true")
        assert result.returncode == 1
        assert "a lux9 is running there" in result.stderr
        assert booted.lux9("version").returncode == 0


class TestExec:
    """With no drivers, which is quick."""

    def run(self, command: str, *args: str) -> subprocess.CompletedProcess[str]:
        return lux9("boot", "--manifest", "/dev/null", *args, "--exec", command)

    @pytest.mark.parametrize(
        ("command", "status"), [("true", 0), ("exit 7", 7), ("kill -9 $$", 137)]
    )
    def test_its_status_is_the_command_s(self, command: str, status: int) -> None:
        assert self.run(command).returncode == status

    def test_the_command_finds_the_kernel_and_this_lux9(self) -> None:
        result = self.run("lux9 ls /dev/pci; echo $LUX9_ADDR; command -v lux9")
        assert result.stderr == ""
        *names, addr, program = result.stdout.splitlines()
        assert "0000:00:1f.2" in names
        assert not Path(addr.removeprefix("unix!")).exists(), "it is gone with its directory"
        assert not Path(addr.removeprefix("unix!")).parent.exists()
        assert Path(program).parent == Path(sys.executable).parent

    def test_what_the_command_has_started_ends_with_it(self, tmp_path: Path) -> None:
        """A shell that is told to end does not tell what it waits for."""
        waited = f"echo $$ > {tmp_path}/pid; mv {tmp_path}/pid {tmp_path}/there; exec sleep 100"
        command = f"sh -c {shlex.quote(waited)}; true"
        child = subprocess.Popen([*LUX9, "boot", "--manifest", "/dev/null", "--exec", command])
        wait = f"until test -e {tmp_path}/there; do sleep 0.01; done"
        subprocess.run(["sh", "-c", wait], check=True, timeout=LIMIT)
        sleep = os.pidfd_open(int((tmp_path / "there").read_text()))
        try:
            child.send_signal(signal.SIGTERM)
            assert child.wait(LIMIT) == 128 + signal.SIGTERM
            assert readable(sleep, LIMIT), "it goes on"
        finally:
            os.close(sleep)

    def test_ctrl_c_ends_the_command_too(self, tmp_path: Path) -> None:
        command = f"echo $$ > {tmp_path}/pid; mv {tmp_path}/pid {tmp_path}/there; exec sleep 100"
        child = subprocess.Popen([*LUX9, "boot", "--manifest", "/dev/null", "--exec", command])
        wait = f"until test -e {tmp_path}/there; do sleep 0.01; done"
        subprocess.run(["sh", "-c", wait], check=True, timeout=LIMIT)
        child.send_signal(signal.SIGINT)
        assert child.wait(LIMIT) == 130
        assert not Path(f"/proc/{(tmp_path / 'there').read_text().strip()}").exists()


class TestMistakes:
    @pytest.mark.parametrize(
        ("args", "says"),
        [
            (["--disk", "/nope.img"], "/nope.img"),
            (["--disk", "/dev"], "/dev"),
            (["--disk", "EMPTY"], "EMPTY"),
            (["--disk", "ODD"], "512"),
            (["--manifest", "/nope.toml"], "/nope.toml"),
            (["--manifest", "ODD"], "ODD"),
            (["--listen", "tcp!host"], "write tcp!HOST!PORT"),
            (["--listen", "unix!a", "--listen", "unix!b"], "one unix!PATH"),
            (["--trust-network"], "add --listen tcp!HOST!PORT"),
            (["--dead-after", "1"], "not a time of 3 to 86400 seconds"),
            (["--listen", "unix!/no/such/dir/s"], "/no/such/dir/s: cannot listen"),
            (["--inside", "nobody"], "nobody"),
        ],
        ids=str,
    )
    def test_are_told_in_one_line(self, tmp_path: Path, args: list[str], says: str) -> None:
        (tmp_path / "EMPTY").write_bytes(b"")
        (tmp_path / "ODD").write_bytes(b"x" * 1000)
        placed = [str(tmp_path / arg) if arg in ("EMPTY", "ODD") else arg for arg in args]
        rest = [] if "--manifest" in args else ["--manifest", "/dev/null"]
        result = lux9("boot", *rest, *placed, "--exec", "true")
        assert result.returncode in (1, 2)
        assert says in result.stderr
        assert "Traceback" not in result.stderr

    def test_of_the_machine_s_name(self) -> None:
        assert lux9("boot", "--machine", "cray", "--exec", "true").returncode == 2


def test_by_default_the_socket_is_this_user_s(tmp_path: Path) -> None:
    env = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    env.pop(VARIABLE, None)
    command = [*LUX9, "boot", "--manifest", "/dev/null"]
    with subprocess.Popen(command, env=env, stdout=-1, stderr=subprocess.STDOUT) as child:
        assert child.stdout is not None
        assert any(b"listening on" in line for line in child.stdout)
        sock = tmp_path / "lux9.sock"
        assert stat.S_IMODE(sock.stat().st_mode) == 0o600
        listed = subprocess.run([*LUX9, "ls", "/dev/pci"], env=env, capture_output=True, text=True)
        assert "0000:00:1f.2" in listed.stdout
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=LIMIT)
    assert child.returncode == 0
    assert not sock.exists()
