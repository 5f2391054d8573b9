"""The client of qtest, against a server that says what a test wants."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lux9.machine.qemu.qtest import MOST, QemuGone, Qtest


class Server:
    """QEMU's end, and what the client told of."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.sock = theirs
        self.interrupts: list[tuple[int, bool]] = []
        self.lost: list[str] = []
        self.qtest = Qtest(
            ours, lambda n, up: self.interrupts.append((n, up)), self.lost.append, 0.2
        )

    def says(self, *lines: str) -> None:
        self.sock.sendall("".join(lines).encode())

    def heard(self) -> str:
        self.sock.setblocking(False)
        try:
            return self.sock.recv(1 << 16).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.sock.close()
    made.qtest.sock.close()


def test_an_answer_is_what_stands_behind_ok(server: Server) -> None:
    server.says("OK 0x0000000080000100\n")
    assert server.qtest.ask(b"readl 0x10") == b"0x0000000080000100"
    assert server.heard() == "readl 0x10\n"


def test_interrupts_stand_before_and_after_an_answer(server: Server) -> None:
    server.says("IRQ raise 16\nIRQ lower 16\nOK 0x1\nIRQ raise 11\nIRQ ")
    assert server.qtest.ask(b"readl 0") == b"0x1"
    assert server.interrupts == [(16, True), (16, False), (11, True)]
    server.says("lower 11\n")
    server.qtest.take()
    assert server.interrupts[-1] == (11, False)


def test_an_answer_may_come_in_pieces(server: Server) -> None:
    server.says("OK 0x")
    server.qtest.post(
        b"writel 0 0"
    )  # its answer is the first: what came so far is the beginning of it
    server.qtest.flush()
    server.qtest.take()
    server.says("0\nOK 0x2\n")
    assert server.qtest.ask(b"readl 0") == b"0x2"


def test_posted_writes_go_out_with_the_next_read(server: Server) -> None:
    soon: list[int] = []
    server.qtest.soon = lambda: soon.append(1)
    server.qtest.post(b"writel 0 1")
    server.qtest.post(b"writel 4 2")
    assert server.heard() == ""
    assert soon == [1]
    assert not server.qtest.quiet
    server.says("OK\nIRQ raise 3\nOK\nOK 0x7\n")
    assert server.qtest.ask(b"readl 8") == b"0x7"
    assert server.heard() == "writel 0 1\nwritel 4 2\nreadl 8\n"
    assert server.qtest.quiet


def test_answers_to_posted_writes_are_collected_before_they_fill_the_socket(server: Server) -> None:
    server.says("OK\n" * MOST * 2)
    for _ in range(2 * MOST):
        server.qtest.post(b"writel 0 0")
    server.qtest.collect()
    assert server.qtest.quiet


@pytest.mark.parametrize(
    "line", ["FAIL no such command", "ERR", "OKAY", "", "IRQ raise", "IRQ up 3"]
)
def test_nonsense_ends_it(server: Server, line: str) -> None:
    server.says(f"{line}\n")
    with pytest.raises(QemuGone):
        server.qtest.ask(b"readl 0")
    assert len(server.lost) == 1
    with pytest.raises(QemuGone):
        server.qtest.ask(b"readl 0")
    server.qtest.post(b"writel 0 0")  # lost, and not a word
    assert len(server.lost) == 1


def test_an_answer_that_nobody_asked_for_ends_it(server: Server) -> None:
    server.says("OK\n")
    server.qtest.take()
    assert server.lost == ["QEMU answered what was not asked"]


def test_silence_ends_it(server: Server) -> None:
    with pytest.raises(QemuGone, match=r"did not answer for 0\.2 s"):
        server.qtest.ask(b"readl 0")


def test_a_write_that_is_not_answered_is_overdue(server: Server) -> None:
    server.qtest.limit = -1.0
    assert not server.qtest.overdue()
    server.qtest.post(b"writel 0 0")
    server.qtest.flush()
    assert server.qtest.overdue()


def test_the_end_of_the_socket_ends_it(server: Server) -> None:
    server.sock.close()
    with pytest.raises(QemuGone, match="hung up"):
        server.qtest.ask(b"readl 0")
