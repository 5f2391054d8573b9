"""The command line as a whole: help, loading, how mistakes are told."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import lux9
from lux9.cli import COMMANDS, main
from lux9.cli.numbers import NUMBER
from lux9.ninep.default import VARIABLE, default_address, default_path
from tests.cli.conftest import Run
from tests.ninep.serving import LIMIT, Served

PROGRAM = [sys.executable, "-c", "from lux9.cli import main; main(prog_name='lux9')"]
ROOT = Path(__file__).parents[2]


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", COMMANDS)
class TestEveryCommand:
    def test_is_called_by_its_name_and_told_in_one_line(self, name: str) -> None:
        assert command(name).name == name
        assert COMMANDS[name].endswith(".")

    def test_has_help_with_examples(self, name: str, lux9: Run) -> None:
        result = lux9(name, "--help")
        assert result.exit_code == 0
        assert "Examples:" in result.output
        assert f"lux9 {name}" in result.output

    def test_tells_what_its_options_do(self, name: str) -> None:
        for option in command(name).params:
            if isinstance(option, click.Option):
                assert option.help, option.name

    def test_has_a_page_in_the_manual(self, name: str) -> None:
        page = ROOT / "docs" / "commands" / f"{name}.md"
        assert f"{{{{ command {name} }}}}" in page.read_text()


def test_the_list_is_every_file_that_has_a_command() -> None:
    files = {p.stem for p in (ROOT / "src" / "lux9" / "cli").glob("*.py")}
    found = {
        name
        for name in files
        if f"\ndef {name}(" in (ROOT / "src" / "lux9" / "cli" / f"{name}.py").read_text()
        and "@click.command" in (ROOT / "src" / "lux9" / "cli" / f"{name}.py").read_text()
    }
    assert found - set(COMMANDS) == set()


def test_help_lists_them_in_order(lux9: Run) -> None:
    output = lux9("--help").output
    shown = [
        line.split()[0] for line in output.splitlines() if line[:3] == "  " + line[2:3] != "   "
    ]
    assert [name for name in shown if name in COMMANDS] == sorted(COMMANDS)


@pytest.mark.parametrize(
    "args", [["--help"], ["cat", "--help"], ["version"], ["-a", "unix!/nope", "cat", "/x"]]
)
def test_a_plain_command_starts_without_what_it_does_not_need(args: list[str]) -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(*sorted(m for m in ('asyncio', 'rich', 'uvloop', 'cffi',"
        " 'lux9.kernel', 'lux9.machine.sim') if m in sys.modules), file=sys.stderr))\n"
        "from lux9.cli import main\n"
        "main(prog_name='lux9')"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == ""


@pytest.mark.parametrize("args", ["--help", "cat --help", "version"])
@pytest.mark.parametrize(("where", "status"), [(">/dev/full", 1), (">&-", 0), ("<&- >&- 2>&-", 0)])
def test_an_output_that_takes_nothing(args: str, where: str, status: int) -> None:
    words = f"{sys.executable} -m lux9 {args} {where}"
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False)
    assert done.returncode == status
    told = ": standard output: No space left on device\n"
    assert done.stderr in ([f"lux9{told}", f"lux9 {args.split()[0]}{told}"] if status else [""])


@pytest.mark.parametrize("args", ["--help", "cat --help", "version"])
def test_a_reader_that_has_gone_is_no_error_worth_a_word(args: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lux9", *args.split()]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_too_few_open_files_are_told_with_the_remedy(
    lux9: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dialled() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("lux9.cli.lspci.dialled", dialled)
    assert lux9("lspci").stderr == (
        "lux9 lspci: too many open files for this shell's limit; raise it: ulimit -n 1024\n"
    )


class TestMistakes:
    def test_an_unknown_command(self, lux9: Run) -> None:
        result = lux9("fly")
        assert result.exit_code == 2
        assert "fly" in result.stderr

    def test_a_missing_argument(self, lux9: Run) -> None:
        assert lux9("cat").exit_code == 2

    def test_nobody_is_there(self, lux9: Run, tmp_path: Path) -> None:
        result = lux9("-a", f"unix!{tmp_path}/s", "ls")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr == (
            f"lux9 ls: no lux9 at {tmp_path}/s: No such file or directory; "
            "start one with `lux9 boot`\n"
        )

    def test_an_address_that_is_none(self, lux9: Run) -> None:
        result = lux9("--addr", "localhost:564", "ls")
        assert result.exit_code == 1
        assert "'localhost:564' is not an address; write unix!" in result.stderr

    def test_the_server_goes_away(self, lux9: Run, served: Served) -> None:
        served.top.names["end"] = served.leaf(lambda: served.connections[-1].close())
        result = lux9("cat", "/end")
        assert result.exit_code == 1
        assert result.stderr.startswith("lux9 cat: connection closed")
        assert "Traceback" not in result.stderr


class TestAddress:
    def test_the_option_comes_before_the_environment(
        self, lux9: Run, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        addr = os.environ[VARIABLE]
        monkeypatch.setenv(VARIABLE, "unix!/nope")
        assert lux9("ls").exit_code == 1
        assert lux9("-a", addr, "ls").exit_code == 0

    def test_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
        assert default_address() == "unix!/run/user/7/lux9.sock"
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert default_path() == Path(f"/tmp/lux9-{os.getuid()}/lux9.sock")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("512", 512),
        ("0x10", 16),
        ("4K", 4096),
        ("4k", 4096),
        ("1M", 1 << 20),
        ("2G", 2 << 30),
    ],
)
def test_numbers(text: str, number: int) -> None:
    assert NUMBER.convert(text, None, None) == number


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "0xg", "K", "1T"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 512, 0x200 or 4K"):
        NUMBER.convert(text, None, None)


def test_version(lux9: Run) -> None:
    result = lux9("version")
    assert result.output.startswith(f"lux9 {lux9_version()} (9P2000")


def lux9_version() -> str:
    return lux9.__version__


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_scripts(self, lux9: Run, shell: str) -> None:
        output = lux9("completion", shell).output
        assert f"_LUX9_COMPLETE={shell}_complete" in output

    def test_another_shell(self, lux9: Run) -> None:
        assert lux9("completion", "csh").exit_code == 2

    def completed(self, words: str) -> list[str]:
        count = str(len(words.split()) - (0 if words.endswith(" ") else 1))
        env = os.environ | {
            "_LUX9_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": count,
        }
        done = subprocess.run(PROGRAM, env=env, capture_output=True, text=True, timeout=LIMIT)
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    def test_commands(self) -> None:
        assert self.completed("lux9 l") == ["ls", "lspci"]

    def test_paths_of_the_tree(self, served: Served) -> None:
        assert self.completed("lux9 cat /n001/he") == ["/n001/here"]
        assert self.completed("lux9 ls /n001/") == ["/n001/here", "/n001/down/"]
        assert self.completed("lux9 put /ct") == ["/ctl"]

    def test_without_a_server_there_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, "unix!/nope")
        assert self.completed("lux9 cat /c") == []


IN_A_CLASS = """
import click
import lux9.cli.version as module
from lux9.cli import main

class Slot:
    def __set_name__(self, owner, name):
        raise KeyboardInterrupt

@click.command()
def version():
    type("Owner", (), {"slot": Slot()})

module.version = version
main(["version"], prog_name="lux9")
"""


def test_ctrl_c_while_a_command_loads_its_classes_is_a_ctrl_c() -> None:
    """Python 3.11 makes a RuntimeError of it."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CLASS], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr.strip()) == (130, "")
