"""Bytes in, one request at a time out: a shell around httptools that knows its habits. No I/O, no clock.

What callers may rely on: `feed` never takes a byte that lies beyond the end of the current request. So there is no
queue of parsed requests, pipelined ones wait as the bytes that they are, and at a message boundary nothing is hidden
in the parser.

How: llhttp accepts nothing but CRLF at the end of a line, so every head and every chunked body ends with an empty
line, CRLF CRLF, and the bytes are fed in pieces that end there, or where Content-Length says. A piece may end too
early (an empty line within chunk data), never too late.
"""

from __future__ import annotations

from typing import Any

import httptools

from gracehttp.http.head import Header
from gracehttp.http.http1.checks import (
    FRAMING_FIELDS,
    RequestError,
    check_target,
    is_valid_host,
    method_status,
    parser_refusal,
    read_bad_line,
    read_framing,
    too_large_status,
)

_KEEP_ALIVE = (b"connection", b"keep-alive")  # what browsers say behind Host, though HTTP/1.1 means it anyway
_EMPTY_LINE = b"\r\n\r\n"
# What a chunk may cost besides its data: size line and line ends. More is counted as excess (see _feed_chunked).
_FAIR_CHUNK_OVERHEAD = 16
_LONGEST_REMEMBERED_HOST = 255


