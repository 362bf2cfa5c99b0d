"""From the content of a response to the bytes of its body (RFC 9112 sections 6 and 7). Pure: no I/O, no clock."""

from __future__ import annotations

from gracehttp.http.http1 import framing as framings


def choose_framing(bodyless: bool, http11: bool, content_length: int) -> int:
    """How the end of the body is told: one of `framing`. `content_length` is -1 if it is not known yet."""
    if bodyless:
        return framings.NO_BODY
    if content_length >= 0:
        return framings.COUNTED
    return framings.CHUNKED if http11 else framings.UNTIL_CLOSE


def chunk(data: bytes, end: bool) -> bytes:
    """`data` as a chunk, and what ends the body behind it if that is the `end`. Without data there is no chunk: an
    empty one would be the last."""
    if not data:
        return last_chunk(b"") if end else b""
    return b"%x\r\n%b%b" % (len(data), data, chunk_end(end))


def chunk_pieces(data: bytes, end: bool) -> list[bytes]:
    """As `chunk`, for data that isn't empty and too long to be copied."""
    return [chunk_size(len(data)), data, chunk_end(end)]


def chunk_size(size: int) -> bytes:
    """The line in front of a chunk of so many bytes."""
    return b"%x\r\n" % size


def chunk_end(end: bool) -> bytes:
    """What stands behind the data of a chunk; `end`: behind the last data of all."""
    return b"\r\n0\r\n\r\n" if end else b"\r\n"


def last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body; `trailers` are the lines of its trailer fields."""
    return b"0\r\n%b\r\n" % trailers
