"""Learning what drivers need: a run in which they may do everything, and the smallest manifest that would have done.

Every check of a capability leaves a mark in its process (`Process.used`), and the audit's verdicts tell what was done;
both are collected here, over all the lives of a driver.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import cast

from ..kernel.hardware.context import Auditor
from ..kernel.process import Cap, Limits, Process
from .stanza import Stanza


@dataclass
class Needs:
    """What one type of driver was seen to use."""

    caps: Cap = Cap(0)
    peak: int = 0  # bytes of DMA buffers at once
    done: dict[str, list[str]] = field(default_factory=dict[str, list[str]])  # action: targets


class Notebook:
    """The audit of a run that is learnt from: everything goes on to the audit proper."""

    def __init__(self, audit: Auditor) -> None:
        self.audit = audit
        self.processes: dict[int, Process] = {}
        self.actions: dict[int, dict[str, list[str]]] = {}

    def record(
        self, who: Process | None, action: str, target: str, verdict: str, **detail: object
    ) -> None:
        """One entry."""
        self.audit.record(who, action, target, verdict, **detail)
        if who is not None and who.kind == "sip" and verdict == "allowed":
            self.met(who)
            targets = self.actions.setdefault(who.number, {}).setdefault(action, [])
            if target not in targets:
                targets.append(target)

    def met(self, process: Process) -> None:
        """A driver's process whose use of its capabilities counts."""
        self.processes[process.number] = process

    def needs(self, names: Sequence[str]) -> Needs:
        """What the processes of those names have used, all together."""
        out = Needs()
        for number, process in self.processes.items():
            if process.name in names:
                out.caps |= process.used
                out.peak = max(out.peak, process.peak)
                for action, targets in self.actions.get(number, {}).items():
                    have = out.done.setdefault(action, [])
                    have += [t for t in targets if t not in have]
        return out


HEAD = "# What a run of `lux9 boot --learn` was seen to need: rights that were not used are not given.\n"
SHOWN = 6  # targets of an action that are named


def manifest(learnt: Sequence[tuple[Stanza, Needs]]) -> str:
    """The text of a manifest that gives just that."""
    return HEAD + "".join(f"\n{line}" for s, needs in learnt for line in _stanza(s, needs)) + "\n"


def _stanza(stanza: Stanza, needs: Needs) -> Iterator[str]:
    yield f"[{_name(stanza.name)}]"
    for action, targets in needs.done.items():
        more = f" and {len(targets) - SHOWN} more" if len(targets) > SHOWN else ""
        yield f"# {action}: {', '.join(targets[:SHOWN])}{more}"
    if needs.peak:
        yield f"# at most {needs.peak} bytes of DMA buffers at once"
    for key, value in _keys(stanza).items():
        if value:
            yield f"{key} = {_toml(value)}"
    yield f"capabilities = {_toml([str(c.name).lower() for c in Cap if c in needs.caps])}"
    for limit in fields(Limits):
        value = getattr(stanza.limits, limit.name)
        if value != limit.default:
            yield f"limits.{limit.name} = {value}"
    yield ""


def _keys(s: Stanza) -> dict[str, object]:
    """The keys of a stanza that a run does not change."""
    return {
        "class": list(s.classes),
        "ids": list(s.ids),
        "modalias": list(s.modalias),
        "file": list(s.files),
        "magic": {"at": s.magic.at, "bytes": s.magic.content.hex(" ")} if s.magic else {},
        "module": s.module,
        "command": list(s.command),
        "environment": dict(s.environment),
        "namespace": list(s.namespace),
        "mount": s.mount,
        "restart": "" if s.restart.when == "never" else str(s.restart),
        "hold": s.hold,
        "repeats": s.repeats,
        "isolation": s.isolation.word if s.isolation else "",
        "dma": "protected" if s.protected else "",
        "remote": s.remote,
        "read": list(s.read),
    }


def _toml(value: object) -> str:
    """A value as TOML writes it, which for these is JSON but for a table."""
    if isinstance(value, dict):
        table = cast("dict[str, str]", value)
        pairs = (f"{_json(k)} = {_json(v)}" for k, v in table.items())
        return "{" + ", ".join(pairs) + "}"
    return _json(value)


def _json(value: object) -> str:
    """JSON that is TOML, too: which knows no halves of a character, and wants this one escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(name: str) -> str:
    """A stanza's name as a head writes it."""
    return _json(name) if "." in name else name
