"""The embedded machine: `Sim`, a board of models, and `q35`, the board with its chips and disks."""

from __future__ import annotations

from .faults import Plan, Rule
from .sim import Sim

__all__ = ["Plan", "Rule", "Sim"]