class RequestParser:
    """The current request as far as it was received.

    Feed until `complete`, take the `body` pieces whenever there are some, then `reset` for the next request.
    After `RequestError` the parser is of no use any more, because where the next request begins is unknown.
    """

    __slots__ = (
        "_bad_line",
        "_body_size",
        "_chunks",
        "_excess",
        "_feed",
        "_first_line",
        "_head_size",
        "_httptools",
        "_max_body_size",
        "_max_header_size",
        "_plain",
        "_spent",
        "_tail",
        "_upgrade",
        "_valid_host",
        "_watched",
        "body",
        "chunked",
        "complete",
        "content_length",
        "expects_continue",
        "head_complete",
        "headers",
        "http_version",
        "keep_alive",
        "method",
        "started",
        "target",
        "trailers",
    )

    def __init__(self, max_header_size: int, max_body_size: int) -> None:
        """Sizes in bytes; a `max_body_size` of 0 is no limit."""
        self._max_header_size = max_header_size
        self._max_body_size = max_body_size
        self._valid_host: bytes | None = None
        self._httptools: Any
        self._feed: Any
        self._start_parser()
        self._plain = False
        self.reset()

    def reset(self) -> None:
        """Forget the request that is complete and expect the next one."""
        if self._spent:
            self._start_parser()
        self.started = False  # a byte of the head was received (empty lines before it don't count)
        self.head_complete = False
        self.complete = False
        self.target = b""
        self.headers: list[Header] = []
        self.method = ""
        self.http_version = ""
        self.keep_alive = False  # what the client asked for
        self._watched: list[Header] = []
        if self._plain:
            return  # nothing of the rest was touched
        self._plain = True  # the head came in one piece, and there is no body
        self.content_length = -1
        self.chunked = False
        self.expects_continue = False
        self.body: list[bytes] = []
        self.trailers: list[Header] = []  # names in lower case
        self._body_size = 0
        self._head_size = 0
        self._tail = b""
        self._first_line = b""
        self._bad_line: bytes | None = None
        self._upgrade = False
        self._excess = 0
        self._chunks = 0

    def release(self) -> None:
        """Let go of httptools, which holds our methods: without this cycle no garbage collector is needed."""
        self._httptools = self._feed = None

    @property
    def body_bytes_missing(self) -> int | None:
        """How many bytes of the body were not received yet; None if nobody knows (chunked)."""
        if self.complete:
            return 0
        return None if self.chunked else max(self.content_length, 0) - self._body_size

    def take_body(self) -> list[bytes]:
        """The pieces of the body that arrived and were not taken yet."""
        pieces, self.body = self.body, []
        return pieces

    def request_line(self) -> tuple[str, bytes]:
        """Method and target as far as they are known, also after `RequestError`; what is not known is empty."""
        if self._bad_line is not None:
            return read_bad_line(self._bad_line)
        if self.method or not self.target:
            return self.method, self.target
        return self._httptools.get_method().decode("ascii"), self.target

    # --- bytes in ---

    def feed(self, data: bytes, start: int) -> int:
        """Take bytes of `data` from `start` on, up to the end of the current request; return where that is.

        Raises `RequestError` with 400, 413, 414, 417, 431, 501 or 505.
        """
        end = len(data)
        if start == 0 and not self.started and 4 <= end <= self._max_header_size and data.find(_EMPTY_LINE) == end - 4:
            # The usual case: one whole head and nothing else. The steps below would come to the same. (4: below, the
            # -1 of find would equal end - 4 for three bytes of a method.)
            self._execute(data)
            if self.head_complete:
                self._read_head(data)
            return end
        self._plain = False
        while start < end and not self.complete:
            if not self.head_complete:
                start = self._feed_head(data, start, end)
            elif self.chunked:
                start = self._feed_chunked(data, start, end)
            else:
                start = self._feed_counted(data, start, end)
        return start

    def _feed_head(self, data: bytes, start: int, end: int) -> int:
        if self._bad_line is not None:
            self._judge_method(data[start:end])
            return end
        room = self._max_header_size - self._head_size
        stop = min(self._end_of_piece(data, start, end), start + room)
        piece = data if start == 0 and stop == end else data[start:stop]
        self._execute(piece)
        if self.head_complete:
            self._read_head(piece)
            return stop
        if not self.started:
            if not piece.strip(b"\r\n"):  # empty lines before a request are ignored (RFC 9112 section 2.2)
                return stop
            self.started = True
        if not self.target:
            self._first_line += piece
        self._tail = (self._tail + piece)[-3:]
        self._head_size += len(piece)
        if self._head_size >= self._max_header_size:
            status = too_large_status(len(self.target), self._max_header_size)
            raise RequestError(status, f"the head has more than {self._max_header_size} bytes")
        return stop

    def _feed_counted(self, data: bytes, start: int, end: int) -> int:
        stop = min(end, start + self.content_length - self._body_size)
        self._execute(data if start == 0 and stop == end else data[start:stop])
        return stop

    def _feed_chunked(self, data: bytes, start: int, end: int) -> int:
        stop = self._end_of_piece(data, start, end)
        piece = data if start == 0 and stop == end else data[start:stop]
        body_before = self._body_size
        self._chunks = 0
        self._execute(piece)
        body = self._body_size - body_before
        # Trailer fields and chunk extensions lie outside of the limit for heads, and cost without bringing data. They
        # may take no more than a head, besides what goes along with data.
        allowance = self._chunks * _FAIR_CHUNK_OVERHEAD + 2 * body
        self._excess = max(0, self._excess + len(piece) - body - allowance)
        if self._excess > self._max_header_size:
            raise RequestError(431, f"trailer or chunk extensions of more than {self._max_header_size} bytes")
        if self._max_body_size and self._body_size > self._max_body_size:
            raise RequestError(413, f"the body has more than {self._max_body_size} bytes")
        self._tail = (self._tail + piece)[-3:]
        return stop

    def _end_of_piece(self, data: bytes, start: int, end: int) -> int:
        """Where the first empty line at or after `start` ends, also one that began in the piece before."""
        if self._tail:
            found = (self._tail + data[start : start + 3]).find(_EMPTY_LINE)
            if found >= 0:
                return start + found + 4 - len(self._tail)
        found = data.find(_EMPTY_LINE, start)
        return found + 4 if found >= 0 else end

    # --- the parser, its errors and its upgrades ---

    def _start_parser(self) -> None:
        self._spent = False
        self._httptools = httptools.HttpRequestParser(self)
        self._feed = self._httptools.feed_data

    def _execute(self, piece: bytes) -> None:
        try:
            self._feed(piece)
        except httptools.HttpParserUpgrade:
            self._upgrade = True
        except httptools.HttpParserInvalidMethodError:
            self._bad_line = self._first_line
            self._judge_method(piece)
        except httptools.HttpParserCallbackError:
            raise  # our own fault
        except httptools.HttpParserError as error:
            raise parser_refusal(str(error)) from None

    def _judge_method(self, data: bytes) -> None:
        # The parser gives up at the first byte that no method of its list has; the whole method decides the status.
        self.started = True
        self._bad_line = ((self._bad_line or b"") + data).lstrip(b"\r\n")
        status = method_status(self._bad_line)
        if status is not None:
            raise RequestError(status, "unknown method" if status == 501 else "this is not HTTP")

    def _read_head(self, data: bytes) -> None:
        self.started = True
        self._tail = b""
        parser = self._httptools
        method = parser.get_method()
        self.method = method.decode("ascii")
        # httptools formats the version anew each time; to look is cheaper.
        target = self.target
        at = len(method) + len(target) + 1
        self.http_version = "1.1" if data.startswith(b" HTTP/1.1\r\n", at) else parser.get_http_version()
        watched = self._watched
        usual = len(watched) == 1 or (len(watched) == 2 and watched[1] == _KEEP_ALIVE)
        usual = usual and watched[0][0] == b"host" and target.startswith(b"/")
        if usual and self.http_version == "1.1" and not self._upgrade:
            # Only Host needs a look. All the steps below would come to the same; whoever adds one looks here, too.
            self._check_host(watched[0][1])
            self.keep_alive = True
            return
        framing = read_framing(self.method, self.http_version, watched)
        self._check_host(framing.host)
        if not target.startswith(b"/"):
            check_target(self.method, target)
        if framing.chunked or framing.content_length >= 0 or self._upgrade:
            self._plain = False
        self.keep_alive = framing.keep_alive
        self.chunked = framing.chunked
        self.content_length = framing.content_length
        if self._max_body_size and framing.content_length > self._max_body_size:
            raise RequestError(413, f"the body has more than {self._max_body_size} bytes")
        if self._upgrade:
            self._ignore_upgrade()
        self.expects_continue = framing.expects_continue and not self.complete

    def _check_host(self, host: bytes | None) -> None:
        if host is None or host == self._valid_host:
            return
        if not is_valid_host(host):
            raise RequestError(400, "characters in Host that no host has")
        if len(host) <= _LONGEST_REMEMBERED_HOST:
            self._valid_host = host

    def _ignore_upgrade(self) -> None:
        """Go on as if there were no Upgrade field (RFC 9110 section 7.8).

        The parser calls a request with Upgrade complete at the end of its head, whatever body follows, and is dead
        afterwards. Another one gets a head with the same framing, and reads the body.
        """
        self._spent = True
        if self.chunked:
            framing = b"Transfer-Encoding: chunked"
        elif self.content_length > 0:
            framing = b"Content-Length: %d" % self.content_length
        else:
            return
        self.complete = False
        self._httptools = httptools.HttpRequestParser(_BodyCallbacks(self))
        self._feed = self._httptools.feed_data
        self._feed(b"POST / HTTP/1.1\r\n" + framing + _EMPTY_LINE)

    # --- callbacks of httptools ---

    def on_url(self, piece: bytes) -> None:
        self.target = self.target + piece if self.target else piece

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self.head_complete:
            self.trailers.append((name, value.rstrip()))
            self._spent = True  # the parser obeys Connection also in a trailer
            return
        field = (name, value.rstrip())  # the parser leaves the white space at the end (RFC 9110 section 5.5)
        self.headers.append(field)
        if name in FRAMING_FIELDS:
            self._watched.append(field)
        elif name == b"proxy-connection":  # of no meaning to us, but the parser takes nothing more after its "close"
            self._spent = True

    def on_headers_complete(self) -> None:
        self.head_complete = True

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, piece: bytes) -> None:
        self.body.append(piece)
        self._body_size += len(piece)

    def on_message_complete(self) -> None:
        self.complete = True


