"""#S: the controllers of all disk drivers in one file."""

from __future__ import annotations

import asyncio

import pytest

from lux9.kernel.dev import storage
from lux9.kernel.dev.storage import StorageDir
from lux9.kernel.services import Services
from lux9.pending import Pending, waits
from lux9.tree import Dir, text
from tests.kernel.test_swap import Disk, post, run


class Controller(Disk):
    """A driver with a controller."""

    @text(0o444)
    def sdctl(self) -> str:
        """Its line."""
        return f"sd{self.name} ahci 1 units\n"


class Broken(Disk):
    """A driver that fails when it is asked."""

    @text(0o444)
    def sdctl(self) -> str:
        """Nothing good."""
        raise ValueError("a mistake")


class Silent(Disk):
    """A service that never answers."""

    def __init__(self) -> None:
        super().__init__("silent")
        self.times = 0
        self.answer: Pending[str] = Pending()

    @text(0o444)
    def sdctl(self) -> Pending[str]:
        """Some day."""
        self.times += 1
        self.answer = Pending()
        return self.answer


async def told(directory: StorageDir) -> str:
    got = directory.sdctl()
    return await got if waits(got) else got


def test_each_driver_adds_its_lines_and_one_that_cannot_adds_none() -> None:
    async def work() -> None:
        services = Services()
        directory = StorageDir(services)
        assert not directory.shows("sdctl")
        drivers: dict[str, Dir] = {
            "two": Controller("F"),
            "none": Disk("plain"),
            "broken": Broken("broken"),
            "one": Controller("E"),
        }
        for name, disk in drivers.items():
            assert isinstance(disk, Disk)
            await post(services, disk, name)
        assert directory.shows("sdctl")
        assert await told(directory) == "sdE ahci 1 units\nsdF ahci 1 units\n"
        services.close()
        await asyncio.sleep(0)

    run(work())


def test_a_service_that_never_answers_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LIMIT", 0.1)

    async def work() -> None:
        services = Services()
        silent = Silent()
        for name, disk in {"a": Controller("E"), "silent": silent, "z": Controller("F")}.items():
            await post(services, disk, name)
        assert await told(StorageDir(services)) == "sdE ahci 1 units\nsdF ahci 1 units\n"
        assert silent.times == 1
        while not silent.answer.cancelled:  # it was told that nobody waits any more
            await asyncio.sleep(0)
        services.close()
        await asyncio.sleep(0)

    run(work())
