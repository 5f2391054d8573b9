"""What a guest starts with."""

from __future__ import annotations

import lzma
from pathlib import Path

from tests.guest.initramfs import Modules, archive


def module(folder: Path, name: str, *depends: str, packed: bool = False) -> None:
    data = b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0name=x\0"
    if packed:
        (folder / f"{name}.ko.xz").write_bytes(lzma.compress(data))
    else:
        (folder / f"{name}.ko").write_bytes(data)


def test_modules_come_after_what_they_need(tmp_path: Path) -> None:
    module(tmp_path, "top-most", "left", "right_side", packed=True)
    module(tmp_path, "left", "base", packed=True)
    module(tmp_path, "right-side", "base", "built_in")
    module(tmp_path, "base")
    module(tmp_path, "other")
    found = Modules(tmp_path).needed(["built-in", "top_most", "base"])
    assert list(found) == ["base", "left", "right_side", "top_most"]
    assert all(data.startswith(b"\x7fELF") for data in found.values())


def test_the_archive_is_cpio_s(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_bytes(b"x" * 5)
    made = archive(tmp_path / "busybox", {"one": b"1", "two": b"22"}, ["/bin/py thon", "agent"])
    found, at = dict[str, tuple[int, bytes]](), 0
    while at < len(made):
        assert made[at : at + 6] == b"070701"
        mode, size, named = (int(made[at + i : at + i + 8], 16) for i in (14, 54, 94))
        name = made[at + 110 : at + 110 + named - 1].decode()
        at = (at + 110 + named + 3) & ~3
        found[name] = (mode, made[at : at + size])
        at = (at + size + 3) & ~3
    assert found.pop("TRAILER!!!") == (0, b"")
    assert found["host"] == (0o40755, b"")
    assert found["busybox"] == (0o100755, b"xxxxx")
    assert found["modules/order"][1] == b"one\ntwo\n"
    assert found["modules/two"][1] == b"22"
    assert found["agent"][1] == b"'/bin/py thon' agent"
    assert found["init"][1].startswith(b"#!/busybox sh\n")
