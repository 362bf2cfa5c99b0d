"""The `wsgi.file_wrapper` of PEP 3333, "Optional Platform-Specific File Handling"."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import Final, Protocol

_PLAIN: Final = (io.BufferedReader, io.BufferedRandom, io.FileIO)


class SupportsRead(Protocol):
    """What an application may give to `wsgi.file_wrapper`. Its `close` method is optional."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, and no bytes at the end."""


class FileWrapper:
    """An iterable over a file in blocks. The server may send the file itself instead, see `rest_of_file`."""

    __slots__ = ("_file", "_size", "close")

    close: Callable[[], object]

    def __init__(self, file: SupportsRead, block_size: int = 65536) -> None:
        self._file = file
        self._size = block_size
        # PEP 3333: it must have a close method if the file has one.
        close = getattr(file, "close", None)
        if close is not None:
            self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._file.read(self._size), b"")

    def rest_of_file(self) -> tuple[int, int, int] | None:
        """Descriptor, offset and size of what is left of the file, if the kernel may send it; else None.

        Only for the types that `open` returns for a binary file, and of regular files: the descriptor of others need
        not give what their `read` does, such as that of `gzip.GzipFile`.
        """
        file = self._file
        if not isinstance(file, _PLAIN) or type(file) not in _PLAIN:
            return None
        try:
            descriptor = file.fileno()
            status = os.fstat(descriptor)
            offset = file.tell()
        except (OSError, ValueError):  # ValueError: it is closed; `read` will tell
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return descriptor, offset, max(0, status.st_size - offset)
