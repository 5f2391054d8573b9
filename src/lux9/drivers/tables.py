"""What we use of dissect.volume, which has no types: the one place that says so."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from dissect.volume.disk import partition as _partition  # type: ignore[import-untyped]  # it has no types
from dissect.volume.disk.schemes import gpt as _gpt, mbr as _mbr  # type: ignore[import-untyped]  # likewise

c_gpt: Any = _gpt.c_gpt  # GPT_HEADER, GPT_PARTITION
c_mbr: Any = _mbr.c_mbr  # mbr_s


def kind_of(kind: int | UUID) -> str:
    """The name of a partition type, with its number."""
    name: str = _partition.translate_partition_type(kind)
    return name
