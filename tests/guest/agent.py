"""What answers in a guest: it runs what the host asks for, each command beside the others.

A request is a line of JSON: {id, argv, input, user, limit, env}; its answer: {id, status, out, err, late}, bytes in
base64. Only the standard library is used: this starts before anything else is certain to be there.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

PORT = "lux9"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
GRACE = 5.0  # seconds in which a killed command has to end; one that does not hangs in the kernel

sending = threading.Lock()


def send(port: int, **answer: Any) -> None:
    """One line."""
    data = json.dumps(answer).encode() + b"\n"
    with sending:
        while data:
            data = data[os.write(port, data) :]


def text(data: bytes) -> str:
    """Bytes in JSON."""
    return base64.b64encode(data).decode()


def run(port: int, ask: dict[str, Any]) -> None:
    """A command, to its end or its limit; it and its children are then killed."""
    user, late = ask["user"], False
    try:
        process = subprocess.Popen(
            ask["argv"],
            cwd="/mnt",
            env={"PATH": PATH, "HOME": "/tmp", "LANG": "C.UTF-8"} | ask["env"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            user=user or None,
            group=user or None,
            extra_groups=[] if user else None,
        )
    except OSError as error:
        send(port, id=ask["id"], status=127, out="", err=text(str(error).encode()), late=False)
        return
    try:
        out, err = process.communicate(base64.b64decode(ask["input"]), ask["limit"])
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(process.pid, signal.SIGKILL)
        out, err = rest(process)
    status = process.poll()
    send(port, id=ask["id"], status=status, out=text(out), err=text(err), late=late)


def rest(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What a killed command has said, if it ends."""
    try:
        return process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired as error:
        stack = Path(f"/proc/{process.pid}/stack").read_bytes()
        return error.stdout or b"", (error.stderr or b"") + b"\nit does not end:\n" + stack


def opened(name: str) -> int:
    """The virtio-serial port of a name, as soon as Linux has found it."""
    while True:
        for path in Path("/sys/class/virtio-ports").glob("*/name"):
            if path.read_text().strip() == name:
                return os.open(f"/dev/{path.parent.name}", os.O_RDWR)
        time.sleep(0.01)


def main() -> None:
    """Serve until the host hangs up."""
    port = opened(PORT)
    send(port, ready=True)
    rest = b""
    while data := os.read(port, 65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            threading.Thread(target=run, args=(port, json.loads(line)), daemon=True).start()


main()
