"""The versions of 9P that are spoken here, and which one a Tversion means.

`DIALECTS` are the world's. `LUX9` is what our own client speaks to our own servers, the kernel to its drivers: the
messages of 9P2000.L beside those of 9P2000, and errors with text and number both, of which .L has no text. Whoever
does not know it answers with 9P2000, as for any suffix (version(5)).
"""

from __future__ import annotations

from ..errors import UserError
from .codec import Dialect
from .linux import LINUX
from .messages import P9
from .unix import UNIX, Rerror

LUX9 = Dialect("9P2000.lux9", [*LINUX.types.values(), *P9.types.values(), Rerror])
DIALECTS = {dialect.version: dialect for dialect in (P9, UNIX, LINUX)}
SPOKEN = {**DIALECTS, LUX9.version: LUX9}


def choose(version: str) -> Dialect | None:
    """The dialect for what a Tversion asks; None for another protocol.

    What stands before any of its periods is a version, too, and the client's own is an extension of that
    (version(5)): for `9P2000.L.Google.7` it is 9P2000.L, for `9P2000.x` 9P2000.
    """
    while version:
        if version in SPOKEN:
            return SPOKEN[version]
        version = version.rpartition(".")[0]
    return None


def named(version: str) -> Dialect:
    """The dialect of that name. Raises UserError."""
    dialect = SPOKEN.get(version)
    if dialect is None:
        raise UserError(f"{version!r} is not a version of 9P; write {', '.join(DIALECTS)}")
    return dialect
