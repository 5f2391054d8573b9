"""`lux9.connect()` over TLS: what is decrypted and not yet taken must not be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lux9
from lux9 import RemoteTree
from lux9.kernel.users import User
from lux9.keys.authority import Authority
from lux9.keys.folder import Folder
from tests.kernel.net import Net, serving
from tests.ninep.serving import LIMIT

ADA = User("ada", namespace=("bind '#c' /dev",))
LONG = 3 << 20


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority.init(Folder(tmp_path_factory.mktemp("keys")), "lab")
    made.new("host", ["localhost", "127.0.0.1"])
    made.new("ada")
    return made


@pytest.fixture
def keys(authority: Authority) -> Path:
    return authority.folder.file("ada")


@pytest.fixture
def net(authority: Authority) -> Iterator[Net]:
    with serving(keys=authority.folder.file("host"), ada=ADA) as net:
        yield net


@pytest.fixture
def far(net: Net, keys: Path) -> Iterator[RemoteTree]:
    with lux9.connect(net.at, keys=keys, timeout=LIMIT) as tree:
        yield tree


def test_long_reads_by_many_threads(far: RemoteTree) -> None:
    def read(_: int) -> bool:
        with far.raw("/dev/zero") as f:
            return f.pread(LONG, 0) == bytes(LONG)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(8)))


def test_one_that_waits_holds_nobody_up(far: RemoteTree) -> None:
    with far.follow("/dev/kmesg", timeout=0.05) as log:
        seen: list[str] = []
        with pytest.raises(TimeoutError):
            seen.extend(iter(lambda: next(log), None))
        assert far.raw("/dev/null", "w").pwrite(bytes(LONG), 0) == LONG


def test_whoever_has_no_key_is_told(net: Net, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="none"):
        lux9.connect(net.at, keys=tmp_path / "none")


def test_for_asyncio(net: Net, keys: Path) -> None:
    async def main() -> bytes:
        async with lux9.aconnect(net.at, keys=keys) as tree:
            return await tree.read("/dev/user")

    assert asyncio.run(main()) == b"ada"
