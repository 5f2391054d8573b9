"""The end of a filter that lux9 listens at, when nobody is behind it any more."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from lux9.sip.sandbox import notify
from lux9.sip.sandbox.judge import Judge


def test_no_call_is_asked_for_when_all_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def blocks(*args: Any) -> int:
        raise AssertionError("Linux before 6.11 waits here, and the kernel of lux9 with it")

    monkeypatch.setattr(fcntl, "ioctl", blocks)

    async def main() -> None:
        ours, theirs = os.pipe()
        made = notify.Listener(ours, Judge.__new__(Judge), lambda: None)
        os.close(theirs)  # poll(2) tells it as it does for a filter without a process
        async with asyncio.timeout(20):
            while made.fd >= 0:
                await asyncio.sleep(0)
        assert not Path(f"/proc/self/fd/{ours}").exists()

    asyncio.run(main())
