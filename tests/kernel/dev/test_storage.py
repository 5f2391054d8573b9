"""#S: the controllers of all disk drivers in one file."""

from __future__ import annotations

import asyncio

from lux9.kernel.dev.storage import StorageDir
from lux9.kernel.services import Services
from lux9.pending import waits
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


async def told(storage: StorageDir) -> str:
    got = storage.sdctl()
    return await got if waits(got) else got


def test_each_driver_adds_its_lines_and_one_that_cannot_adds_none() -> None:
    async def work() -> None:
        services = Services()
        storage = StorageDir(services)
        assert not storage.shows("sdctl")
        drivers: dict[str, Dir] = {
            "two": Controller("F"),
            "none": Disk("plain"),
            "broken": Broken("broken"),
            "one": Controller("E"),
        }
        for name, disk in drivers.items():
            assert isinstance(disk, Disk)
            await post(services, disk, name)
        assert storage.shows("sdctl")
        assert await told(storage) == "sdE ahci 1 units\nsdF ahci 1 units\n"
        services.close()
        await asyncio.sleep(0)

    run(work())
