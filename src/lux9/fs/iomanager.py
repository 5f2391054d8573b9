"""An io_manager over our metadata: how libext2fs sees the device. Writing is refused.

Ref: e2fsprogs `ext2_io.h`; a negative count is in bytes.
"""

from __future__ import annotations

import errno
from typing import Any

from .libext2 import MAGIC_IO_CHANNEL, MAGIC_IO_MANAGER, OP_NOT_SUPPORTED, ffi
from .metadata import Metadata


class Channel:
    """An io_channel. Keeps every C object alive; `manager` goes to ext2fs_open2."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._fault: BaseException | None = None
        self._block_size = 1024
        self.last_block = 0
        self._name = ffi.new("char[]", b"lux9")
        self._channel = ffi.new("struct struct_io_channel *")
        self.manager = ffi.new("struct struct_io_manager *")
        self._fill_manager()
        self._fill_channel()

    def _fill_manager(self) -> None:
        acts = {
            "open": self._open,
            "close": _nothing,
            "set_blksize": self._set_blksize,
            "read_blk": self._read_blk,
            "read_blk64": self._read_blk,
            "write_blk": _refuse,
            "write_blk64": _refuse,
            "flush": _nothing,
            "cache_readahead": _nothing,
        }
        fields: dict[str, Any] = dict(ffi.typeof("struct struct_io_manager").fields)
        self._callbacks = {
            name: ffi.callback(fields[name].type, act, error=errno.EIO)
            for name, act in acts.items()
        }
        for name, callback in self._callbacks.items():
            setattr(self.manager, name, callback)
        self.manager.magic = MAGIC_IO_MANAGER
        self.manager.name = self._name

    def _fill_channel(self) -> None:
        self._channel.magic = MAGIC_IO_CHANNEL
        self._channel.manager = self.manager
        self._channel.name = self._name
        self._channel.block_size = self._block_size
        self._channel.refcount = 1

    def take_fault(self) -> BaseException | None:
        """What a callback could not raise, once."""
        fault, self._fault = self._fault, None
        return fault

    def _read_blk(self, _channel: Any, block: int, count: int, data: Any) -> int:
        size = -count if count < 0 else count * self._block_size
        try:
            self.last_block = block
            ffi.memmove(data, self._metadata.read(block * self._block_size, size), size)
        except BaseException as error:  # C is above us: keep it for whoever called the library
            self._fault = error
            return errno.EIO
        return 0

    def _open(self, _name: Any, _flags: int, out: Any) -> int:
        out[0] = self._channel
        return 0

    def _set_blksize(self, channel: Any, size: int) -> int:
        self._block_size = channel.block_size = size
        return 0


def _nothing(*_: Any) -> int:
    return 0


def _refuse(*_: Any) -> int:
    return OP_NOT_SUPPORTED
