"""What machine it was."""

from __future__ import annotations

import importlib.util
import os
import platform
from pathlib import Path


def facts() -> dict[str, object]:
    """Processor, cores, kernel, Python, event loop."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loop": "uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
