"""From the bytes of a message body to its content (RFC 9112 sections 6 and 7). Pure: no I/O, no clock.

`feed` takes no byte that lies beyond the end of the body. So pipelined requests wait as the bytes that they are.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from gracehttp.http.fields import TOKEN
from gracehttp.http.head import Header
from gracehttp.http.http1.checks import Framing, RequestError
from gracehttp.http.http1.parser import parse_field

# chunk-size and chunk-ext of RFC 9112 section 7.1, with the bad white space that it asks recipients to parse.
_QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_EXTENSION = rb"[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*")
_SIZE_SO_FAR = re.compile(rb"[0-9A-Fa-f]{0,16}(?:(?<=[0-9A-Fa-f])[ \t;][\t\x20-\x7e\x80-\xff]*)?\r?")
_TRAILER_SO_FAR = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\r?")

# What a chunk may cost besides its data: size line and line ends. More is counted as excess.
_FAIR_CHUNK_OVERHEAD: Final = 16

_SHORT_LINE_BYTES: Final = 1024
"""Up to this, a line that is not whole is judged at each of its pieces, and then each time that it has grown by an
eighth: a look at all of it for each single byte would let one client keep a worker busy."""


class BodyParser(Protocol):
    """Takes the body of one request out of the bytes of its connection."""

    complete: bool
    """The end of the body has come."""
    trailers: list[Header]
    """The trailer fields, names in lower case."""

    def feed(self, data: bytes, start: int) -> int:
        """Take bytes of `data` from `start` on, up to the end of the body; return where that is.

        Raises `RequestError` with 400, 413 or 431.
        """

    def take(self) -> list[bytes]:
        """The pieces of content that have come and were not taken yet."""

    @property
    def missing_bytes(self) -> int | None:
        """How many bytes of content have not come yet; None if nobody knows."""


class CountedBody:
    """A body whose length the head has told (RFC 9112 section 6.2)."""

    __slots__ = ("_pieces", "complete", "missing_bytes", "trailers")

    def __init__(self, length: int) -> None:
        self._pieces: list[bytes] = []
        self.missing_bytes = length
        self.complete = False
        self.trailers: list[Header] = []

    def feed(self, data: bytes, start: int) -> int:
        stop = min(len(data), start + self.missing_bytes)
        if stop > start:
            self._pieces.append(data[start:stop])
            self.missing_bytes -= stop - start
        self.complete = not self.missing_bytes
        return stop

    def take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces


_SIZE: Final = 0  # the line with the size of a chunk
_DATA: Final = 1
_DATA_END: Final = 2  # the CRLF behind the data
_TRAILER: Final = 3


class ChunkedBody:
    """A body in chunks (RFC 9112 section 7.1).

    Trailer fields and chunk extensions lie outside of the limit for heads, and cost without bringing data. They may
    take no more than a head, besides what goes along with data.
    """

    __slots__ = ("_excess", "_left", "_line", "_look_again_at", "_max_body_size", "_max_header_size", "_pieces",
                 "_size", "_state", "complete", "missing_bytes", "trailers")  # fmt: skip

    def __init__(self, max_header_size: int, max_body_size: int) -> None:
        """Sizes in bytes; a `max_body_size` of 0 is no limit."""
        self._max_header_size = max_header_size
        self._max_body_size = max_body_size
        self._state = _SIZE
        self._line = b""  # the part of a line that has come
        self._look_again_at = 0  # when `_line` has so many bytes
        self._left = 0  # bytes of the current chunk that have not come
        self._size = 0  # of all chunks so far
        self._excess = 0
        self._pieces: list[bytes] = []
        self.complete = False
        self.missing_bytes: int | None = None
        self.trailers: list[Header] = []

    def feed(self, data: bytes, start: int) -> int:
        end = len(data)
        while start < end and not self.complete:
            take = self._take_data if self._state == _DATA else self._take_line
            start = take(data, start, end)
        return start

    def take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _take_data(self, data: bytes, start: int, end: int) -> int:
        stop = min(end, start + self._left)
        self._pieces.append(data[start:stop])
        self._left -= stop - start
        if not self._left:
            self._state = _DATA_END
        return stop

    def _take_line(self, data: bytes, start: int, end: int) -> int:
        found = data.find(b"\r\n", start)
        if self._line.endswith(b"\r") and data[start : start + 1] == b"\n":  # the CRLF was cut in two
            line, stop = self._line[:-1], start + 1
        elif found >= 0:
            line, stop = self._line + data[start:found], found + 2
        else:
            self._line += data[start:end]
            self._check_line_so_far()
            return end
        self._line = b""
        self._look_again_at = 0
        if self._state == _SIZE:
            self._begin_chunk(line)
        elif self._state == _DATA_END:
            if line:
                raise RequestError(400, "a chunk is longer than its size")
            self._state = _SIZE
        else:
            self._take_trailer(line)
        return stop

    def _check_line_so_far(self) -> None:
        if self._state == _DATA_END and self._line != b"\r":
            raise RequestError(400, "a chunk is longer than its size")
        size = len(self._line)
        too_much = self._excess + size > self._max_header_size
        if size < _SHORT_LINE_BYTES or size >= self._look_again_at or too_much:
            so_far = _SIZE_SO_FAR if self._state == _SIZE else _TRAILER_SO_FAR
            if so_far.fullmatch(self._line) is None:
                raise RequestError(400, "malformed chunk")
            self._look_again_at = size + size // 8
        if too_much:
            self._refuse_excess()

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise RequestError(400, "malformed size of a chunk")
        size = int(match[1], 16)
        self._count_excess(len(line) + 4 - _FAIR_CHUNK_OVERHEAD - 2 * size)
        if not size:
            self._state = _TRAILER
            return
        self._size += size
        if self._max_body_size and self._size > self._max_body_size:
            raise RequestError(413, f"the body has more than {self._max_body_size} bytes")
        self._left = size
        self._state = _DATA

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.complete = True
            return
        self._count_excess(len(line) + 2)
        self.trailers.append(parse_field(line))

    def _count_excess(self, size: int) -> None:
        self._excess = max(0, self._excess + size)
        if self._excess > self._max_header_size:
            self._refuse_excess()

    def _refuse_excess(self) -> None:
        raise RequestError(431, f"trailer or chunk extensions of more than {self._max_header_size} bytes")


def body_parser(framing: Framing, max_header_size: int, max_body_size: int) -> BodyParser:
    """For a request whose framing says that it has a body. Raises `RequestError`, 413, if it is too large."""
    if framing.chunked:
        return ChunkedBody(max_header_size, max_body_size)
    if max_body_size and framing.content_length > max_body_size:
        raise RequestError(413, f"the body has more than {max_body_size} bytes")
    return CountedBody(framing.content_length)
