"""Disk images that are more than the disk's bytes, known by how their files begin."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError

# docs/interop/qcow2.txt, docs/interop/qed_spec.txt and block/vdi.c of QEMU; Microsoft's MS-VHDX §2.2.1 and "Virtual
# Hard Disk Image Format" 1.0, of which only the dynamic kind begins so; VMware's "Virtual Disk Format" 5.0
MAGICS = {
    (0, b"QFI\xfb"): "qcow2",
    (0, b"QED\0"): "qed",
    (0, b"KDMV"): "vmdk",
    (0, b"vhdxfile"): "vhdx",
    (0, b"conectix"): "vpc",
    (0x40, b"\x7f\x10\xda\xbe"): "vdi",
}


def refuse_container(path: Path, remedy: str) -> None:
    """Raise UserError for a file that is no raw image: writes to such a disk would spoil what is in it.

    `remedy`: what to write instead, before the format's name.
    """
    try:
        head = _head(path)
    except OSError:
        return  # whoever opens it says why it cannot be read
    for (at, magic), name in MAGICS.items():
        if head.startswith(magic, at):
            raise UserError(
                f"{path} is of the format {name}: write {remedy}{path}:{name}; "
                f"or {path}:raw to take the file's own bytes for the disk"
            )


def _head(path: Path) -> bytes:
    if not path.is_file() and not path.is_block_device():
        return b""
    with path.open("rb") as file:
        return file.read(512)
