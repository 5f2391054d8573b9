"""What every test has: the option that turns a skip into a failure."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

settings.register_profile(  # a busy machine is no failure; the same examples everywhere, each time
    "lux9", deadline=None, derandomize=True
)
settings.register_profile(  # other examples each time, and more: `make fuzz`
    "explore", deadline=None, max_examples=1000, print_blob=True
)
settings.load_profile("lux9")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="fail the run when a test was skipped (make test)"
    )


def pytest_configure() -> None:
    """Ctrl-C is tested, too: a shell that runs us in the background has it ignored, for our children as well."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("PYTHONUNBUFFERED", None)  # few have it, and it hides what is not flushed


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skip says which tool is missing; where all tools were installed it is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--no-skips"):
        return
    if skipped := len(reporter.stats.get("skipped", [])):
        reporter.write_line("")
        reporter.write_line(f"--no-skips: {skipped} skipped, which counts as failed", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
