"""usage: relay FOLDER PORT: a connection of a guest's, on standard input, to the address in FOLDER/PORT, both ways."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

MOST = 1 << 20


def dial(address: str) -> socket.socket:
    """`unix!PATH` or `tcp!HOST!PORT`."""
    kind, *rest = address.split("!")
    if kind == "unix":
        made = socket.socket(socket.AF_UNIX)
        made.connect(rest[0])
        return made
    made = socket.create_connection((rest[0], int(rest[1])))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def main() -> None:
    """Until either side hangs up."""
    server = dial(Path(sys.argv[1], sys.argv[2]).read_text())

    def back() -> None:
        while data := server.recv(MOST):
            while data:
                data = data[os.write(1, data) :]
        os._exit(0)

    threading.Thread(target=back, daemon=True).start()
    while data := os.read(0, MOST):
        server.sendall(data)


main()
