"""ls, cat, put, stat and rm, on a tree that is served."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from io import FileIO, RawIOBase
from pathlib import Path

import pytest

from lux9.tree import File
from tests.cli.conftest import Run
from tests.cli.test_group import PROGRAM
from tests.ninep.rig import Memory
from tests.ninep.serving import LIMIT, Served


class TestLs:
    def test_names_in_order(self, lux9: Run, served: Served) -> None:
        names = lux9("ls").output.splitlines()
        assert names == sorted([*served.top.table, *served.top.names])
        assert lux9("ls", "/n001").output == "down\nhere\n"

    def test_a_file_and_several(self, lux9: Run, served: Served) -> None:
        assert lux9("ls", "/ctl").output == "/ctl\n"
        assert lux9("ls", "/ctl", "/n001").output == "/ctl\n/n001/down\n/n001/here\n"
        assert lux9("ls", "-d", "/n001").output == "/n001\n"

    def test_long(self, lux9: Run, served: Served) -> None:
        lines = lux9("ls", "-l", "/n001").output.splitlines()
        assert [line.split()[:4] for line in lines] == [
            ["d-r-xr-xr-x", "lux9", "lux9", "0"],
            ["--r--r--r--", "lux9", "lux9", "0"],
        ]
        assert [line.split()[-1] for line in lines] == ["down", "here"]

    def test_json(self, lux9: Run, served: Served) -> None:
        found = json.loads(lux9("ls", "--json", "/n001").output)
        assert [(f["name"], f["directory"], f["mode"]) for f in found] == [
            ("down", True, "0555"),
            ("here", False, "0444"),
        ]

    def test_what_is_there_is_shown_beside_what_is_not(self, lux9: Run, served: Served) -> None:
        result = lux9("ls", "/nope", "/n001", "/n001/no/way")
        assert result.exit_code == 1
        assert result.stdout == "/n001/down\n/n001/here\n"
        assert result.stderr == (
            "lux9 ls: /nope: file does not exist; `lux9 ls /` shows what is there\n"
            "lux9 ls: /n001/no/way: file does not exist; `lux9 ls /n001/no` shows what is there\n"
        )

    def test_a_name_that_is_not_utf_8_is_printed_as_it_is(self, served: Served) -> None:
        served.top.names[os.fsdecode(b"bad\xff")] = File(0o666, lambda mode: Memory(b""))
        strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
        done = subprocess.run([*PROGRAM, "ls"], capture_output=True, timeout=LIMIT, env=strict)
        assert b"bad\xff\n" in done.stdout
        assert (done.returncode, done.stderr) == (0, b"")

    def test_an_empty_directory(self, lux9: Run, served: Served) -> None:
        served.top.names.clear()
        served.top.hide = True
        assert lux9("ls", "-l").output == ""
        assert json.loads(lux9("ls", "--json").output) == []


class TestCat:
    def test_one_after_the_other(self, lux9: Run, served: Served) -> None:
        assert lux9("cat", "/ctl", "n004/here").output == "facts\n4\n"

    def test_bytes_as_they_are(self, lux9: Run, served: Served) -> None:
        assert lux9("cat", "/mem").stdout_bytes == bytes(range(256))
        assert lux9("cat", "/long").stdout_bytes == bytes(served.top.long_.data)

    def test_a_part(self, lux9: Run, served: Served) -> None:
        assert (
            lux9("cat", "--offset", "0x10", "--count", "3", "/mem").stdout_bytes == b"\x10\x11\x12"
        )
        assert lux9("cat", "--offset", "254", "/mem").stdout_bytes == b"\xfe\xff"
        assert lux9("cat", "--count", "0", "/mem").stdout_bytes == b""

    def test_registers(self, lux9: Run, served: Served) -> None:
        assert (
            lux9("cat", "--offset", "0x10", "--width", "4", "/mem").output == "0x0010: 0x13121110\n"
        )
        served.top.memory.calls.clear()
        assert lux9("cat", "--count", "4", "--width", "2", "/mem").output == (
            "0x0000: 0x0100\n0x0002: 0x0302\n"
        )
        assert served.top.memory.calls == ["r0+2", "r2+2"], "accesses of that width"
        assert lux9("cat", "--width", "3", "/mem").exit_code == 2

    def test_no_register_is_made_up_where_the_file_ends(self, lux9: Run, served: Served) -> None:
        result = lux9("cat", "--offset", "0x7ffffff0", "--width", "4", "/mem")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "/mem: bad argument: there are no 4 bytes at 0x7ffffff0" in result.stderr
        result = lux9("cat", "--offset", str(1 << 64), "--width", "4", "/mem")
        assert result.stderr.startswith("lux9 cat: /mem: bad argument: offset 1844")

    def test_no_output_at_all(self, served: Served) -> None:
        line = 'exec "$@" >&-'
        done = subprocess.run(
            ["sh", "-c", line, "-", *PROGRAM, "cat", "/ctl"], capture_output=True, timeout=LIMIT
        )
        assert (done.returncode, done.stderr) == (0, b"")

    @pytest.mark.parametrize("command", [["cat", "/mem"], ["ls", "/"]])
    def test_an_output_that_is_full_is_named(self, served: Served, command: list[str]) -> None:
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*PROGRAM, *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT
            )
        assert done.returncode == 1
        assert done.stderr == f"lux9 {command[0]}: standard output: No space left on device\n"

    def test_one_that_fails_does_not_keep_the_others_back(self, lux9: Run, served: Served) -> None:
        result = lux9("cat", "/nope", "/ctl", "/broken")
        assert result.exit_code == 1
        assert result.stdout == "facts\n"
        assert result.stderr == (
            "lux9 cat: /nope: file does not exist; `lux9 ls /` shows what is there\n"
            "lux9 cat: /broken: i/o error: ZeroDivisionError: \n"
        )

    def test_a_directory(self, lux9: Run, served: Served) -> None:
        result = lux9("cat", "/n001")
        assert result.exit_code == 1
        assert result.stderr == "lux9 cat: /n001: file is a directory; `lux9 ls /n001` lists it\n"

    def test_events_as_they_come_until_ctrl_c(self, served: Served) -> None:
        with subprocess.Popen([*PROGRAM, "cat", "/event"], stdout=-1, stderr=-1) as child:
            assert child.stdout is not None
            for i in range(3):
                served.until(lambda i=i: len(served.top.waiting) > i)  # type: ignore[misc]
                served.event(f"event {i}\n")
                assert child.stdout.readline() == b"event %d\n" % i
            served.until(lambda: len(served.top.waiting) > 3)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=LIMIT)
        assert (out, child.returncode) == (b"", 130)
        assert b"Traceback" not in err

    def test_a_reader_that_goes_away(self, served: Served) -> None:
        with subprocess.Popen([*PROGRAM, "cat", "/long"], stdout=-1, stderr=-1) as child:
            assert child.stdout is not None
            assert child.stdout.read(1) == b"\0"
            child.stdout.close()
            assert child.stderr is not None
            assert child.stderr.read() == b""

    @pytest.mark.parametrize(("size", "shown"), [(40 << 20, True), (1 << 20, False)])
    def test_progress_of_a_long_copy(self, served: Served, size: int, shown: bool) -> None:
        zeros = Memory(bytes(size))
        served.top.names["big"] = File(0o444, lambda mode: zeros, lambda: size)
        said, count = self.on_a_terminal(["cat", "/big"])
        assert count == size
        assert (b"/big" in said) == shown

    def on_a_terminal(self, args: list[str]) -> tuple[bytes, int]:
        """What a command says to a terminal, and how many bytes it writes to a pipe."""
        ours, theirs = pty.openpty()
        with (
            FileIO(ours) as terminal,
            ThreadPoolExecutor(1) as readers,
            subprocess.Popen([*PROGRAM, *args], stdout=-1, stderr=theirs) as child,
        ):
            os.close(theirs)
            said = readers.submit(everything, terminal)
            assert child.stdout is not None
            count = len(child.stdout.read())
            return said.result(LIMIT), count


def everything(terminal: RawIOBase) -> bytes:
    """What is said on a terminal until nobody has it open any more."""
    said = b""
    try:
        while more := terminal.read(4096):
            said += more
    except OSError:  # that is how a pty says so
        pass
    return said


class TestPut:
    def test_text(self, lux9: Run, served: Served) -> None:
        result = lux9("put", "/mem", "abc")
        assert (result.exit_code, result.output) == (0, "")
        assert served.top.memory.data[:4] == b"abc\x03"

    def test_at_an_offset(self, lux9: Run, served: Served) -> None:
        lux9("put", "--offset", "0x10", "/mem", "x")
        assert served.top.memory.data[15:18] == b"\x0fx\x11"

    def test_a_register(self, lux9: Run, served: Served) -> None:
        lux9("put", "--offset", "4", "--width", "4", "/mem", "0x80000001")
        assert served.top.memory.data[4:8] == b"\x01\0\0\x80"
        assert served.top.memory.calls[-1] == "w4+4"

    @pytest.mark.parametrize(
        ("args", "status", "says"),
        [
            (["--width", "1", "/mem", "256"], 1, "256 does not fit into 1 byte(s)"),
            (["--width", "4", "/mem", "x"], 2, "'x' is not a number"),
            (["--width", "4", "/mem"], 2, "--width wants a number"),
            (["--width", "3", "/mem", "1"], 2, "'3' is not one of"),
            (["--offset", "-1", "/mem", "1"], 2, "'-1' is not a number"),
            (["/nope", "x"], 1, "/nope: file does not exist"),
            (["/event", "x"], 1, "/event: permission denied: event (mode 0444) cannot be written"),
            (["/ctl", "fly"], 1, "/ctl: bad argument: unknown command 'fly'; known: say WORD"),
            (["--offset", "0x100", "/mem", "x"], 1, "/mem: permission denied: 0x100 is outside"),
        ],
    )
    def test_mistakes(
        self, lux9: Run, served: Served, args: list[str], status: int, says: str
    ) -> None:
        result = lux9("put", *args)
        assert result.exit_code == status
        assert says in result.stderr

    def test_from_standard_input(self, lux9: Run, served: Served) -> None:
        data = bytes(i % 241 for i in range(200_000))
        lux9("put", "--offset", "7", "/long", stdin=data)
        assert served.top.long_.data[7 : 7 + len(data)] == data

    def test_the_answer(self, lux9: Run, served: Served) -> None:
        assert lux9("put", "--answer", "/ask", "ping").output == "gnip"
        assert lux9("put", "--answer", "/ctl", "say hello").output == "hello\n"

    def test_a_file_that_takes_less(self, lux9: Run, served: Served) -> None:
        class Short(Memory):
            def pwrite(self, data: memoryview, offset: int) -> int:
                return min(2, len(data)) if offset < 4 else 0

        served.top.names["short"] = File(0o666, lambda mode: Short(b""))
        assert lux9("put", "/short", "abcd").exit_code == 0
        result = lux9("put", "/short", "abcdef")
        assert result.exit_code == 1
        assert "/short took 4 of 6 bytes at offset 0" in result.stderr


class TestStatAndRm:
    def test_stat(self, lux9: Run, served: Served) -> None:
        lines = dict(line.split(":", 1) for line in lux9("stat", "/ctl").output.splitlines())
        assert lines["mode"].strip() == "--rw-rw-r-- (0664)"
        assert lines["owner"].strip() == "lux9 lux9"

    def test_stat_json(self, lux9: Run, served: Served) -> None:
        result = lux9("stat", "--json", "/ctl", "/nope", "/n001")
        assert result.exit_code == 1
        found = json.loads(result.stdout)
        assert [(f["path"], f["directory"]) for f in found] == [("/ctl", False), ("/n001", True)]

    def test_rm(self, lux9: Run, served: Served) -> None:
        result = lux9("rm", "/n001", "/ctl", "/n002")
        assert result.exit_code == 1
        assert served.top.removed == ["n001", "n002"]
        assert result.stderr == "lux9 rm: /ctl: permission denied: ctl cannot be removed\n"


def test_a_server_with_an_old_client_s_path(lux9: Run, served: Served, tmp_path: Path) -> None:
    """Paths need no leading slash, and doubled ones mean nothing."""
    assert lux9("cat", "ctl", "//n001//here", "/n001/../ctl").output == "facts\n1\nfacts\n"


class TestFollowing:
    def test_a_log_goes_on(self, served: Served) -> None:
        with subprocess.Popen([*PROGRAM, "cat", "-f", "/event"], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for i, text in enumerate(["one\n", "", "two\n"]):
                served.until(lambda i=i: len(served.top.waiting) == i + 1)  # type: ignore[misc]
                served.event(text, i)
                assert child.stdout.readline().decode() == text if text else True
            served.until(lambda: len(served.top.waiting) == 4)
            child.send_signal(signal.SIGINT)
            assert child.wait(LIMIT) == 130

    def test_one_file(self, served: Served, lux9: Run) -> None:
        assert lux9("cat", "-f", "/event", "/ctl").exit_code == 2
