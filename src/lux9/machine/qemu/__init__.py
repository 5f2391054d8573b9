"""The QEMU machine: device models that we did not write, driven from outside, with no guest system."""

from __future__ import annotations

from .board import Board, Medium
from .machine import Qemu

__all__ = ["Board", "Medium", "Qemu"]
