"""A kernel on the network: identity, what strangers see, limits, and an end for whoever is silent."""

from __future__ import annotations

import socket

import pytest

from lux9.errors import Lux9Error, RemoteError, UserError
from lux9.kernel import guest, listen
from lux9.kernel.console import Console
from lux9.kernel.kernel import Kernel
from lux9.kernel.listen import Network
from lux9.kernel.process import Cap
from lux9.kernel.users import NONE, User
from lux9.machine.sim import q35
from lux9.ninep import tcp
from lux9.ninep.address import Address, parse
from tests.kernel.net import AHCI, serving
from tests.ninep.serving import LOOPS


@pytest.mark.parametrize("kind", LOOPS)
def test_a_stranger_sees_an_empty_root(kind: str) -> None:
    with serving(kind) as net:
        with net.client() as client:
            assert client.ls("/") == []
            with pytest.raises(RemoteError, match="/dev: none lacks capability mem io irq dma pci"):
                client.read("/dev/pci/bus")
            with pytest.raises(RemoteError, match="file does not exist: root"):
                client.read("/root/hello.txt")
        for device in ("#P", "#c", "#p", "#i", "#m"):
            with pytest.raises(RemoteError, match="none was given"):
                net.client(device)
        assert not net.audit("trust-network")
        assert net.audit("connect")[0]["user"] == "none"
        (entry,) = net.audit("Twalk")
        assert (entry["target"], entry["verdict"]) == ("/dev/pci/bus", "denied")


def test_who_trusts_the_network_is_told_so_everywhere() -> None:
    with serving(trust=True) as net:
        with net.client() as client:
            assert client.read("/dev/user").decode() == net.kernel.user
            assert AHCI in client.read("/dev/pci/bus").decode()
            client.write(f"/dev/pci/{AHCI}/ctl", b"claim")
            assert net.owner() == "network"
            listening = client.read("/dev/listen").decode()
            assert f"{net.at} TRUSTED: everyone who reaches it has the rights of" in listening
            assert "TRUSTED" in client.read("/dev/kmesg").decode()
        (entry,) = net.audit("trust-network")
        assert entry["target"] == net.at
        net.until(lambda: not net.network.guests)
        assert net.owner() == "-", "what it had claimed is free"


def test_none_has_what_it_is_given_and_no_more() -> None:
    user = User(NONE, Cap.PCI, bind=(AHCI,), namespace=("bind '#c/time' /time",))
    with serving(none=user) as net, net.client() as client:
        assert sorted(s.name for s in client.ls("/")) == ["dev", "proc", "time"]
        assert [s.name for s in client.ls("/dev/pci")] == [AHCI]
        assert client.read("/time").split()[2] == b"1000000000"
        me = [s.name for s in client.ls("/proc")]
        assert len(me) == 1, "of the processes it sees itself"
        assert "caps: pci\n" in client.read(f"/proc/{me[0]}/status").decode()
        client.write(f"/dev/pci/{AHCI}/ctl", b"claim")
        with pytest.raises(RemoteError, match="lacks capability mem"):
            client.open(f"/dev/pci/{AHCI}/bar5")
        with pytest.raises(RemoteError, match="none was given"):
            client.write("/proc/self/ns", b"bind '#c' /dev")


def test_nobody_climbs_out_of_what_he_was_given() -> None:
    user = User(NONE, Cap.PCI, bind=(AHCI,), namespace=("bind '#c/time' /time",))
    with serving(none=user) as net:
        with net.client(f"#P/{AHCI}") as client:
            assert "config" in [s.name for s in client.ls("/")]
            assert [s.name for s in client.ls("/..")] == [s.name for s in client.ls("/")]
            with pytest.raises(RemoteError, match="file does not exist"):
                client.read("/../0000:00:00.0/ctl")
        for source in (f"#P/{AHCI}/..", f"#P/{AHCI}/../0000:00:00.0", "#c/time/..", "#P/", "#P"):
            with pytest.raises(RemoteError, match=r"none was given|does not exist"):
                net.client(source)
            with net.client() as client, pytest.raises(RemoteError, match="none was given"):
                client.write("/proc/self/ns", f"bind '{source}' /out".encode())
        with net.client() as client:
            for path in (f"/dev/pci/{AHCI}/../..", "/dev/pci/..", "/.."):
                assert len(client.ls(path)) <= 3
            with pytest.raises(RemoteError, match="file does not exist"):
                client.read(f"/dev/pci/{AHCI}/../0000:00:00.0/ctl")


def test_all_functions_without_a_word_on_which() -> None:
    with serving(none=User(NONE, Cap.PCI)) as net, net.client() as client:
        assert AHCI in client.read("/dev/pci/bus").decode()
        client.write("/proc/self/ns", f"bind '#P/{AHCI}' /mine\nunmount /dev/pci".encode())
        assert sorted(s.name for s in client.ls("/")) == ["mine", "proc"]


def test_connections_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(none=User(NONE, connections=2)) as net:
        with net.client(), net.client():
            with pytest.raises(RemoteError, match="none has 2 connections, limit 2"):
                net.client()
            denied = [e for e in net.audit("connect") if e["verdict"] == "denied"]
            assert "limit 2" in denied[0]["error"]
        net.until(lambda: not net.network.guests)
        net.client().close()
        monkeypatch.setattr(listen, "MOST", 0)
        with pytest.raises(RemoteError, match="0 connections from the network are open"):
            net.client()


def test_who_says_nothing_does_not_keep_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "SILENT", 0.05)
    with serving() as net, net.socket() as sock, net.client() as client:
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:
            pass
        assert client.ls("/") == [], "whoever has begun may be silent"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bytes.fromhex("16030100f8010000f40303"), "TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        (bytes(64), "a message of 0 bytes"),
    ],
)
def test_nonsense_is_answered_audited_and_hung_up_on(data: bytes, said: str) -> None:
    with serving() as net, net.socket() as sock:
        sock.sendall(data)
        answer = b""
        while part := sock.recv(4096):
            answer += part
        assert said.encode() in answer
        (denied,) = net.audit("message")
        assert said in denied["error"]
        net.until(lambda: not net.network.guests)
        with net.client() as client:
            assert client.ls("/") == []


def test_a_connection_that_is_gone_before_it_was_served_leaves_nothing() -> None:
    with serving() as net:
        for _ in range(20):
            sock = net.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        net.until(lambda: not net.network.guests)
        with net.client() as client:
            assert client.ls("/") == []
        net.until(lambda: not net.kernel.lives)


def test_an_address_that_cannot_be_had_leaves_the_others_free() -> None:
    with serving() as net:
        taken = parse(net.at)
        other = Kernel(q35([]), Console(quiet=True))

        async def two() -> Address:
            network = Network(other)
            (first,) = await network.listen(Address("tcp", "127.0.0.1", 0))
            with pytest.raises(UserError, match="Address already in use"):
                await network.listen(taken)
            await other.stop()
            return first

        first = net.run(two())
        net.until(lambda: _refuses(first))


def _refuses(address: Address) -> bool:
    """Whether nobody listens there."""
    try:
        tcp.dial(address).close()
    except UserError as error:
        return "Connection refused" in str(error)
    return False


def test_the_end_of_the_kernel_ends_them_all() -> None:
    with serving() as net:
        client = net.client()
        net.run(net.kernel.stop())
        with pytest.raises(Lux9Error):
            client.ls("/")
        client.close()
