"""The kernel's own files, on its socket: cons, proc, srv, mnt, and devices attached by name."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from lux9.errors import Disconnected, RemoteError
from lux9.ninep.client import Client, File
from lux9.ninep.session import Session
from lux9.tree import Dir, Tree, text, verb
from lux9.wire import messages as m
from lux9.wire.codec import NOTAG
from lux9.wire.messages import ORDWR, OREAD, OWRITE
from lux9.wire.node import Node
from tests.system.peer import MSIZE, Peer
from tests.system.running import AHCI, LIMIT, Running, no_drivers, until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("kernel")
    with Running(folder, *no_drivers(folder)) as made:
        yield made


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with running.client() as made:
        yield made


# -- small files


def test_small_files(client: Client) -> None:
    seconds, nanoseconds, ticks = map(int, client.read("/dev/time").split())
    assert (nanoseconds // ticks, ticks) == (seconds, 1_000_000_000)
    assert client.read("/dev/null") == b""
    assert client.write("/dev/null", b"away") == 4
    with client.open("/dev/zero") as f:
        assert f.pread(0, 1000) == bytes(1000)
    with client.open("/dev/random") as f:
        assert f.pread(0, 32) != f.pread(0, 32)
    assert client.read("/dev/sysname")
    assert client.read("/dev/user")


def test_the_drivers_and_their_letters(client: Client) -> None:
    lines = dict(line.split(" ", 1) for line in client.read("/dev/drivers").decode().splitlines())
    assert lines["#/"] == "root"
    assert {"#c", "#M", "#p", "#s", "#m", "#I", "#D", "#P", "#i"} <= set(lines)


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("#c", "kmesg"),
        ("#M", "mounts"),
        ("#p", "self"),
        ("#m", "mem"),
        ("#I", "ctl"),
        ("#D", "alloc"),
        ("#P", "bus"),
        ("#i", "ctl"),
        (f"#P/{AHCI}", "bar5"),
    ],
)
def test_a_device_attached_by_its_name(running: Running, device: str, name: str) -> None:
    with Client.dial(running.address, device) as client:
        client.stat("/" + name)
        client.ls("/")


@pytest.mark.parametrize("name", ["#Z", "#", "dev", "#P/nothing", "#s/nobody"])
def test_an_attach_name_that_is_none(running: Running, name: str) -> None:
    with pytest.raises(RemoteError, match="file does not exist"):
        Client.dial(running.address, name)


# -- logs that are followed


def test_a_log_ends_once_and_is_then_followed(running: Running) -> None:
    with Peer(running.socket) as peer, running.client() as other:
        peer.start().open(1, "/dev/audit")
        while peer.read(1, 0, 65000):
            pass
        peer.send(m.Tread(1, 0, 65000), 7)
        noise(other)
        tag, answer = peer.answer()
        assert tag == 7
        assert isinstance(answer, m.Rread)
        assert json.loads(bytes(answer.data).splitlines()[0])["verdict"] == "denied"


def noise(client: Client) -> None:
    """Something that is in the audit."""
    with pytest.raises(RemoteError):
        client.write("/dev/irq/ctl", b"register 8 clock")


def test_the_audit_is_a_json_object_a_line(running: Running, client: Client) -> None:
    noise(client)
    entries = [json.loads(line) for line in client.read("/dev/audit").splitlines()]
    assert all(
        {"seq", "time", "who", "user", "what", "target", "verdict"} <= set(e) for e in entries
    )
    assert [e["seq"] for e in entries] == sorted({e["seq"] for e in entries})
    assert entries[-1]["verdict"] in ("denied", "done", "allowed")
    assert any(e["what"] == "irq register" and e["verdict"] == "denied" for e in entries)


def test_a_read_that_waits_is_flushed(running: Running) -> None:
    """The flush is answered, the read is not."""
    with Peer(running.socket) as peer:
        peer.start().open(1, "/dev/kmesg")
        while peer.read(1, 0, 65000):
            pass
        peer.send(m.Tread(1, 0, 100), 5)
        assert peer.ask(m.Tflush(5), 6) == m.Rflush()
        assert isinstance(peer.ask(m.Tclunk(1), 7), m.Rclunk)


def test_a_wait_for_an_interrupt_is_flushed(running: Running) -> None:
    with Peer(running.socket) as peer, running.client() as client:
        peer.start().open(1, f"/dev/pci/{AHCI}/ctl", ORDWR)
        assert isinstance(peer.ask(m.Twrite(1, 0, b"claim\n")), m.Rwrite)
        line = next(w for w in peer.read(1).split(b"\n") if w.startswith(b"irq: ")).split()[1]
        peer.open(2, "/dev/irq/ctl", OWRITE)
        assert isinstance(peer.ask(m.Twrite(2, 0, b"register %s disk shared" % line)), m.Rwrite)
        assert f"irq {line.decode()}: disk" in client.read("/dev/irq/ctl").decode()
        peer.open(3, f"/dev/irq/{line.decode()}")
        peer.send(m.Tread(3, 0, 100), 9)
        assert peer.ask(m.Tflush(9), 10) == m.Rflush()
        peer.send(m.Tread(3, 0, 100), 11)  # again, and now its fid goes
        peer.send(m.Tclunk(3), 12)
        answers = dict(peer.answer() for _ in range(2))
        assert isinstance(answers[11], m.Rerror)
        assert isinstance(answers[12], m.Rclunk)
        with pytest.raises(RemoteError, match=r"lux9|pytest|python"):
            client.open(f"/dev/irq/{line.decode()}")
    with running.client() as after:
        until(lambda: after.read("/dev/irq/ctl") == b"", "what it had to be taken back")
        assert b"owner: -" in after.read(f"/dev/pci/{AHCI}/ctl")


# -- processes


def test_its_own_status(client: Client) -> None:
    lines = dict(
        line.split(": ", 1) for line in client.read("/proc/self/status").decode().splitlines()
    )
    assert {"name", "user", "state", "caps", "fids", "arena"} <= set(lines)
    assert lines["caps"] == "mem io irq dma pci"
    assert lines["state"] == "running"


@pytest.mark.parametrize("name", ["²", "9" * 5000, "0", "-1"], ids=lambda name: name[:2])
def test_what_is_the_number_of_no_process(client: Client, name: str) -> None:
    for room in ("/proc", "/dev/dma"):
        with pytest.raises(RemoteError, match="file does not exist"):
            client.stat(f"{room}/{name}")


def test_open_files_are_listed(client: Client) -> None:
    with client.open("/dev/zero"), client.open("/dev/null", ORDWR):
        lines = [line.split() for line in client.read("/proc/self/fd").decode().splitlines()]
    access = {words[2]: words[1] for words in lines}
    assert access["/dev/zero"] == "r"
    assert access["/dev/null"] == "rw"
    assert all(words[0].isdigit() for words in lines)


def test_the_namespace_is_printed_and_accepted(client: Client) -> None:
    before = client.read("/proc/self/ns")
    client.write("/proc/self/ns", b"bind '#P' /p\nbind -a '#c' /p\n")
    assert {"bus", "kmesg"} <= {stat.name for stat in client.ls("/p")}
    client.write("/proc/self/ns", b"unmount '#c' /p")
    assert "kmesg" not in {stat.name for stat in client.ls("/p")}
    client.write("/proc/self/ns", b"unmount /p")
    assert client.read("/proc/self/ns") == before
    client.write("/proc/self/ns", before)
    assert sorted(client.read("/proc/self/ns").splitlines()) == sorted(before.splitlines())


def test_all_lines_or_none(client: Client) -> None:
    before = client.read("/proc/self/ns")
    with pytest.raises(RemoteError, match="bad argument"):
        client.write("/proc/self/ns", b"bind '#P' /p\nbind nonsense\n")
    assert client.read("/proc/self/ns") == before


def test_a_path_that_is_bound_is_there(client: Client) -> None:
    before = client.read("/proc/self/ns")
    with pytest.raises(RemoteError, match="/nope"):
        client.write("/proc/self/ns", b"bind '#P' /p\nbind /nope /dev\n")
    assert client.read("/proc/self/ns") == before
    client.write("/proc/self/ns", b"bind '#P' /p\nbind /p/bus /q\n")
    assert client.read("/q") == client.read("/dev/pci/bus")
    client.write("/proc/self/ns", b"unmount /p")
    client.write("/proc/self/ns", b"bind '#c' /r")  # one that leads nowhere by now is no hindrance


def test_a_client_is_hung_up_on(running: Running, client: Client) -> None:
    with running.client() as other:
        other.write("/dev/null", b"")
        mine = {s.name for s in client.ls("/proc")}
        number = max(mine, key=int)
        with pytest.raises(RemoteError, match="takes `kill` alone"):
            client.write(f"/proc/{number}/ctl", b"stop")
        client.write(f"/proc/{number}/ctl", b"kill")
        with pytest.raises(Disconnected):
            other.read("/dev/time")
    until(lambda: number not in {s.name for s in client.ls("/proc")}, "its end")


def test_processes_that_are_not_there(client: Client) -> None:
    for name in ("0", "99999", "nobody", "-1"):
        with pytest.raises(RemoteError, match="file does not exist"):
            client.read(f"/proc/{name}/status")


# -- services


class Greeting(Dir):
    """A service in two files."""

    def __init__(self) -> None:
        self.word = "hello"

    @text(0o664)
    def ctl(self) -> str:
        """What is said."""
        return f"{self.word}\n"

    @verb(1)
    def say(self, word: str) -> None:
        """Say another."""
        self.word = word


class Server:
    """9P served on a name of /srv by reading requests from it and writing answers to it."""

    def __init__(self, running: Running, name: str) -> None:
        self.root: Node = Tree(name).root(Greeting())
        self.client = running.client()
        self.file: File = self.client.create(f"/srv/{name}", 0o600, ORDWR)
        self.session = Session(self, lambda: None)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def attach(self, uname: str, aname: str) -> Node:
        return self.root

    def refused(self, error: Exception, what: str, path: str) -> None:
        pass

    def _serve(self) -> None:
        have = b""
        with self.client, contextlib.suppress(Disconnected):
            while data := self.file.pread(0, 65536):
                have += data
                have = have[self.session.receive(memoryview(have)) :]
                answers = b"".join(bytes(part) for part in self.session.out)
                self.session.sent()
                if answers and not self._write(answers):
                    return

    def _write(self, answers: bytes) -> bool:
        """Whether somebody is there to take them."""
        try:
            self.file.pwrite(0, answers)
        except RemoteError as error:
            if "was taken away" not in error.message:
                raise
            return False
        return True

    def join(self) -> None:
        self.thread.join(LIMIT)
        assert not self.thread.is_alive()


def test_a_service_that_is_posted_and_used(running: Running, client: Client) -> None:
    server = Server(running, "greeting")
    until(lambda: "greeting" in {s.name for s in client.ls("/srv")}, "the service")
    client.write("/proc/self/ns", b"mount '#s/greeting' /g")
    assert client.read("/g/ctl") == b"hello\n"
    client.write("/g/ctl", b"say goodbye")
    assert client.read("/g/ctl") == b"goodbye\n"
    with pytest.raises(RemoteError, match="unknown"):
        client.write("/g/ctl", b"sing")
    assert [s.name for s in client.ls("/g")] == ["ctl"]

    mounts = partial(client.read, "/dev/mounts")
    until(lambda: mounts().split()[4] == b"0", "the answer to the last clunk")
    where, process, requests, bytes_, _ = mounts().decode().split()
    assert where == "/g"
    assert "/" in process
    assert int(requests) > 0
    assert int(bytes_) > 0

    with pytest.raises(RemoteError, match="already exists"):
        client.create("/srv/greeting", 0o600, ORDWR)
    client.remove("/srv/greeting")
    server.join()
    assert "greeting" not in {s.name for s in client.ls("/srv")}
    with pytest.raises(RemoteError):
        client.read("/g/ctl")
    client.write("/proc/self/ns", b"unmount /g")


def test_a_service_opened_is_a_stream_of_9p(running: Running, client: Client) -> None:
    server = Server(running, "stream")
    until(lambda: "stream" in {s.name for s in client.ls("/srv")}, "the service")
    with client.open("/srv/stream", ORDWR) as f:
        f.pwrite(0, m.Tversion(MSIZE, "9P2000").encode(NOTAG))
        assert m.P9.decode(f.pread(0, 4096)) == (NOTAG, m.Rversion(MSIZE, "9P2000"))
        both = m.Tattach(0, 0xFFFFFFFF, "me", "").encode(1) + m.Twalk(0, 1, ("ctl",)).encode(2)
        f.pwrite(0, both[:20])  # wherever it is cut
        f.pwrite(0, both[20:])
        data = b""
        while len(data) < 20 + 22:
            data += f.pread(0, 4096)
        assert m.P9.decode(data[:20])[0] == 1
    client.remove("/srv/stream")
    server.join()


def test_a_service_that_talks_nonsense(running: Running, client: Client) -> None:
    with running.client() as liar:
        f = liar.create("/srv/liar", 0o600, ORDWR)
        assert f.pread(0, 4096)
        with pytest.raises(RemoteError, match="protocol error"):
            f.pwrite(0, b"\xff" * 64)
        assert "liar" not in {s.name for s in client.ls("/srv")}


def test_a_service_whose_server_goes(running: Running, client: Client) -> None:
    server = Server(running, "short")
    until(lambda: "short" in {s.name for s in client.ls("/srv")}, "the service")
    number = max((s.name for s in client.ls("/proc")), key=int)
    client.write(f"/proc/{number}/ctl", b"kill")
    until(lambda: "short" not in {s.name for s in client.ls("/srv")}, "its end")
    server.join()


def test_names_that_cannot_be_posted(client: Client) -> None:
    with pytest.raises(RemoteError, match="created open for reading and writing"):
        client.create("/srv/x", 0o600, OREAD)
    with pytest.raises(RemoteError):
        client.create("/srv/x", m.DMDIR | 0o700, OREAD)
    with pytest.raises(RemoteError, match="file does not exist"):
        client.open("/srv/nobody", ORDWR)
    assert "x" not in {s.name for s in client.ls("/srv")}
