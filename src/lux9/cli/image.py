"""Disk images made on the spot: an ext4 file system from a directory, in a partition."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from ..errors import UserError

SECTOR = 512
START = 2048  # sectors before the partition: 1 MiB, as every partitioning tool leaves
LINUX = 0x83  # MBR partition type
MBR = struct.Struct("<B3sB3sII")  # status, first CHS, type, last CHS, first LBA, sectors
NO_CHS = b"\xfe\xff\xff"  # what stands for an address that CHS cannot express


def make(image: Path, source: Path, size: int) -> None:
    """An image of `size` bytes with one Linux partition, an ext4 that holds what is in `source`."""
    tool = shutil.which("mke2fs") or shutil.which("mke2fs", path="/usr/sbin:/sbin")
    if tool is None:
        raise UserError("mke2fs is not installed; Debian and Ubuntu: apt-get install e2fsprogs")
    sectors = size // SECTOR - START
    with image.open("wb") as f:
        f.truncate(size)
    command = [tool, "-q", "-F", "-t", "ext4", "-L", "lux9", "-d", str(source)]
    command += ["-E", f"offset={START * SECTOR}", str(image), f"{sectors * SECTOR // 1024}k"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise UserError(f"mke2fs failed with status {made.returncode}: {made.stderr.strip()}")
    with image.open("r+b") as f:
        f.seek(446)
        f.write(MBR.pack(0, NO_CHS, LINUX, NO_CHS, START, sectors))
        f.seek(510)
        f.write(b"\x55\xaa")
