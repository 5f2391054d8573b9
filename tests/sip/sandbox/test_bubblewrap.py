"""The arguments of bwrap(1), whose order counts: a later mount hides what an earlier one put there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lux9.sip.sandbox import bubblewrap


def test_a_checkout_in_tmp_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    words = bubblewrap.arguments(["true"], 3)
    private = words.index("/tmp")
    assert words[private - 1] == "--tmpfs"
    assert words.index(str(tmp_path)) > private
