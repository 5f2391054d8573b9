"""The tree for people who write Python: `lux9.connect()`, paths, and files as `open()` gives them.

    with lux9.connect() as tree:
        print((tree / "dev/pci/bus").read_text())
        with tree.open("/root/hello.txt") as f:
            ...
        for line in tree.follow("/dev/audit"):
            ...

Refusals are OSErrors of Python's own kinds (FileNotFoundError, PermissionError, …), with the server's words.
"""

from .files import RemoteFile
from .follow import Follower
from .path import RemotePath
from .tree import RemoteTree, aconnect, connect

__all__ = ["Follower", "RemoteFile", "RemotePath", "RemoteTree", "aconnect", "connect"]
