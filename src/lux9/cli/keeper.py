"""What undoes `lux9 boot` when it is killed and can undo nothing itself: a shell that waits for its end.

Drivers need none of this, they die with their kernel. But the name of its socket would stay, and the user's
command, which nobody could serve any more.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

# Its orders come line by line: `socket` and which one it is, `command` and its pid, `gone` when there is nothing to
# undo. An end without that one is a kernel that was killed. Another may have its place by now, and its own socket.
SCRIPT = """
all() { echo "$1"; for child in $(cat /proc/"$1"/task/*/children); do all "$child"; done; }
while read -r word told; do
    case $word in
        gone) exit ;;
        socket) socket=$told ;;
        command) pid=$told ;;
    esac
done
if [ -n "$socket" ] && [ "$(stat -c '%i %.9Z' -- "$1")" = "$socket" ]; then
    rm -f -- "$1"
    [ -z "$2" ] || rmdir -- "$2"
fi
if [ -n "$pid" ] && pids=$(all "$pid"); then
    kill -TERM $pids
    sleep 3
    kill -KILL $pids
fi
"""


class Keeper:
    """The shell, for as long as the kernel runs. `folder` goes with the socket, if it is given."""

    def __init__(self, socket: Path, folder: Path | None = None) -> None:
        self.socket = socket
        self.words = [str(socket.absolute()), str(folder.absolute()) if folder else ""]

    def __enter__(self) -> Self:
        quiet = subprocess.DEVNULL
        self.shell = subprocess.Popen(
            ["sh", "-c", SCRIPT, "sh", *self.words],
            stdin=subprocess.PIPE,
            stdout=quiet,
            stderr=quiet,
            cwd="/",
            start_new_session=True,  # what ends our whole group is not for it
        )
        return self

    def listening(self) -> None:
        """The socket is there."""
        status = self.socket.stat()
        seconds, rest = divmod(status.st_ctime_ns, 10**9)
        self._tell(f"socket {status.st_ino} {seconds}.{rest:09d}")

    def started(self, pid: int) -> None:
        """The command is there."""
        self._tell(f"command {pid}")

    def _tell(self, line: str) -> None:
        """A shell that somebody has killed hears nothing, and nothing depends on it."""
        assert self.shell.stdin is not None, "a pipe was asked for"
        with contextlib.suppress(BrokenPipeError, ValueError):
            self.shell.stdin.write(f"{line}\n".encode())
            self.shell.stdin.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tell("gone")
        self.shell.communicate()
