"""How a served file tree is declared: a class a directory, a method a file, the decorator its kind and mode.

    class FunctionDir(Dir):
        @text(0o664)
        def ctl(self) -> str: ...          # made whole when it is opened; takes the verbs
        @raw(0o660)
        def config(self) -> Raw: ...       # offset is an address, count the access width
        @verb(1)
        def master(self, state: str) -> None: ...

The first line of each docstring is the file's line in the manual; `synopsis` derives the rest of it.
"""

from .declare import Dir, Entry, File, Raw, Verb, entries, event, raw, rpc, stream, text, verb
from .nodes import DirNode, FileNode, Tree
from .synopsis import synopsis

__all__ = [
    "Dir",
    "DirNode",
    "Entry",
    "File",
    "FileNode",
    "Raw",
    "Tree",
    "Verb",
    "entries",
    "event",
    "raw",
    "rpc",
    "stream",
    "synopsis",
    "text",
    "verb",
]
