"""The audit on disk: it goes on where it was, is put aside, and shows what was done to it."""

from __future__ import annotations

import json
import resource
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lux9.errors import UserError
from lux9.kernel.auditlog import KEPT, AuditLog, files, verify


def record(log: AuditLog, first: int, count: int) -> None:
    for seq in range(first, first + count):
        log.add(json.dumps({"seq": seq, "what": "pci claim", "verdict": "allowed"}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of ten lines, of two runs."""
    path = tmp_path / "state" / "audit.jsonl"
    for run in range(2):
        log = AuditLog(path)
        record(log, run * 5, 5)
        log.close()
    return path


def test_the_chain_goes_on_over_runs(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(10))
    verdict = verify(files(path))
    assert (verdict.lines, verdict.faults) == (10, [])
    assert verdict.chain == lines[-1]["chain"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["edited", "cut", "swapped", "added"])
def test_what_was_done_to_it_shows(path: Path, what: str) -> None:
    lines = path.read_text().splitlines(keepends=True)
    changed = {
        "edited": [lines[4].replace("allowed", "denied"), *lines[5:]],
        "cut": lines[5:],
        "swapped": [lines[5], lines[4], *lines[6:]],
        "added": ["no record\n", *lines[4:]],
    }
    path.write_text("".join([*lines[:4], *changed[what]]))
    faults = verify(files(path)).faults
    assert faults
    assert faults[0].startswith(f"{path}:5: ")


def test_lines_missing_at_the_end_show_against_a_chain_that_was_noted(path: Path) -> None:
    noted = verify(files(path)).chain
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    assert verify(files(path)).faults == []
    assert "cut at the end" in verify(files(path), noted).faults[0]


def test_half_a_line_from_a_crash_is_ended_and_told(path: Path) -> None:
    with path.open("a") as f:
        f.write('{"seq": 10, "wh')
    log = AuditLog(path)
    record(log, 11, 1)
    log.close()
    verdict = verify(files(path))
    assert verdict.lines == 11
    assert len(verdict.faults) == 1
    assert "not a record" in verdict.faults[0]


def test_a_large_log_is_put_aside_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, rotate=1000)
    record(log, 0, 40)
    log.close()
    found = files(path)
    assert len(found) > 2
    assert found[-1] == path
    verdict = verify(found)
    assert (verdict.lines, verdict.faults) == (40, [])


@pytest.mark.parametrize("cut", [1, 9])
def test_lines_missing_at_the_beginning_show(path: Path, cut: int) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[cut:]))
    (fault,) = verify(files(path)).faults
    assert fault.startswith(f"{path}:1: the chain breaks")


def test_a_file_that_was_put_aside_and_is_gone_shows_unless_it_was_the_oldest_of_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, rotate=300)
    record(log, 0, 40)
    log.close()
    oldest, next_oldest, *_ = found = files(path)
    assert len(found) == KEPT + 1
    assert verify(found).faults == []
    oldest.unlink()
    assert verify(files(path)).faults[0].startswith(f"{next_oldest}:1: the chain breaks")


def test_a_log_that_is_removed_under_the_kernel_goes_on_and_shows_it(path: Path) -> None:
    log, heard = AuditLog(path), list[str]()
    log.tell = heard.append
    path.unlink()
    path.mkdir()
    record(log, 10, 2)
    log.sync()
    path.rmdir()
    record(log, 12, 2)
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line.get("missed", line.get("seq")) for line in lines] == [2, 12, 13]
    (fault,) = verify(files(path)).faults
    assert fault.startswith(f"{path}:1: the chain breaks")
    assert "the audit is not kept there any more" in heard[0]
    assert "it goes on in a new file" in heard[1]


def test_a_log_that_is_replaced_under_the_kernel_is_gone_on_with(path: Path) -> None:
    """As an editor does it. What is there by then is kept, too, when the disk fills up."""
    log = AuditLog(path)
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)
    record(log, 10, 1)
    log.sync()
    with full_at(path.stat().st_size + 10):
        record(log, 11, 1)
        log.sync()
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [*range(11)]
    assert verify(files(path)).faults == []


def test_two_kernels_do_not_share_a_log(path: Path) -> None:
    log = AuditLog(path)
    with pytest.raises(UserError, match="another kernel keeps its audit there"):
        AuditLog(path)
    log.close()


@pytest.mark.parametrize("size", [1, 512, 200_000])
def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path, size: int) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(size))
    with pytest.raises(UserError, match="something else in it than an audit; name another file"):
        AuditLog(disk, rotate=1000)
    assert disk.read_bytes() == bytes(size)


def test_a_device_keeps_no_audit() -> None:
    with pytest.raises(UserError, match="/dev/null: it is not a file; name another file"):
        AuditLog(Path("/dev/null"))


@contextmanager
def full_at(size: int) -> Generator[None, None, None]:
    """No file of this process grows over so many bytes: what a disk that fills up looks like to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_whole_lines_is_told_of_and_counted(path: Path) -> None:
    log = AuditLog(path)
    told: list[str] = []
    heard = threading.Event()

    def tell(text: str) -> None:
        told.append(text)
        heard.set()

    log.tell = tell
    with full_at(path.stat().st_size + 200):  # one line, and half of the next
        record(log, 10, 1)
        record(log, 11, 3)
        assert heard.wait(30)
        log.sync()
    record(log, 14, 2)
    log.close()
    assert (log.lost, len(told)) == (3, 1)
    assert "the audit is not kept there any more: File too large" in told[0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines if "seq" in line] == [*range(11), 14, 15]
    assert lines[11]["missed"] == 3
    assert verify(files(path)).faults == []
