"""One client program, three dialects: the same answers from our server."""

from __future__ import annotations

import asyncio
import errno

import pytest

from lux9.errors import RemoteError
from lux9.ninep.aclient import AsyncClient
from lux9.ninep.caller import Caller
from lux9.ninep.client import Client
from lux9.wire import messages as m
from lux9.wire.dialects import LUX9, SPOKEN
from lux9.wire.messages import DMDIR, KEEP, ORDWR, P9
from tests.ninep.serving import Served

versions = pytest.mark.parametrize("version", SPOKEN)


@versions
def test_files(served: Served, version: str) -> None:
    with Client.over(served.socket(), version=version) as c:
        assert c.caller.dialect.version == version
        assert c.read("long") == bytes(served.top.long_.data)
        assert c.read("ctl") == b"facts\n"
        with c.open("mem", ORDWR) as f:
            f.post(8, b"ab")
            assert f.pread(7, 4) == b"\7ab\12"
        stat = c.stat("mem")
        assert (stat.name, stat.mode, stat.qid.type) == ("mem", 0o660, 0)
        assert c.stat("n000").mode == DMDIR | 0o555
        assert {"mem", "n000", "n099"} <= {s.name for s in c.ls("/")}
        with c.create("new", 0o644, ORDWR) as f:
            assert f.write(b"abc") == 3
        c.wstat("new", KEEP.but(length=0))
        c.remove("new")
        assert served.top.removed == ["new"]


@versions
def test_errors_have_text_and_number(served: Served, version: str) -> None:
    with Client.over(served.socket(), version=version) as c:
        for path, mode, number in (("none", 0, errno.ENOENT), ("event", 1, errno.EPERM)):
            with pytest.raises(RemoteError) as error:
                c.open(path, mode)
            assert error.value.number == number
            if version != "9P2000.L":  # which has numbers only
                assert path in str(error.value)


@versions
def test_async(served: Served, version: str) -> None:
    async def both() -> tuple[bytes, int]:
        async with await AsyncClient.over(served.socket(), version=version) as c:
            return await c.read("ctl"), len(await c.ls("/"))

    text, count = asyncio.run(both())
    assert text == b"facts\n"
    assert count > 100


def test_a_server_that_knows_less_is_spoken_to_in_that() -> None:
    asked: list[bytes] = []

    class Wire:
        def send(self, parts: list[bytes]) -> None:
            asked.extend(bytes(part) for part in parts)

    caller = Caller(dialect=LUX9, others=(P9,))
    caller.wire = Wire()  # type: ignore[assignment]  # all that is needed here
    got = caller.start()
    caller.flush()
    assert b"9P2000.lux9" in asked.pop()
    caller.receive(memoryview(m.Rversion(8192, "9P2000").encode(0xFFFF)))
    caller.flush()
    assert P9.decode(asked.pop())[1].number == m.Tattach.number
    assert not got.done