class _BodyCallbacks:
    """Forwards only what belongs to the body; httptools leaves out the callbacks that are missing."""

    __slots__ = ("on_body", "on_chunk_header", "on_message_complete")

    def __init__(self, parser: RequestParser) -> None:
        self.on_body = parser.on_body
        self.on_chunk_header = parser.on_chunk_header
        self.on_message_complete = parser.on_message_complete


_MOST_KEPT_PARSERS = 1024


class Parsers:
    """Parsers for all connections of a port. A connection has one only while it has a request: so an idle one costs
    no parser, and each request finds one that is ready."""

    __slots__ = ("_free", "_max_body_size", "_max_header_size")

    def __init__(self, max_header_size: int, max_body_size: int) -> None:
        """See `RequestParser`."""
        self._max_header_size = max_header_size
        self._max_body_size = max_body_size
        self._free: list[RequestParser] = []

    def take(self) -> RequestParser:
        """A parser that expects a request."""
        if self._free:
            return self._free.pop()
        return RequestParser(self._max_header_size, self._max_body_size)

    def give_back(self, parser: RequestParser) -> None:
        """The request of `parser` is complete, or did not begin."""
        if len(self._free) < _MOST_KEPT_PARSERS:
            parser.reset()
            self._free.append(parser)
        else:
            parser.release()

    def discard(self, parser: RequestParser) -> None:
        """The request of `parser` was broken off."""
        parser.release()
