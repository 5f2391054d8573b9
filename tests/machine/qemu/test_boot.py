"""`lux9 boot --machine qemu`, as people type it; and what stays of QEMU when lux9 is killed: nothing."""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from lux9.errors import UserError
from lux9.machine.qemu.board import PROGRAM
from lux9.machine.qemu.launch import Child
from lux9.models.disk import Disk
from tests.machine.qemu.system import image, needs_qemu

pytestmark = needs_qemu
doctor = importlib.import_module("lux9.cli.doctor")
TOOLS = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/sbin"]
)
ENVIRONMENT = os.environ | {"PATH": TOOLS}


def lux9(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["lux9", *args], capture_output=True, text=True, check=False, timeout=40, env=ENVIRONMENT
    )


@pytest.fixture
def ext4(tmp_path: Path) -> Path:
    if shutil.which("mke2fs", path=TOOLS) is None:
        pytest.skip("mke2fs is not there")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "hello.txt").write_text("hello\n")
    disk = tmp_path / "disk.img"
    command = ["mke2fs", "-q", "-t", "ext4", "-d", str(tmp_path / "source"), str(disk), "8M"]
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)
    return disk


def test_a_file_of_a_disk(ext4: Path) -> None:
    done = lux9(
        "boot", "--machine", "qemu", "--disk", str(ext4), "--exec", "lux9 cat /root/hello.txt"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_an_image_is_in_one_machine_of_either_kind_or_only_read(ext4: Path) -> None:
    words = ("boot", "--machine", "qemu", "--disk", str(ext4))
    inside = f"lux9 boot --disk {ext4} --exec true; lux9 boot --disk {ext4} --read-only --exec true"
    done = lux9(*words, "--exec", inside)
    assert done.stderr.count(f"lux9 boot: disk image {ext4}: in use by another machine") == 2
    with closing(Disk(ext4)):
        done = lux9(*words, "--exec", "true")
        assert "Is another process using the image" in done.stderr
        done = lux9(*words, "--read-only", "--exec", "true")
        assert "Is another process using the image" in done.stderr
    with closing(Disk(ext4, read_only=True)):
        done = lux9(*words, "--read-only", "--exec", "lux9 cat /root/hello.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


def test_a_qcow2_image_that_is_only_read(ext4: Path, tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not there")
    copy = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(ext4), str(copy)], check=True)
    before = copy.read_bytes()
    disk = f"{copy}:qcow2"
    done = lux9(
        *("boot", "--machine", "qemu", "--read-only", "--disk", disk),
        *("--exec", "lux9 cat /root/hello.txt && echo lost | lux9 put /dev/sdE0/data"),
    )
    assert done.stdout == "hello\n"
    assert done.returncode == 0, done.stderr
    assert copy.read_bytes() == before


def test_lspci_sees_in_the_dump_what_we_list(tmp_path: Path) -> None:
    if shutil.which("lspci", path=TOOLS) is None:
        pytest.skip("lspci is not there")
    disk, dump = image(tmp_path), tmp_path / "dump"
    done = lux9(
        *("boot", "--machine", "qemu", "--device", "edu", "--device", "nvme,serial=x,drive=n0"),
        *("--drive", f"if=none,id=n0,format=raw,file={disk}"),
        *("--exec", f"lux9 lspci && lux9 cat /dev/pci/dump > {shlex.quote(str(dump))}"),
    )
    assert done.returncode == 0, done.stderr
    ours = [line.split() for line in done.stdout.splitlines()]
    shown = subprocess.run(
        ["lspci", "-n", "-F", str(dump)],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    theirs = [line.split() for line in shown.stdout.splitlines()]
    assert [(o[0].removeprefix("0000:"), o[-1]) for o in ours] == [(t[0], t[2]) for t in theirs]
    assert {"1234:11e8", "1b36:0010", "8086:2922"} <= {o[-1] for o in ours}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--disk", "/nowhere.img"], "/nowhere.img: no such file"),
        (["--qemu", "/nowhere/qemu"], "/nowhere/qemu is not there: sudo apt-get install"),
        (["--qemu", "/etc/passwd"], "/etc/passwd cannot be run, or is not on PATH: name a program"),
        (["--device", "nonsense"], "'nonsense' is not a valid device model name"),
        (["--memory", "lots"], "--memory lots: write 512M or 2G"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(args: list[str], words: str) -> None:
    done = lux9("boot", "--machine", "qemu", *args, "--exec", "true")
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_option_of_qemus_on_the_embedded_machine() -> None:
    done = lux9("boot", "--drive", "if=none", "--exec", "true")
    assert (done.returncode, done.stderr) == (1, "lux9 boot: --drive: only with --machine qemu\n")


def test_the_log_is_kept_where_it_was_asked_for(tmp_path: Path) -> None:
    command = ["lux9", "boot", "--machine", "qemu", "--keep-log", "--exec", "true"]
    subprocess.run(command, check=True, env=ENVIRONMENT, cwd=tmp_path, capture_output=True)
    (log,) = tmp_path.glob("qemu-*.log")
    assert log.read_text().startswith("# ")
    assert "-machine q35" in log.read_text()


def test_a_log_that_cannot_be_written_is_named() -> None:
    with pytest.raises(UserError, match=r"^/dev/full: cannot be written: No space left"):
        Child("true", [], [], Path("/dev/full"))


@pytest.mark.parametrize("number", [0, signal.SIGTERM, signal.SIGKILL])
def test_a_script_may_start_qemu_and_both_end(tmp_path: Path, number: int) -> None:
    """With the kernel, or when the script alone is ended."""
    script, told = tmp_path / "qemu", tmp_path / "pid"
    script.write_text(f'#!/bin/sh\nqemu-system-x86_64 "$@" &\necho $$ $! > {told}\nwait\n')
    script.chmod(0o755)
    end = f"pid=$(cut -d' ' -f1 {told}); kill -{number} $pid; while kill -0 $pid; do :; done"
    command = f"{end} 2>/dev/null" if number else "lux9 lspci"
    done = lux9("boot", "--machine", "qemu", "--qemu", str(script), "--exec", command)
    assert done.returncode == 0
    assert bool(number) == ("lux9 boot: qemu: QEMU " in done.stderr), done.stderr
    until_over(told.read_text().split())


def test_qemu_does_not_outlive_a_kernel_that_is_killed(tmp_path: Path) -> None:
    address = f"unix!{tmp_path / 'sock'}"
    command = ["lux9", "boot", "--machine", "qemu", "--listen", address]
    kernel = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    assert kernel.stderr is not None
    for line in kernel.stderr:
        if "listening on" in line:
            break
    children = Path(f"/proc/{kernel.pid}/task/{kernel.pid}/children").read_text().split()
    assert children
    kernel.send_signal(signal.SIGKILL)
    kernel.wait()
    kernel.stderr.close()
    until_over(children)


def test_whoever_runs_a_command_is_told_of_the_end_of_qemu(ext4: Path) -> None:
    children = "$(cat /proc/$PPID/task/$PPID/children)"
    command = (
        f"for pid in {children}; do grep -q qemu /proc/$pid/comm && kill -9 $pid; done; "
        "lux9 cat /root/hello.txt"
    )
    done = lux9("boot", "--machine", "qemu", "--disk", str(ext4), "--exec", command)
    words = "qemu: QEMU was killed by SIGKILL; every function counts as removed"
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"lux9 boot: {words}"


def test_ctrl_c_takes_no_hardware_from_the_drivers(tmp_path: Path) -> None:
    """As a terminal sends it: to all in the foreground."""
    command = ["lux9", "boot", "--machine", "qemu", "--listen", f"unix!{tmp_path / 'sock'}"]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as kernel:
        assert kernel.stderr is not None
        for line in kernel.stderr:
            if "listening on" in line:
                break
        os.killpg(kernel.pid, signal.SIGINT)
        (line,) = kernel.stderr
        assert line.endswith("ahci: exited with status 0\n")
        assert kernel.wait(40) == 128 + signal.SIGINT


def until_over(pids: list[str]) -> None:
    end = time.monotonic() + 10.0
    while any(running(pid) for pid in pids):
        assert time.monotonic() < end, "QEMU or a driver is still there"
        os.sched_yield()


def running(pid: str) -> bool:
    """Not a zombie that somebody else has to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_doctor_names_what_lacks_and_the_remedy(tmp_path: Path) -> None:
    done = lux9("doctor")
    assert done.returncode == 0
    for line in ("qemu     has        QEMU emulator version", "mount    has        FUSE"):
        assert line in done.stdout
    command = [str(Path(sys.executable).parent / "lux9"), "doctor"]
    without = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT | {"PATH": str(tmp_path)},
    )
    assert "qemu     lacks      qemu-system-x86_64 is not there" in without.stdout
    assert "sudo apt-get install --no-install-recommends qemu-system-x86" in without.stdout


@pytest.mark.parametrize(
    ("program", "patience", "words"),
    [
        ("#!/bin/sh\nexit 3\n", 40.0, "exits with status 3"),
        ("#!/bin/sh\nexec sleep 60\n", 0.1, "says nothing for 0.1 s"),
        ("neither", 40.0, "cannot be started: Exec format error"),
    ],
)
def test_doctor_does_not_take_a_broken_qemu_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, patience: float, words: str
) -> None:
    path = tmp_path / PROGRAM
    path.write_text(program)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(doctor, "PATIENCE", patience)
    (found,) = [f for f in doctor.findings() if f.subject == "qemu" and PROGRAM in f.what]
    assert (found.state, found.what) == ("lacks", f"`{path} --version` {words}")
    assert found.remedy.startswith("sudo apt-get install")
