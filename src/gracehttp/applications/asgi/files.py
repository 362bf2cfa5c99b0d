"""A file, or a part of one, as the body of an ASGI response: the extensions `http.response.pathsend` and
`http.response.zerocopysend` (https://asgi.readthedocs.io/en/latest/extensions.html).

On plain HTTP/1.1 the kernel copies the file into the socket (sendfile(2)). TLS and HTTP/2 must see the bytes: there
they are read and sent piece by piece, at the pace of the client.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from gracehttp.applications.asgi.types import Message
from gracehttp.http.exchange import ClientDisconnected, Exchange, ResponseError
from gracehttp.net.file_part import FilePart

_PIECE_BYTES: Final = 65536
"""How much of a file is read at once. A file that isn't larger is read and sent together with the head."""


async def send_path(exchange: Exchange, message: Message) -> None:
    """Send the whole file `path` as the body, and end it. The path must be absolute.

    Raises `ResponseError` for a message that is malformed or names no regular file, `OSError` if the file can't be
    opened, and what `send_open_file` raises.
    """
    path = message.get("path")
    if not isinstance(path, (str, os.PathLike)) or not os.path.isabs(path):
        raise ResponseError(f"the path of http.response.pathsend must be absolute, not {path!r}")
    # Not O_RDONLY alone: to open a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ResponseError(f"{os.fspath(path)} is no regular file")
        await _send(exchange, descriptor, 0, status.st_size, more=False)
    finally:
        os.close(descriptor)


async def send_open_file(exchange: Exchange, message: Message) -> None:
    """Send `count` bytes (default: all that follow) from `offset` (default: the file's position) of the open `file`.

    Without `offset` the file's position moves on by what was sent. Raises `ResponseError` for a message that is
    malformed and when the file has fewer bytes than announced, and `ClientDisconnected`.
    """
    file = message.get("file")
    try:
        # A copy: the application may close its own while the client takes its time.
        descriptor = os.dup(file if isinstance(file, int) else file.fileno())  # type: ignore[union-attr]  # told
    except (AttributeError, TypeError, OSError) as exc:
        raise ResponseError(f"the file of http.response.zerocopysend must be an open file, not {file!r}") from exc
    try:
        await _send_part(exchange, descriptor, message)
    finally:
        os.close(descriptor)


async def _send_part(exchange: Exchange, descriptor: int, message: Message) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ResponseError("the file of http.response.zerocopysend is no regular file")
    offset, count = message.get("offset"), message.get("count")
    start = os.lseek(descriptor, 0, os.SEEK_CUR) if offset is None else offset
    size = max(0, status.st_size - start) if count is None else count
    if start < 0 or size < 0:
        raise ResponseError("offset and count of http.response.zerocopysend can't be negative")
    await _send(exchange, descriptor, start, size, more=message.get("more_body", False))
    if offset is None:
        os.lseek(descriptor, start + size, os.SEEK_SET)  # of the application's descriptor too: it is the same open file


async def _send(exchange: Exchange, descriptor: int, offset: int, size: int, *, more: bool) -> None:
    """Send that part of the file as body bytes. The descriptor stays the caller's."""
    if size > _PIECE_BYTES and exchange.takes_files:
        exchange.write_file(FilePart(os.dup(descriptor), offset, size), more)
        await _until_writable(exchange)
        return
    end = offset + size
    while True:
        piece = os.pread(descriptor, min(_PIECE_BYTES, end - offset), offset)
        offset += len(piece)
        if not piece and offset < end:
            raise ResponseError("the file became shorter while it was sent")
        exchange.write(piece, more or offset < end)
        await _until_writable(exchange)
        if offset >= end:
            return


async def _until_writable(exchange: Exchange) -> None:
    if not exchange.writable:
        await exchange.wait_until_writable()
    if exchange.disconnected:
        raise ClientDisconnected("the client is gone")
