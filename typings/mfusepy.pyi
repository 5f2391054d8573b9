"""What lux9 uses of mfusepy, which has no types of its own."""

from typing import Any

class Operations: ...

class FUSE:
    def __init__(
        self, operations: Operations, mountpoint: str, raw_fi: bool = ..., **options: Any
    ) -> None: ...
