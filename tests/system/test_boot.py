"""`lux9 boot`: what it prints, how it ends, what it leaves, and what it says of mistakes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.system.running import (
    AHCI,
    LIMIT,
    LUX9,
    Running,
    boot,
    children,
    environment,
    gone,
    lux9,
    make_image,
    no_drivers,
    until,
)

FUNCTION = re.compile(
    r"^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] vendor=0x[0-9a-f]{4} device=0x[0-9a-f]{4}"
    r" class=[0-9a-f]{2}\.[0-9a-f]{2}\.[0-9a-f]{2} irq=\d+$"
)
BAR = re.compile(r"^  bar[0-5]: addr=0x[1-9a-f][0-9a-f]* size=0x[1-9a-f][0-9a-f]*$")


# -- what it prints


def test_the_bus_in_its_format(disk: Path) -> None:
    done = boot("lux9 cat /dev/pci/bus", "--disk", str(disk), "--read-only")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert all(FUNCTION.match(line) or BAR.match(line) for line in lines), done.stdout
    wanted = f"{AHCI} vendor=0x8086 device=0x2922 class=01.06.01 irq="
    at = next(i for i, line in enumerate(lines) if line.startswith(wanted))
    assert any(re.match(r"^  bar5: addr=0x[0-9a-f]+ size=0x1000$", line) for line in lines[at:])


def test_who_sees_one_function_lists_it(tmp_path: Path) -> None:
    manifest = tmp_path / "m.toml"
    manifest.write_text(f'[[user]]\nname = "none"\ncapabilities = ["pci"]\nbind = ["{AHCI}"]\n')
    here = "lux9 cat /dev/listen | sed -n 's/^\\(tcp[^ ]*\\).*/\\1/p'"
    options = ("--manifest", str(manifest), "--listen", "tcp!127.0.0.1!0")
    done = boot(f"lux9 lspci -v; echo; LUX9_ADDR=$({here}) lux9 lspci -v", *options)
    assert done.stderr == ""
    every, _, one = done.stdout.rpartition("\n\n")[0].rpartition("\n\n")
    assert one.startswith(f"{AHCI} SATA controller [0106]: 8086:2922\n")
    assert one in every


def test_a_socket_named_from_here_is_found_from_elsewhere(tmp_path: Path) -> None:
    options = (*no_drivers(tmp_path), "--listen", "unix!here")
    done = boot("cd /; lux9 cat /dev/sysname", *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_lspci_reads_the_dump(tmp_path: Path, disk: Path) -> None:
    done = boot(
        "lux9 cat /dev/pci/dump > f; lspci -F f", "--disk", str(disk), "--read-only", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^00:1f\.2 SATA controller: Intel .*\[AHCI mode\]", done.stdout, re.MULTILINE)


def test_the_log_is_kept_quiet_unless_it_is_wanted(tmp_path: Path) -> None:
    options = no_drivers(tmp_path)
    assert boot("true", *options).stderr == ""
    assert "machine sim" in boot("true", *options, "--verbose").stderr


def test_a_socket_for_this_user_alone(tmp_path: Path) -> None:
    with Running(tmp_path, *no_drivers(tmp_path)) as running:
        assert running.socket.stat().st_mode & 0o777 == 0o600
        other = lux9("boot", "--listen", running.address, *no_drivers(tmp_path))
        assert other.returncode != 0
        assert f"{running.socket}: a lux9 is running there" in other.stderr
        assert running.read("/dev/user") == f"{running.read('/dev/user')}"
    assert not running.socket.exists()


def test_a_dead_kernels_socket_is_taken_over(tmp_path: Path) -> None:
    with Running(tmp_path, *no_drivers(tmp_path)) as first:
        (keeper,) = children(first.process.pid)
        os.kill(keeper, signal.SIGKILL)  # which would take the socket away
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
        assert first.socket.exists()
        with Running(tmp_path, *no_drivers(tmp_path)) as second:
            assert second.read("/dev/drivers").startswith("#/ root\n")


# -- how it ends


@pytest.mark.parametrize("status", [0, 1, 3, 127])
def test_its_status_is_the_commands(tmp_path: Path, status: int) -> None:
    assert boot(f"exit {status}", *no_drivers(tmp_path)).returncode == status


def test_a_command_that_is_killed(tmp_path: Path) -> None:
    assert boot("kill -KILL $$", *no_drivers(tmp_path)).returncode == 128 + signal.SIGKILL


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    assert boot("no-such-command-here", *no_drivers(tmp_path)).returncode == 127


def test_the_command_finds_this_kernel_and_this_lux9(tmp_path: Path) -> None:
    env = environment(LUX9_ADDR="unix!/nowhere")
    done = boot("echo $LUX9_ADDR; lux9 cat /dev/drivers", *no_drivers(tmp_path), env=env)
    address, *drivers = done.stdout.splitlines()
    assert address.startswith("unix!")
    assert "#P pci" in drivers
    assert not Path(address.removeprefix("unix!")).parent.exists()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 0),
        (signal.SIGINT, 128 + signal.SIGINT),
        (signal.SIGHUP, 128 + signal.SIGHUP),
    ],
)
def test_a_signal_ends_it_and_all_that_it_started(
    tmp_path: Path, disk: Path, number: int, status: int
) -> None:
    with Running(tmp_path, "--disk", str(disk), "--read-only") as running:
        drivers = children(running.process.pid)
        assert len(drivers) >= 2  # ahci and ext4
        running.alive()
        assert running.stop(number) == status
        until(lambda: all(gone(pid) for pid in drivers), "the drivers' end")
        assert not running.socket.exists()


def test_a_signal_during_a_command_ends_both(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [*LUX9, "boot", *no_drivers(tmp_path), "--exec", "echo $$; exec sleep 1000"]
    env = environment(TMPDIR=str(temporary))
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert [p.name[:5] for p in temporary.iterdir()] == ["lux9-"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 128 + signal.SIGTERM
        assert gone(child)
        assert not list(temporary.iterdir())


def test_a_signal_while_it_comes_up(tmp_path: Path) -> None:
    """A driver that never answers is ended with the rest."""
    manifest = tmp_path / "m.toml"
    manifest.write_text('[mute]\nclass = "01.06.01"\ncommand = ["sleep", "1000"]\n')
    running = Running(tmp_path, "--manifest", str(manifest))
    command = [*LUX9, "boot", "--listen", running.address, *running.options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        until(running.socket.exists)
        running.until("/dev/sip/servers/mute/status", lambda text: "pid: 0\n" not in text)
        pid = int(running.status("mute")["pid"])
        assert running.status("mute")["state"] == "starting"
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 128 + signal.SIGINT
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    until(lambda: gone(pid), "the driver's end")
    assert not running.socket.exists()


def test_a_kernel_that_is_killed_takes_its_drivers_with_it(tmp_path: Path, disk: Path) -> None:
    with Running(tmp_path, "--disk", str(disk), "--read-only") as running:
        drivers = children(running.process.pid)
        with running.client() as client, client.open("/dev/sdE0/data") as f:
            f.submit(0, 1 << 20)
            assert running.stop(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: all(gone(pid) for pid in drivers), "the drivers' end")


# -- mistakes


def mistake(*args: str) -> str:
    """Why a command is refused, in one line."""
    done = lux9(*args)
    assert done.returncode != 0
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_mistakes_are_told_in_one_line(tmp_path: Path) -> None:
    d = str(tmp_path)
    assert "no such driver; there are: ahci ext4" in mistake("boot", "--inside", "nvme")
    assert "write unix!/path/to/socket" in mistake("boot", "--listen", "il!here!564")
    assert "'no.invalid' is no host" in mistake(
        "boot", "--listen", "tcp!no.invalid!564", "--exec", "true"
    )
    assert "No such file" in mistake("boot", "--manifest", f"{d}/none.toml")
    assert "No such file" in mistake(
        "boot", "--listen", f"unix!{d}/no/such/dir/s", "--exec", "true"
    )
    assert "AF_UNIX path too long" in mistake(
        "boot", "--listen", "unix!/tmp/" + "x" * 120, "--exec", "true"
    )
    assert f"no lux9 at {d}/s" in mistake("--addr", f"unix!{d}/s", "ls", "/")


def test_a_manifest_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text("[a]\nmodule = 'm'\nbeans = 3")
    line = mistake("boot", "--manifest", str(path), "--exec", "true")
    assert line.startswith(f"lux9 boot: {path}:")
    assert "[a]: unknown key 'beans'; known: class" in line


def test_a_driver_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('[a]\nclass = "01.06.01"\ncommand = ["/no/such/program"]\n')
    done = boot("true", "--manifest", str(tmp_path / "m.toml"))
    assert done.returncode == 0
    assert done.stderr.startswith(f"lux9 boot: a does not serve {AHCI}: ")
    assert "/no/such/program" in done.stderr
    assert "No such file or directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_driver_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        '[a]\nclass = "01.06.01"\ncommand = ["sh", "-c", "echo no luck today; exit 5"]\n'
    )
    done = boot("true", "--manifest", str(tmp_path / "m.toml"))
    assert done.stderr == (
        f"lux9 boot: a does not serve {AHCI}: exited with status 5 (no luck today)\n"
    )


def test_inside_one_process(tmp_path: Path) -> None:
    """The same driver within the kernel's process; the file system is a process as before."""
    image = make_image(tmp_path)
    command = (
        "lux9 cat /dev/sip/servers/ahci/status; lux9 cat /root/hello.txt; lux9 cat /dev/sip/ctl"
    )
    done = boot(command, "--disk", str(image), "--inside", "ahci")
    assert done.returncode == 0, done.stderr
    assert "isolation: none" in done.stdout
    assert "pid: 0\n" in done.stdout
    assert done.stdout.endswith("hello\n1 ahci running\n2 ext4 running\n")


