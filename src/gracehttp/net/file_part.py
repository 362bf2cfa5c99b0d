"""A part of a file that is on its way to a client: the kernel copies it into the socket, and no memory holds it.

sendfile(2) reads from the disk where the page cache doesn't have the bytes, and the caller waits for that. So the
kernel is told beforehand what will be wanted next (posix_fadvise(2)), and each call sends a limited piece.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Final

from gracehttp.net.failures import CLIENT_IS_GONE

_READ_AHEAD_BYTES: Final = 1024 * 1024
_NOT_FOR_THIS_FILE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""Files of some file systems, such as procfs, can be read but not sent (sendfile(2))."""
_COPIED_BYTES: Final = 65536


class FileUnreadable(OSError):
    """A file can't be read to the end of what was announced to the client: the disk fails, or the file was shortened
    meanwhile."""


class FilePart:
    """`size` bytes of the file `descriptor`, from `offset` on. It owns the descriptor; its length is what is left."""

    __slots__ = ("_advised", "_copies", "_descriptor", "_left", "_offset")

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._left = size
        self._advised = offset  # up to here the kernel was told
        self._copies = not hasattr(os, "sendfile")

    def __len__(self) -> int:
        return self._left

    def send(self, sock: socket.SocketType, most_bytes: int) -> int:
        """Send at most `most_bytes`; returns how many the kernel took.

        Raises `BlockingIOError` if it took none because the socket is full, an `OSError` of `CLIENT_IS_GONE` for the
        socket, and `FileUnreadable` for all else.
        """
        try:
            sent = self._send(sock, most_bytes)
        except OSError as exc:
            if isinstance(exc, (BlockingIOError, InterruptedError)) or exc.errno in CLIENT_IS_GONE:
                raise
            raise FileUnreadable(exc.errno, f"a file can't be sent to its end: {exc.strerror}") from exc
        self._offset += sent
        self._left -= sent
        return sent

    def _send(self, sock: socket.SocketType, most_bytes: int) -> int:
        size = min(most_bytes, self._left)
        self._read_ahead(self._offset + size)
        if not self._copies:
            try:
                sent = os.sendfile(sock.fileno(), self._descriptor, self._offset, size)
            except OSError as exc:
                if exc.errno not in _NOT_FOR_THIS_FILE:
                    raise
                self._copies = True
        if self._copies:
            data = os.pread(self._descriptor, min(size, _COPIED_BYTES), self._offset)
            sent = sock.send(data) if data else 0
        if not sent:
            raise OSError(errno.EIO, "it became shorter meanwhile")
        return sent

    def close(self) -> None:
        """Release the descriptor. Can be called again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _read_ahead(self, end: int) -> None:
        """Let the kernel read what comes behind `end` while what stands before it is on its way."""
        if end + _READ_AHEAD_BYTES // 2 <= self._advised or self._advised >= self._offset + self._left:
            return
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):  # an advice alone
                os.posix_fadvise(self._descriptor, self._advised, _READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
        self._advised += _READ_AHEAD_BYTES
