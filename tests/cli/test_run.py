"""`lux9 run`: what the program sees, how its end is told, and that nothing of it is left."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from tests.system.running import AHCI, LIMIT, LUX9, Running, no_drivers, until

EDU = "0000:00:01.0"
PCI = f"/dev/pci/{EDU}"
pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None or shutil.which("fusermount3") is None,
    reason="bwrap or fusermount3 is not there",
)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("kernel")
    with Running(folder, "--device", "edu", *no_drivers(folder)) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_left(
    kernel: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No mount, no directory, no process of the kernel's, no claim."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    until(lambda: not list(tmp_path.glob("lux9-run-*")), "the directory to go")
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    until(lambda: "owner: -" in kernel.read(f"{PCI}/ctl"), "the claim to end")
    with kernel.client() as client:
        until(lambda: sum(s.name.isdigit() for s in client.ls("/proc")) == 1, "its process to end")


def command(kernel: Running, *words: str) -> list[str]:
    return [*LUX9, "-a", kernel.address, "run", *words]


def run(kernel: Running, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(kernel, *words), capture_output=True, text=True, check=False, timeout=LIMIT
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def sh(kernel: Running, script: str, *options: str) -> str:
    """What a shell prints that must succeed."""
    done = run(kernel, *options, "--", "sh", "-euc", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(words: str) -> str:
    """Shell for a command that must fail: what is behind a `!` does not end a script."""
    return f"if {words} 2>/dev/null; then exit 9; fi"


# -- what it sees


@pytest.mark.parametrize("isolation", ["sandbox", "process"])
def test_the_files_are_where_they_belong(kernel: Running, isolation: str) -> None:
    seen = sh(kernel, "echo /dev/*; echo /dev/pci/*", "--isolation", isolation).split()
    for name in ("pci", "mem", "io", "irq", "dma", "null", "tty"):
        assert f"/dev/{name}" in seen
    assert {f"/dev/pci/{AHCI}", PCI} < set(seen)


def test_the_working_directory_can_be_written(
    kernel: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sh(kernel, f"echo done >file; {fails('touch /usr/file')}; {fails('test -e /var')}")
    assert (tmp_path / "file").read_text() == "done\n"


@pytest.mark.parametrize(
    ("where", "there"), [("/", "/"), ("/etc", "/etc"), ("/dev", "/"), ("/sys", "/")]
)
def test_a_working_directory_of_the_system_is_no_way_into_the_host(
    kernel: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str, there: str
) -> None:
    seen, wrote = tmp_path / "host", f"lux9-{os.getpid()}"
    seen.touch()
    monkeypatch.chdir(where)
    script = f"pwd; echo no >{wrote} && rm {wrote}; ls {seen}; ls -d /dev/pci"
    done = run(kernel, "--", "sh", "-c", script)
    assert done.stdout.split() == [there, "/dev/pci"]
    assert not (Path(where) / wrote).exists()
    assert not Path("/dev/pci").exists()


def test_the_sandbox_sets_nothing_of_the_hosts(kernel: Running) -> None:
    settings = "/proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sys/kernel/printk"
    script = f"for f in {settings}; do {fails('(: >>$f)')}; done; cat /proc/sys/kernel/ostype"
    assert sh(kernel, script) == "Linux\n"


def test_the_sandbox_has_no_way_round_to_the_kernel(
    kernel: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kernel.socket.parent)
    dial = f"import socket; socket.socket(socket.AF_UNIX).connect({str(kernel.socket)!r})"
    refused = run(
        kernel,
        "--capability",
        "pci",
        "--",
        "python3",
        "-c",
        f"try:\n {dial}\nexcept OSError: print('no')",
    )
    assert refused.stdout == "no\n"


def test_a_register_is_an_offset(kernel: Running) -> None:
    script = f"echo claim >{PCI}/ctl; dd if={PCI}/bar0 bs=4 count=1 status=none | od -An -tx4"
    assert sh(kernel, script).strip() == "010000ed"


def test_one_function_alone(kernel: Running) -> None:
    assert sh(kernel, 'echo /dev/pci/*; echo "$LUX9_FUNCTION"', "--bind", EDU).split() == [PCI, EDU]
    with kernel.client() as client:
        assert client.read(f"/dev/pci/{AHCI}/ctl")  # everybody else sees as before


def test_only_the_capabilities_that_were_asked_for(kernel: Running) -> None:
    others = "; ".join(fails(f"test -e /dev/{name}") for name in ("irq", "mem"))
    script = f"echo /dev/*; {others}; cat /proc/version >/dev/null"
    assert "/dev/pci" in sh(kernel, script, "--capability", "pci").split()
    refused = f"echo claim >{PCI}/ctl; dd if={PCI}/bar0 bs=4 count=1 2>&1 || echo refused"
    assert "refused" in sh(kernel, refused, "--capability", "pci")
    assert kernel.audit("capability remove", "done")


def test_the_kernel_knows_it_by_name(kernel: Running) -> None:
    told = sh(kernel, f"echo claim >{PCI}/ctl; cat {PCI}/ctl")
    assert "owner: sh\n" in told
    assert "command: sh -euc echo claim" in told


def test_an_argument_may_be_anything(kernel: Running) -> None:
    odd = os.fsdecode(b"\xff")
    assert run(kernel, "--", "sh", "-c", "\n: two\n\necho ok", odd).stdout == "ok\n"


# -- how it ends


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)])
def test_its_status_is_ours(kernel: Running, script: str, status: int) -> None:
    assert run(kernel, "--", "sh", "-c", f"echo claim >{PCI}/ctl; {script}").returncode == status


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--", "no-such-program"], 127, "lux9 run: no-such-program: not found\n"),
        (["--", "/dev/null"], 126, "lux9 run: /dev/null: cannot be executed; a file that can"),
        (["--", "/"], 126, "lux9 run: /: cannot be executed"),
        (["--bind", "0000:00:09.0", "true"], 1, "no such function; lux9 lspci lists them"),
        (["--capability", "everything", "true"], 2, "'everything' is not one of"),
        ([], 2, "Missing argument"),
    ],
)
def test_refused(kernel: Running, words: list[str], status: int, said: str) -> None:
    done = run(kernel, *words)
    assert done.returncode == status
    assert said in done.stderr


def test_a_working_directory_that_was_removed(kernel: Running, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    line = 'mkdir "$1"; cd "$1"; rmdir "$1"; shift; exec "$@"'
    words = ["sh", "-c", line, "-", str(gone), *command(kernel, "true")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert done.returncode == 1
    assert done.stderr == (
        "lux9 run: the working directory was removed; change to one that is there\n"
    )


def test_no_kernel() -> None:
    done = subprocess.run(
        [*LUX9, "-a", "unix!/nowhere", "run", "true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("lux9 run: no lux9 at /nowhere: ")
    assert done.stderr.count("\n") == 1


WAITS = (
    f"echo claim >{PCI}/ctl; echo 'register {{irq}} t shared' >/dev/irq/ctl; echo waits; "
    "exec dd if=/dev/irq/{irq} bs=64 count=1 status=none"
)


@pytest.fixture
def waiting(kernel: Running) -> Iterator[subprocess.Popen[str]]:
    """A program that waits for an interrupt that does not come."""
    irq = dict(line.split(": ", 1) for line in kernel.read(f"{PCI}/ctl").splitlines())["irq"]
    with subprocess.Popen(
        command(kernel, "--", "sh", "-euc", WAITS.format(irq=irq)),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        yield process
        process.wait(LIMIT)


def test_ctrl_c(waiting: subprocess.Popen[str]) -> None:
    os.killpg(waiting.pid, signal.SIGINT)  # as a terminal sends it: to all in the foreground
    assert waiting.wait(LIMIT) == 128 + signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end(waiting: subprocess.Popen[str], number: int) -> None:
    waiting.send_signal(number)
    assert waiting.wait(LIMIT) >= 128


def test_killed(waiting: subprocess.Popen[str]) -> None:
    waiting.kill()
    assert waiting.wait(LIMIT) == -signal.SIGKILL


# -- what it is made of


def test_rfork_and_renounce(kernel: Running) -> None:
    with kernel.client() as client:
        client.write("/proc/self/ctl", b"rfork\n")
        client.write("/proc/self/ns", b"unmount /dev/pci\n")
        with pytest.raises(RemoteError):
            client.read("/dev/pci/bus")
        client.write("/proc/self/ctl", b"renounce irq dma\n")
        assert "caps: mem io pci\n" in client.read("/proc/self/status").decode()
        with pytest.raises(RemoteError):
            client.ls("/dev/irq")
        with pytest.raises(RemoteError, match="no capability"):
            client.write("/proc/self/ctl", b"renounce pci sugar\n")
        client.write("/proc/self/args", b"/usr/bin/thing -v\n")
        assert client.read("/proc/self/args") == b"/usr/bin/thing -v\n"
        assert "name: thing\n" in client.read("/proc/self/status").decode()
    with kernel.client() as client:
        assert client.read("/dev/pci/bus")


def test_not_another_process(kernel: Running) -> None:
    with kernel.client() as first, kernel.client() as second:
        other, _ = sorted(int(s.name) for s in first.ls("/proc") if s.name.isdigit())
        for path, text in (("ctl", b"renounce pci"), ("ctl", b"rfork"), ("args", b"mine")):
            with pytest.raises(RemoteError, match="itself"):
                second.write(f"/proc/{other}/{path}", text)


# -- a shell


def test_a_shell_on_a_terminal(kernel: Running) -> None:
    controller, terminal = pty.openpty()
    try:
        with subprocess.Popen(
            [*LUX9, "-a", kernel.address, "shell", "--bind", EDU],
            env=os.environ | {"SHELL": "/bin/sh"},
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        ) as process:
            os.write(controller, f"echo claim >{PCI}/ctl\necho seen: /dev/pci/*\nexit 3\n".encode())
            told, _ = process.communicate(timeout=LIMIT)
    finally:
        os.close(controller)
        os.close(terminal)
    assert process.returncode == 3
    assert f"seen: {PCI}\n" in told
