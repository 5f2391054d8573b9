"""aio9p from PyPI as a peer: the server of its own example, with the paths that the others have. On uvloop, too."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any

from lux9.cli.system import run

from .peers import BAR, BIG, CONFIG

MSIZE = 65535  # what its example takes; more makes no difference


def filled() -> Any:
    """The example's class, with files in it. The package has no types."""
    simple: Any = import_module("aio9p.example.simple")
    base: Any = simple.Simple9P2000
    top: bytes = simple.BASEQID
    content = {BAR: bytes(4096), CONFIG: bytes(4096), "big": bytes(BIG)}

    class Filled(base):  # type: ignore[misc]
        async def attach(self, *asked: Any) -> Any:
            qid: Any = await base.attach(self, *asked)
            for path, data in content.items():
                self._put(path.split("/"), data)
            return qid

        def _put(self, names: list[str], data: bytes) -> None:
            at = top
            for i, name in enumerate(names):
                at = self._child(at, name.encode(), i + 1 < len(names))
            self._content[at] = data

        def _child(self, at: bytes, name: bytes, is_dir: bool) -> bytes:
            found: bytes | None = self._direntry[at].get(name)
            if found is None:
                kind = b"\x80" if is_dir else b"\0"
                found = kind + bytes(4) + len(self._stat).to_bytes(8, "little")
                self._direntry[at][name] = found
                self._stat[found] = self._facts(found, name, is_dir)
                if is_dir:
                    self._direntry[found] = {}
            return found

        def _facts(self, qid: bytes, name: bytes, is_dir: bool) -> Any:
            who = {"p9uid": b"root", "p9gid": b"root", "p9muid": b"root", "p9name": name}
            when = {"p9type": 0, "p9dev": 0, "p9atime": 0, "p9mtime": 0, "p9length": 4096}
            mode = simple.DMDIR | 0o755 if is_dir else 0o644
            return simple.Py9P2000Stat(p9qid=qid, p9mode=mode, **who, **when)

    return Filled


async def serve(path: str) -> None:
    """Until it is ended."""
    kind, server = filled(), import_module("aio9p.protocol").Py9PServer
    made: Any = await asyncio.get_running_loop().create_unix_server(
        lambda: server(kind(MSIZE)), path=path
    )
    await made.serve_forever()


if __name__ == "__main__":
    run(serve(sys.argv[1]))
