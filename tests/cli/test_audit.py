"""`lux9 audit verify`: what it says of a log, and of what is none."""

from __future__ import annotations

import json
from pathlib import Path

from lux9.kernel.auditlog import AuditLog
from tests.cli.conftest import Run


def test_a_log_that_nobody_changed(lux9: Run, tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.add(json.dumps({"what": "pci claim"}))
    log.close()
    result = lux9("audit", "verify", str(tmp_path / "audit.jsonl"))
    assert result.output == f"good: 1 lines in 1 files, the last chain is {log.chain}\n"


def test_a_file_that_is_no_log_is_not_printed_whole(lux9: Run, tmp_path: Path) -> None:
    (tmp_path / "poem").write_text("a rose\n" * 500)
    result = lux9("audit", "verify", str(tmp_path / "poem"))
    assert result.exit_code == 1
    told = result.stderr.splitlines()
    assert len(told) == 11
    assert told[0].endswith("poem:1: not a record of the audit: 'a rose\\n'")
    assert told[-1] == "… and 490 lines more that are wrong"


def test_no_log(lux9: Run, tmp_path: Path) -> None:
    result = lux9("audit", "verify", str(tmp_path / "nope"))
    assert (result.exit_code, result.stderr) == (
        1,
        f"lux9 audit: {tmp_path / 'nope'}: there is no log; `lux9 boot --audit FILE` keeps one\n",
    )
    result = lux9("audit", "verify", str(tmp_path))
    assert result.stderr == f"lux9 audit: {tmp_path}: is a directory; name the log in it\n"
