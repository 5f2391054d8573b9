"""What undoes `lux9 boot` when it is killed and can undo nothing itself: a shell that waits for its end.

Drivers need none of this, they die with their kernel. But the name of its socket would stay, and the user's
command, which nobody could serve any more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

# Its orders come line by line: `command` and its pid, `gone` when there is nothing to undo. An end without that one is
# a kernel that was killed. Another may have its place by now, and its own socket: ours is known by a descriptor of it,
# for as long as which no other file gets its number.
SCRIPT = """
all() { echo "$1"; for child in $(cat /proc/"$1"/task/*/children); do all "$child"; done; }
while read -r word told; do
    case $word in
        gone) exit ;;
        command) pid=$told ;;
    esac
done
if [ "$1" -ef "/proc/self/fd/$3" ]; then
    rm -f -- "$1"
    [ -z "$2" ] || rmdir -- "$2"
fi
if [ -n "$pid" ]; then
    pids=$(all "$pid")
    kill -TERM $pids
    sleep 3
    kill -KILL $pids
fi
"""


class Keeper:
    """The shell, from when the socket is there until the kernel ends. `folder` goes with it, if it is given."""

    def __init__(self, path: Path, folder: Path | None = None) -> None:
        self.path = path
        self.words = [str(path.absolute()), str(folder.absolute()) if folder else ""]

    def __enter__(self) -> Self:
        quiet, which = subprocess.DEVNULL, os.open(self.path, os.O_PATH | os.O_CLOEXEC)
        self.orders, theirs = socket.socketpair()
        try:
            self.shell = subprocess.Popen(
                ["sh", "-c", SCRIPT, "sh", *self.words, str(which)],
                stdin=theirs.fileno(),
                stdout=quiet,
                stderr=quiet,
                cwd="/",
                pass_fds=[which],
                start_new_session=True,  # what ends our whole group is not for it
            )
        finally:
            os.close(which)
            theirs.close()
        return self

    def starting(self) -> None:
        """For the command's process, before its program is there: what that does first may be to kill the kernel."""
        self._tell(f"command {os.getpid()}")

    def _tell(self, line: str) -> None:
        """A shell that somebody has killed hears nothing, and nothing depends on it."""
        with contextlib.suppress(OSError):
            self.orders.send(f"{line}\n".encode(), socket.MSG_NOSIGNAL)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tell("gone")
        self.orders.close()
        self.shell.wait()
