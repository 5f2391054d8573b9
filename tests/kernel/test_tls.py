"""TLS: the certificate is the identity; whoever has none, or a wrong one, is told why, and the audit has it."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lux9.errors import Lux9Error, PermissionDenied, ProtocolError, RemoteError, UserError
from lux9.kernel import guest, listen
from lux9.kernel.process import Cap
from lux9.kernel.users import User
from lux9.keys.authority import Authority
from lux9.keys.folder import DAY, Folder
from lux9.ninep import secure, tcp, tls
from lux9.ninep.aclient import AsyncClient
from lux9.ninep.address import Address, parse
from lux9.ninep.client import Client
from tests.kernel.net import AHCI, Net, serving
from tests.ninep.serving import LIMIT, LOOPS, new_loop

ADA = User("ada", Cap.PCI | Cap.MEM, bind=(AHCI,))
BOB = User("bob", Cap.PCI)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority.init(Folder(tmp_path_factory.mktemp("keys")), "lab")
    made.new("host", ["localhost", "127.0.0.1"])
    for name in ("ada", "bob", "eve"):
        made.new(name)
    return made


@pytest.fixture(autouse=True)
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates are looked at more often than they need be."""
    monkeypatch.setattr(listen, "LOOK", 0.05)


@pytest.fixture
def key(authority: Authority) -> Callable[[str], Path]:
    return authority.folder.file


@pytest.fixture(params=LOOPS)
def net(request: pytest.FixtureRequest, key: Callable[[str], Path]) -> Iterator[Net]:
    with serving(request.param, keys=key("host"), ada=ADA, bob=BOB) as net:
        yield net


@pytest.fixture
def one(key: Callable[[str], Path]) -> Iterator[Net]:
    """On one loop, where the loop does not matter."""
    with serving(keys=key("host"), ada=ADA, bob=BOB) as net:
        yield net


def denied(net: Net, what: str = "tls") -> str:
    """The last refusal, once it is there."""
    entries = net.until(lambda: [e for e in net.audit(what) if e["verdict"] == "denied"])
    entry = entries[-1]
    assert entry["who"] == "network/0"
    assert entry["target"].startswith("tls!127.0.0.1!")
    error: str = entry["error"]
    return error


def untouched(net: Net, keys: Path) -> None:
    """Nobody is left, and the next one is served."""
    net.until(lambda: not net.network.guests)
    with net.client(keys=keys) as client:
        assert client.ls("/")


class TestIdentity:
    def test_is_the_certificates(self, net: Net, key: Callable[[str], Path]) -> None:
        with net.client(keys=key("ada")) as ada, net.client(keys=key("bob")) as bob:
            for client, name in ((ada, "ada"), (bob, "bob")):
                status = client.read("/proc/self/status").decode()
                assert f"user: {name}\n" in status
            assert [s.name for s in ada.ls("/dev/pci")] == [AHCI]
            assert AHCI in bob.read("/dev/pci/bus").decode()
        (entry, _) = net.audit("connect")
        assert (entry["user"], entry["name"], entry["verdict"]) == ("ada", "ada", "allowed")
        assert len(entry["serial"]) >= 16

    def test_is_not_what_the_client_calls_itself(
        self, one: Net, key: Callable[[str], Path]
    ) -> None:
        with one.client(keys=key("bob")) as client:
            fid, _ = client.wait(client.caller.attach(uname="root"))
            assert fid
            assert b"user: bob" in client.read("/proc/self/status")

    def test_gives_what_the_manifest_says_and_no_more(
        self, one: Net, key: Callable[[str], Path]
    ) -> None:
        with one.client(keys=key("ada")) as ada:
            with ada.open(f"/dev/pci/{AHCI}/bar5") as bar:
                assert bar.pread(0x10, 4) == b"\0\0\1\0"
            with pytest.raises(
                RemoteError, match=r"/dev/irq: ada lacks capability irq \(has mem pci\)"
            ):
                ada.read("/dev/irq/ctl")
        entry = next(e for e in one.audit("Twalk") if e["verdict"] == "denied")
        assert (entry["user"], entry["target"]) == ("ada", "/dev/irq/ctl")
        with one.client(keys=key("bob")) as bob:
            bob.write(f"/dev/pci/{AHCI}/ctl", b"claim")
            with pytest.raises(RemoteError, match="bob lacks capability mem"):
                bob.open(f"/dev/pci/{AHCI}/bar5")
        (entry,) = [e for e in one.audit("pci open") if e["verdict"] == "denied"]
        assert entry["user"] == "bob"

    def test_bytes_arrive_as_they_are(self, net: Net, key: Callable[[str], Path]) -> None:
        data = random.Random(5).randbytes(3 << 20)
        with net.client(keys=key("ada")) as client:
            one = client.read(f"/dev/pci/{AHCI}/config")
            assert len(one) >= 256
        user = User("ada", namespace=("bind '#c' /dev",))
        net.do(lambda: net.network.users.update(ada=user))
        with net.client(keys=key("ada")) as client, client.open("/dev/null", 1) as null:
            assert null.write(data) == len(data)
        with net.client(keys=key("ada")) as client, client.open("/dev/zero") as zero:
            assert zero.pread(0, len(data)) == bytes(len(data))


