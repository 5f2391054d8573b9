"""Where a kernel listens when nobody says where."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "LUX9_ADDR"
KEYS = "LUX9_KEYS"


def default_path() -> Path:
    """A socket in a directory that is this user's alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "lux9.sock"
    return Path(f"/tmp/lux9-{os.getuid()}") / "lux9.sock"


def default_address() -> str:
    """$LUX9_ADDR, else the default socket."""
    return os.environ.get(VARIABLE) or f"unix!{default_path()}"
