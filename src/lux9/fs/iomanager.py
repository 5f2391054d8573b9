"""An io_manager whose blocks come from a block file: how libext2fs sees what we read.

Only metadata passes here, a block at a time and with much locality, so the file is read in aligned chunks
that are kept; chunks read one after the other are fetched in growing strides. Writing is refused.
Ref: e2fsprogs `ext2_io.h`; a negative count is in bytes.
"""

from __future__ import annotations

import errno
from typing import Any

from ..errors import DeviceError
from .blocks import BlockFile, pread_whole
from .libext2 import MAGIC_IO_CHANNEL, MAGIC_IO_MANAGER, OP_NOT_SUPPORTED, ffi
from .lru import Lru

CHUNK = 64 << 10
STRIDE = 16  # chunks, the most that one read fetches ahead
CACHE = 16 << 20  # bytes


class Channel:
    """One block file as an io_channel. Keeps every C object alive; `manager` goes to ext2fs_open2."""

    def __init__(self, file: BlockFile, cache: int = CACHE) -> None:
        self._file = file
        self._chunks: Lru[int, bytes] = Lru(cache, len)
        self._next, self._stride = -1, 1  # where a sequential read would go on, and how far ahead
        self._fault: BaseException | None = None
        self.block_size = 1024
        self.last_block = 0
        self._name = ffi.new("char[]", b"lux9")
        self._channel = ffi.new("struct struct_io_channel *")
        self.manager = ffi.new("struct struct_io_manager *")
        self._fill_manager()
        self._fill_channel()

    def _fill_manager(self) -> None:
        acts = {
            "open": self._open,
            "close": self._close,
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
        self._channel.block_size = self.block_size
        self._channel.refcount = 1

    def take_fault(self) -> BaseException | None:
        """What a callback could not raise, once."""
        fault, self._fault = self._fault, None
        return fault

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the device, from the cache where it has them. Raises DeviceError past the end."""
        if offset < 0 or offset + count > self._file.size:
            raise DeviceError(
                f"{count} bytes at {offset:#x} are outside the device of {self._file.size}"
            )
        first, last = offset // CHUNK, (offset + count - 1) // CHUNK
        if first == last:
            at = offset - first * CHUNK
            return self._chunk(first)[at : at + count]
        whole = b"".join(self._chunk(n) for n in range(first, last + 1))
        return whole[offset - first * CHUNK :][:count]

    def _chunk(self, n: int) -> bytes:
        got = self._chunks.get(n)
        return self._fetch(n) if got is None else got

    def _fetch(self, n: int) -> bytes:
        self._stride = min(self._stride * 2, STRIDE) if n == self._next else 1
        self._next = n + self._stride
        start = n * CHUNK
        count = min(self._stride * CHUNK, self._file.size - start)
        data = pread_whole(self._file, start, count)
        for i in reversed(range(0, count, CHUNK)):
            self._chunks.put(n + i // CHUNK, data[i : i + CHUNK])
        return data[:CHUNK]

    def _read_blk(self, _channel: Any, block: int, count: int, data: Any) -> int:
        size = -count if count < 0 else count * self.block_size
        try:
            self.last_block = block
            ffi.memmove(data, self.read(block * self.block_size, size), size)
        except BaseException as error:  # C is above us: keep it for whoever called the library
            self._fault = error
            return errno.EIO
        return 0

    def _open(self, _name: Any, _flags: int, out: Any) -> int:
        out[0] = self._channel
        return 0

    def _close(self, _channel: Any) -> int:
        return 0

    def _set_blksize(self, channel: Any, size: int) -> int:
        self.block_size = channel.block_size = size
        return 0


def _nothing(*_: Any) -> int:
    return 0


def _refuse(*_: Any) -> int:
    return OP_NOT_SUPPORTED
