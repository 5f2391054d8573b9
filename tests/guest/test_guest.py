"""The harness itself: what a command in the guest is and says, and that nothing is left of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guest.guest import PARTS, Failed, Guest
from tests.system.running import environment, gone, until

pytestmark = pytest.mark.timeout(240)  # the first one waits for Linux

STARTED = """
import sys
from pathlib import Path
from tests.guest.guest import Guest

class Told(Guest):
    def wait(self, *args):
        print(self.process.pid, flush=True)
        return super().wait(*args)

with Told(Path(sys.argv[1])):
    pass
"""


def test_a_command_s_output_and_status_come_back(guest: Guest) -> None:
    done = guest.run("cat; echo oops >&2; exit 7", input=b"in\xc3\xbc", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "inü", "oops\n")
    assert guest.run(["/run/busybox", "printf", "a b"]).stdout == "a b"
    assert guest.run(["/nothing"], check=False).returncode == 127
    with pytest.raises(Failed, match=r"`exit 3` ended with 3"):
        guest.run("exit 3")
    with pytest.raises(Failed, match=r"had not ended after 0.5 s: said"):
        guest.run("echo said; cat /dev/zero > /dev/null", limit=0.5)


def test_much_output_and_commands_side_by_side(guest: Guest) -> None:
    guest.run("mkfifo /run/fifo")
    waiting = guest.start("read line < /run/fifo; echo $line; rm /run/fifo")
    assert len(guest.run("head -c 3000000 /dev/zero | tr '\\0' x").stdout) == 3_000_000
    guest.run("echo through > /run/fifo")
    assert waiting.end().stdout == "through\n"


def test_it_is_linux_with_our_files_which_it_cannot_change(guest: Guest, tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.write_text("by the host")
    assert "Linux" in guest.run("uname -a").stdout
    assert guest.run(f"cat /host{made}").stdout == "by the host"
    assert guest.run(f"echo x > /host{made}", check=False).returncode
    guest.run(f"echo by the guest > {made}")
    assert made.read_text() == "by the host"
    assert guest.run("id -u; id -G", user=1000).stdout == "1000\n1000\n"


def test_there_is_nothing_on_its_network(guest: Guest) -> None:
    for address in ("10.0.2.2", "10.0.2.100", "192.0.2.1"):
        done = guest.run(f"/run/busybox nc -w 1 {address} 22 < /dev/null", check=False)
        assert done.returncode, address


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_whoever_started_it(guest: Guest, tmp_path: Path, number: int) -> None:
    assert guest.process.poll() is None  # QEMU is here, and the parts of a guest are
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, str(tmp_path)],
        cwd=PARTS.parent,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert not gone(pid)
    process.send_signal(number)
    assert process.wait() == -number
    process.stdout.close()
    until(lambda: gone(pid), "QEMU to be gone")
