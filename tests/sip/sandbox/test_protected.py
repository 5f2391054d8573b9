"""A driver that demands protected DMA does not run where a device may write wherever it likes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lux9.errors import UserError
from lux9.sip.manifest import parse
from tests.sip.rig import Rig

DRIVER = '[disk]\n$ok\ndma = "protected"\ncapabilities = ["dma"]\nclass = "01.06"\n'


@pytest.mark.parametrize("protects", [True, False])
def test_it_runs_only_where_dma_is_confined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protects: bool
) -> None:
    rig = Rig(tmp_path, DRIVER)
    monkeypatch.setattr(type(rig.sim), "protects", property(lambda sim: protects))

    async def main() -> None:
        await rig.kernel.start()
        try:
            await rig.launcher.start_all()
            sip = rig.sip("disk")
            assert sip.running == protects, sip.reason
            assert protects or "demands protected DMA" in sip.reason
        finally:
            await rig.launcher.stop_all()
            await rig.kernel.stop()

    asyncio.run(main())


def test_the_key_has_two_values() -> None:
    (stanza,) = parse('[a]\nmodule = "m"\ndma = "unprotected"\n', "t")
    assert not stanza.protected
    with pytest.raises(UserError, match=r"t:3: \[a\]: dma 'maybe' is neither"):
        parse('[a]\nmodule = "m"\ndma = "maybe"\n', "t")
