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
# Possessive all along: where a byte belongs is clear when it is read, so there is nothing to go back for.
_QUOTED = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]++|\\[\t\x20-\x7e\x80-\xff])*+"'
_VALUE = rb"(?:" + TOKEN + rb"+|" + _QUOTED + rb")"
_EXTENSION = rb"[ \t]*+;[ \t]*+" + TOKEN + rb"+(?:[ \t]*+=[ \t]*+" + _VALUE + rb")?+"
_LONGEST_SIZE: Final = 16  # digits behind leading zeros, of which there may be more
_SIZE_LINE = re.compile(rb"((?=[0-9A-Fa-f])0*+(?:[1-9A-Fa-f][0-9A-Fa-f]{0,15}+)?+)(?:" + _EXTENSION + rb")*+")
_LEADING_ZEROS = re.compile(rb"0+(?=[0-9A-Fa-f])")
_SIZE_SO_FAR = re.compile(rb"[0-9A-Fa-f]{0,16}(?:(?<=[0-9A-Fa-f])[ \t;][\t\x20-\x7e\x80-\xff]*)?\r?")
_TEXT_SO_FAR = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\r?")

# What a chunk may cost besides its data: size line and line ends. More is counted as excess.
_FAIR_CHUNK_OVERHEAD: Final = 16


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
        """How many bytes of content have not come yet; None if that is not known."""


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

    __slots__ = ("_excess", "_left", "_line", "_max_body_size", "_max_header_size", "_pieces", "_size", "_state",
                 "complete", "missing_bytes", "trailers")  # fmt: skip

    def __init__(self, max_header_size: int, max_body_size: int) -> None:
        """Sizes in bytes; a `max_body_size` of 0 is no limit."""
        self._max_header_size = max_header_size
        self._max_body_size = max_body_size
        self._state = _SIZE
        self._line = b""  # the part of a line that has come
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
            seen = len(self._line)
            self._line += data[start:end]
            self._check_line_so_far(seen)
            return end
        self._line = b""
        if self._state == _SIZE:
            self._begin_chunk(line)
        elif self._state == _DATA_END:
            if line:
                raise RequestError(400, "a chunk is longer than its size")
            self._state = _SIZE
        else:
            self._take_trailer(line)
        return stop

    def _check_line_so_far(self, seen: int) -> None:
        """Refuse a line that is not whole if it can't become one; `seen` bytes of it were found right before.

        What is behind the size of a chunk is looked at once, or a client that sends single bytes would have all of a
        long line looked at for each.
        """
        line = self._line
        if self._state == _DATA_END and line != b"\r":
            raise RequestError(400, "a chunk is longer than its size")
        if self._state == _SIZE and seen <= _LONGEST_SIZE:
            zeros = _LEADING_ZEROS.match(line)
            if zeros is not None:
                # They are counted and dropped, so that what must be looked at stays short.
                self._line = line = line[zeros.end() :]
                self._count_excess(zeros.end())
            match = _SIZE_SO_FAR.fullmatch(line)
        else:
            match = _TEXT_SO_FAR.fullmatch(line, max(0, seen - 1))  # a CR was right only if it was the last byte
        if match is None:
            raise RequestError(400, "malformed chunk")
        if self._excess + len(self._line) > self._max_header_size:
            self._refuse_excess()

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise RequestError(400, "malformed size of a chunk")
        if self._excess + len(line) >= self._max_header_size:
            self._refuse_excess()  # as it would have been in pieces, with its CR
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