def test_all_inside_one_process(tmp_path: Path, disk: Path) -> None:
    with Running(
        tmp_path, "--disk", str(disk), "--read-only", "--inside", "ahci", "--inside", "ext4"
    ) as running:
        (keeper,) = children(running.process.pid)
        assert Path(f"/proc/{keeper}/comm").read_text() == "sh\n"
        assert running.read("/root/hello.txt") == "hello\n"
        running.write("/dev/sip/servers/ahci/ctl", "restart")
        running.until("/dev/sip/ctl", lambda text: text == "1 ahci running\n2 ext4 running\n")
        assert running.read("/root/hello.txt") == "hello\n"
        assert running.stop() == 0


@pytest.mark.parametrize("rule", ["never", "always max 3 in 10", "on-crash max 5 in 60"])
def test_a_rule_of_restart_for_all_drivers(disk: Path, rule: str) -> None:
    done = boot(
        "lux9 cat /dev/sip/servers/ahci/status",
        "--disk",
        str(disk),
        "--read-only",
        "--restart",
        rule,
    )
    assert f"restart: {rule}" in done.stdout.splitlines(), done


def test_what_is_learnt_has_to_have_a_place_before_the_run(tmp_path: Path) -> None:
    said = mistake("boot", "--learn", str(tmp_path / "none" / "m.toml"), "--exec", "echo ran")
    assert said.endswith("m.toml: there is no such directory to write it in")


def test_a_rule_of_restart_that_is_none() -> None:
    assert "write never, always or on-crash" in mistake("boot", "--restart", "sometimes")