class TestRefusals:
    def test_no_certificate(self, net: Net, key: Callable[[str], Path]) -> None:
        bare = tls.context(tls.load(key("ada")), server=False)
        anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anonymous.load_verify_locations(cadata=tls.load(key("ada")).authority)
        assert bare.verify_mode is anonymous.verify_mode
        address = parse(net.at)
        sock = tls.wrap(anonymous, tcp.dial(address), address.where)
        with pytest.raises(PermissionDenied, match="asks for a certificate, and none was given"):
            Client.over(sock)
        assert denied(net) == "no certificate"
        untouched(net, key("ada"))

    def test_of_another_authority(
        self, net: Net, key: Callable[[str], Path], tmp_path: Path
    ) -> None:
        other = Authority.init(Folder(tmp_path / "other"), "lab")
        other.new("ada")
        theirs = other.folder.file("ada")
        with pytest.raises(UserError, match="server's certificate is of an authority that is not"):
            net.client(keys=theirs)
        assert "does not accept the server's certificate: unknown ca" in denied(net)
        # one that does not mind whom it talks to
        ours = tls.load(key("ada")).authority
        text = theirs.read_text()
        theirs.write_text(text.replace(tls.load(theirs).authority, "") + ours)
        with pytest.raises(PermissionDenied, match="of an authority that the server does not know"):
            net.client(keys=theirs)
        assert denied(net) == "the client's certificate is of an authority that is not known here"
        untouched(net, key("ada"))

    def test_a_hosts_certificate_is_no_users(self, net: Net, key: Callable[[str], Path]) -> None:
        with pytest.raises(PermissionDenied, match="your certificate is not one of a user"):
            net.client(keys=key("host"))
        assert denied(net) == "the client's certificate is not made for this side of a connection"

    def test_who_is_not_in_the_manifest(self, net: Net, key: Callable[[str], Path]) -> None:
        with pytest.raises(RemoteError, match=r"'eve' has a certificate, and no \[\[user\]\]"):
            net.client(keys=key("eve"))
        assert "'eve' has a certificate" in denied(net, "connect")
        untouched(net, key("ada"))

    def test_expired(self, one: Net, authority: Authority) -> None:
        old = _made(authority, "old", -DAY)
        with pytest.raises(PermissionDenied, match="your certificate has expired"):
            one.client(keys=old)
        assert denied(one) == "the client's certificate has expired"

    def test_the_servers_name(self, one: Net, key: Callable[[str], Path]) -> None:
        port = parse(one.at).port
        Client.dial(f"tls!localhost!{port}", keys=key("ada")).close()
        with pytest.raises(UserError, match=r"certificate is not one of '127\.0\.0\.3'"):
            tls.dial(Address("tls", "127.0.0.3", _forwarded(one)), key("ada"))

    def test_on_a_loop_it_is_told_the_same(self, net: Net, key: Callable[[str], Path]) -> None:
        async def dial(name: str) -> None:
            async with await AsyncClient.connect(net.at, keys=key(name)) as client:
                assert [s.name for s in await client.ls("/dev/pci")] == [AHCI]

        loop = new_loop("uvloop")
        try:
            loop.run_until_complete(dial("ada"))
            with pytest.raises(PermissionDenied, match="not one of a user"):
                loop.run_until_complete(dial("host"))
            with pytest.raises(RemoteError, match="'eve' has a certificate"):
                loop.run_until_complete(dial("eve"))
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def test_a_dial_that_is_given_up_hangs_up(
        self, key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a handshake that the other side does not go on with."""
        monkeypatch.setattr(secure, "SHAKING", 3600.0)

        async def body() -> None:
            begun, ended = asyncio.Event(), asyncio.Event()

            async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readexactly(1)
                begun.set()
                while await reader.read(4096):
                    pass
                ended.set()
                writer.close()

            async with await asyncio.start_server(silent, "127.0.0.1") as server:
                at = Address("tls", "127.0.0.1", server.sockets[0].getsockname()[1])
                dialling = asyncio.ensure_future(
                    secure.dial(at, key("ada"), asyncio.BufferedProtocol)
                )
                await begun.wait()
                dialling.cancel()
                await ended.wait()

        async def limited() -> None:
            async with asyncio.timeout(LIMIT):
                await body()

        asyncio.run(limited())


def _made(authority: Authority, name: str, seconds: float) -> Path:
    """A key that has so many seconds left."""
    past = Authority.load(authority.folder)
    past.clock = lambda: time.time() + seconds - DAY
    past.new(name, days=1)
    return authority.folder.file(name)


def _forwarded(net: Net) -> int:
    """The same server, listening on another address that its certificate does not have."""
    (where,) = net.run(net.network.listen(Address("tls", "127.0.0.3", 0)))
    port: int = where.port
    return port


class TestRevoking:
    def test_it_counts_no_more(self, one: Net, authority: Authority) -> None:
        authority.new("gone")
        keys = authority.folder.file("gone")
        one.do(lambda: one.network.users.update(gone=User("gone", Cap.PCI)))
        one.client(keys=keys).close()
        text = keys.read_text()
        authority.revoke("gone")
        keys.write_text(text)
        keys.chmod(0o600)
        with pytest.raises(RemoteError, match=r"of gone was revoked on \d{4}-\d\d-\d\d; ask for"):
            one.client(keys=keys)
        assert "was revoked" in denied(one, "connect")

    def test_who_is_connected_is_hung_up_on(self, net: Net, authority: Authority) -> None:
        name = f"late{id(net)}"
        authority.new(name)
        net.do(lambda: net.network.users.update({name: User(name, Cap.PCI)}))
        with net.client(keys=authority.folder.file(name)) as client:
            client.write(f"/dev/pci/{AHCI}/ctl", b"claim")
            authority.revoke(name)
            net.until(lambda: not net.network.guests)
            with pytest.raises(ProtocolError, match=f"of {name} was revoked"):
                client.ls("/")
        assert "was revoked" in denied(net, "connection")
        assert not net.kernel.lives, "and what it had is free"

    def test_a_certificate_that_runs_out_ends_its_connection(
        self, one: Net, authority: Authority
    ) -> None:
        keys = _made(authority, "brief", 2.5)
        one.do(lambda: one.network.users.update(brief=User("brief", Cap.PCI)))
        with one.client(keys=keys) as client:
            one.until(lambda: not one.network.guests)
            with pytest.raises(ProtocolError, match="of brief has expired"):
                client.ls("/")

    def test_a_list_that_cannot_be_read_lets_nobody_in(
        self, key: Callable[[str], Path], tmp_path: Path
    ) -> None:
        (tmp_path / "revoked").write_bytes(b"\xff\xfe")
        host = tmp_path / "host.pem"
        host.write_bytes(key("host").read_bytes())
        host.chmod(0o600)
        with (
            serving(keys=host, ada=ADA) as net,
            pytest.raises(RemoteError, match="revoked: i/o error"),
        ):
            net.client(keys=key("ada"))


class TestStrangers:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", "not TLS: it begins with b'GET / HT'"),
            (random.Random(1).randbytes(100), "not TLS"),
            (bytes(100), "not TLS"),
            (b"\x16\x03\x01\x00\x05\x01\0\0\1\0", ""),
        ],
    )
    def test_garbage(self, net: Net, key: Callable[[str], Path], data: bytes, said: str) -> None:
        with net.socket() as sock:
            sock.sendall(data)
            _to_the_end(sock)
        assert said in denied(net)
        untouched(net, key("ada"))

    def test_plain_9p_is_told_in_9p(self, net: Net, key: Callable[[str], Path]) -> None:
        plain = net.at.replace("tls!", "tcp!")
        with pytest.raises(Lux9Error, match=f"TLS is spoken at {net.at}: write tls! for tcp!"):
            Client.dial(plain)
        assert denied(net) == "plain 9P where TLS is spoken"
        untouched(net, key("ada"))

    def test_tls_to_a_plain_port(self, key: Callable[[str], Path]) -> None:
        with (
            serving() as net,
            pytest.raises(UserError, match="does not speak TLS there; write tcp! for tls!"),
        ):
            Client.dial(net.at.replace("tcp!", "tls!"), keys=key("ada"))

    def test_old_tls(self, net: Net, key: Callable[[str], Path]) -> None:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.load_cert_chain(key("ada"))
        old.load_verify_locations(cadata=tls.load(key("ada")).authority)
        with net.socket() as sock, pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
            old.wrap_socket(sock, server_hostname="127.0.0.1")
        assert denied(net) == "the client does not speak TLS 1.3"

    def test_who_is_slow_is_given_up(
        self, one: Net, key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secure, "SHAKING", 0.05)
        with one.socket() as sock:
            sock.sendall(b"\x16\x03\x01")
            _to_the_end(sock)
        assert denied(one) == "no handshake within 0.05 s"
        monkeypatch.setattr(secure, "SHAKING", LIMIT)
        untouched(one, key("ada"))

    def test_handshakes_are_counted(
        self, one: Net, key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listen, "SHAKING", 2)
        with one.socket(), one.socket():
            one.until(lambda: sum(g.shaking for g in one.network.guests) == 2)
            with one.socket() as third:
                _to_the_end(third)
            assert "2 handshakes are on their way" in denied(one)
        one.until(lambda: not one.network.guests)
        untouched(one, key("ada"))

    def test_who_is_silent_behind_the_handshake_does_not_keep_a_place(
        self, one: Net, key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guest, "SILENT", 0.05)
        with tls.dial(parse(one.at), key("ada")) as sock:
            one.until(lambda: one.audit("disconnect"))
            assert sock.fileno() >= 0

    def test_the_audit_is_not_flooded(self, one: Net) -> None:
        one.network.stranger.audited.left = 5
        for _ in range(300):
            with one.socket() as sock:
                sock.sendall(b"hello, is anybody there?")
        one.until(lambda: not one.network.guests)
        assert len(one.audit("tls")) < 300

    def test_the_end_of_the_kernel_ends_a_handshake(self, one: Net) -> None:
        with one.socket() as sock:
            one.until(lambda: one.network.guests)
            one.run(one.kernel.stop())
            _to_the_end(sock)


def _to_the_end(sock: socket.socket) -> None:
    """Read until the other side has closed."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        pass
