"""A client and a session in one process: calls instead of a socket, and nothing else that is different."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lux9.errors import Disconnected, RemoteError
from lux9.ninep.caller import Caller
from lux9.ninep.client import Client
from lux9.ninep.session import Bounds, Session
from lux9.ninep.wires import DirectWire
from lux9.wire.messages import ORDWR
from tests.ninep.rig import LONG, Owner, Top


class Direct:
    """The client, what it is served, and the work that is due when somebody waits."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.top, self.due = Top(), list[str]()
        self.batches = 0
        caller = Caller()
        wire = DirectWire(caller, self._pump, self._batch)
        wire.session = Session(Owner(self.top), wire.deliver, bounds)
        self.session = wire.session
        self.client = Client(caller)
        self.client.attach()

    def _pump(self) -> None:
        if self.due:
            self.top.waiting.pop(0).resolve(self.due.pop(0))

    def _batch(self) -> None:
        self.batches += 1


@pytest.fixture
def direct() -> Iterator[Direct]:
    direct = Direct()
    yield direct
    direct.client.close()


def test_files(direct: Direct) -> None:
    client = direct.client
    assert client.read("/ctl") == b"facts\n"
    assert len(client.ls("/")) == 107
    with client.open("/mem", ORDWR) as f:
        f.post(0, b"\xff")
        f.post(0x200, b"x")
        with pytest.raises(RemoteError, match=r"posted write to /mem\+0x200"):
            f.pread(0, 1)
        assert f.pread(0, 1) == b"\xff"


def test_what_is_due_is_done_while_somebody_waits(direct: Direct) -> None:
    with direct.client.open("/event") as f:
        direct.due = ["first", "second"]
        assert f.pread(0, 100) == b"first"
        assert f.pread(0, 100) == b"second"


def test_pausing_does_it_too(direct: Direct) -> None:
    with direct.client.open("/event") as f:
        pending = f.submit(0, 100)
        direct.client.read("/ctl")
        direct.due = ["now"]
        direct.client.pause(0)
        assert pending.result() == b"now"


def test_a_batch_is_taken_together(direct: Direct) -> None:
    with direct.client.open("/mem", ORDWR) as f:
        before = direct.batches
        for i in range(50):
            f.post(i, b"x")
        f.pread(0, 1)
        assert direct.batches == before + 1


def test_long_answers_in_parts() -> None:
    direct = Direct(Bounds(unsent=LONG))
    with direct.client.open("/long") as f:
        pending = [f.submit(0, LONG) for _ in range(9)]
        got: list[bytes] = []
        for p in pending:
            p.then(lambda p: got.append(bytes(p.result())))
        direct.client.read("/ctl")
    assert got == [bytes(direct.top.long_.data)] * 9
    direct.client.close()


def test_the_end(direct: Direct) -> None:
    f = direct.client.open("/mem")
    pending = direct.client.open("/event").submit(0, 9)
    direct.client.read("/ctl")
    direct.client.close()
    assert direct.top.memory.closed == 1
    assert not direct.session.fids
    with pytest.raises(Disconnected):
        pending.result()
    with pytest.raises(Disconnected):
        f.pread(0, 1)
