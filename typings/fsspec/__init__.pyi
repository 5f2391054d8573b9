"""What lux9 uses of fsspec, which has no types of its own."""

from contextlib import AbstractContextManager
from typing import IO, Any

from .spec import AbstractFileSystem

def open(urlpath: str, mode: str = ..., **kwargs: Any) -> AbstractContextManager[IO[Any]]: ...
def filesystem(protocol: str, **storage_options: Any) -> AbstractFileSystem: ...
def url_to_fs(url: str, **kwargs: Any) -> tuple[AbstractFileSystem, str]: ...
