"""The response of a WSGI application: a thread produces it, the loop sends it.

The thread puts its pieces down and asks the loop once to fetch them. The loop takes all that is there when it comes. So
a response that is complete by then is one write, and a long response flows at the pace of the client.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from threading import Condition, Lock
from time import monotonic
from types import TracebackType
from typing import Any, Protocol

from gracehttp.applications.wsgi import headers as checked
from gracehttp.applications.wsgi.file_wrapper import FileWrapper
from gracehttp.http.exchange import ClientDisconnected, Exchange, Header, ResponseError
from gracehttp.net.file_part import FilePart

# How much of a response may wait for the loop or for a slow client. With more, the thread waits too.
_HIGH_WATER_BYTES = 65536

_SILENCE_SECONDS = 30.0
"""How long an application may yield nothing but empty pieces for a client that has ended its half. Whether such a
client is gone shows only when something is sent to it."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class Calls(Protocol):
    """How the loop is asked to make a call: `LoopCalls` from another thread, `CallsAtOnce` on its own."""

    def post(self, call: Callable[[], object]) -> None:
        """Have the loop make `call`. Raises `RuntimeError` when the loop is closed."""


class WsgiResponse:
    """One response, and the `write` of PEP 3333.

    The methods of the first part are for the thread, those of the second for the loop.

    `_lock` guards what both touch: the pieces that the loop has not taken, how many bytes are not written yet, whether
    the loop was asked to come, the end, and the failure that the loop has met. There is none before the loop is asked
    to come while the application goes on (`at_once`): most responses are whole when the loop first hears of them, and
    stand in `_body`. `_room` is made when the thread has to wait for the first time.
    """

    __slots__ = (
        "_asked",
        "_bodiless",
        "_body",
        "_calls",
        "_cut",
        "_done",
        "_error",
        "_excess",
        "_exchange",
        "_failure",
        "_file",
        "_gave_up",
        "_headers",
        "_left",
        "_listed",
        "_lock",
        "_pieces",
        "_room",
        "_sent",
        "_silent_since",
        "_status",
        "_unwritten",
        "_waiter",
        "_waits",
        "_whole",
        "on_end",
    )

    _headers: list[Header]  # set with `_status`
    _pieces: list[bytes]  # set with `_lock`

    def begin(self, exchange: Exchange, calls: Calls, waits: bool) -> None:
        """In the place of `__init__`, for an object that `__new__` has made: compiled, it is a call in C.

        `waits`: the thread of the application may wait for the loop. It must not if it is the loop's own.
        """
        self._exchange = exchange
        self._calls = calls
        self.on_end: Callable[[], None] | None = None
        """Is called on the loop when the response is over."""
        self._waits = waits
        self._silent_since = 0.0  # since when only empty pieces came for a client that has ended its half; 0: not so
        self._status = 0
        self._sent = False  # the head is on its way and can't be changed any more
        self._bodiless = False
        self._cut = False  # the rest of the body was not asked for, since the response has none
        self._left = -1  # body bytes that Content-Length still promises; -1: it promises nothing
        self._excess = False  # the application gave more, which was left out
        self._listed = False  # the body is a list, and all of it
        self._gave_up = False  # nothing came for a client that is gone, as far as one can tell
        self._whole = False  # whatever went wrong, the response is not touched by it
        self._lock: Lock | None = None
        self._room: Condition | None = None
        self._body = b""
        self._file: FilePart | None = None  # behind the pieces; it is the last of the body
        self._unwritten = 0
        self._asked = False
        self._done = False
        self._error: BaseException | None = None
        self._failure: BaseException | None = None
        self._waiter: asyncio.Task[None] | None = None

    def at_once(self) -> bool:
        """The loop was not asked to come yet: all of the response is sent by `finish`."""
        return self._lock is None

    # --- on the thread of the application ---

    def start_response(
        self, status: str, headers: Iterable[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """The `start_response` of PEP 3333; returns its `write`, which is this object: most don't use it."""
        if exc_info is not None:
            try:
                if self._sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # breaks the cycle of frame and traceback, as PEP 3333 asks
        elif self._status:
            raise ResponseError("start_response was called a second time without exc_info")
        code = checked.status_code(status)
        self._headers = checked.wire_headers(headers)
        self._status = code
        self._bodiless = code == 204 or code == 304 or self._exchange.head.line.method == "HEAD"  # noqa: PLR1714  in C
        return self

    def __call__(self, data: bytes) -> None:
        """The `write` of PEP 3333. Raises `ClientDisconnected` when the client is gone, and `ResponseError` when `data`
        goes beyond Content-Length, after what was promised was sent."""
        if not _checked(data):
            return
        piece = self._promised(data)
        if piece and not self._send(piece):
            raise ClientDisconnected("the client disconnected before the whole response was sent")
        if self._excess:
            raise ResponseError("write() was given more bytes than Content-Length has promised")

    def send_all(self, body: Iterable[bytes]) -> None:
        """Send the iterable that the application returned, as far as Content-Length has promised it (PEP 3333,
        "Handling the Content-Length Header"). Stops early when the client is gone."""
        if not self.send_at_once(body):
            for piece in body:
                if not self.send_next(piece):
                    return

    def send_at_once(self, body: Iterable[bytes]) -> bool:
        """Send `body` as `send_all` does, if all of it is there: a list or a file. Else do nothing and return False."""
        if type(body) is list or type(body) is tuple:
            # `finish` will ask the loop to come, once for the whole response.
            if len(body) == 1 and type(body[0]) is bytes:
                whole = body[0]
            else:
                whole = b"".join([piece for piece in body if _checked(piece)])
            if whole:
                self._require_start()
                self._listed = not self._sent
                if self._listed:
                    self._sent = True  # `_write` holds it against Content-Length, which is known there
                else:
                    whole = self._promised(whole)
                if self._lock is None:
                    self._body = whole
                else:
                    with self._lock:
                        self._pieces.append(whole)
                        self._unwritten += len(whole)
            return True
        return type(body) is FileWrapper and self._send_file(body)

    def send_next(self, given: bytes) -> bool:
        """Send `given`, the next piece of the iterable. Returns False if no further one is to be asked for."""
        if not _checked(given):
            if self._exchange.disconnected:
                return False
            if self._exchange.half_closed:
                self._silent_since = self._silent_since or monotonic()
                if monotonic() - self._silent_since > _SILENCE_SECONDS:
                    self._gave_up = True
                    return False
            return True
        self._silent_since = 0.0
        piece = self._promised(given)
        if piece and not self._send(piece):
            return False
        if self._bodiless:
            self._cut = True  # or a HEAD request to an endless stream would never end
            return False
        return not self._excess

    def finish(self, error: BaseException | None, whole: bool) -> None:
        """The application is done, and `error` is what it raised. `whole`: it had given its whole response before. Must
        be called exactly once, at the end, or `finish_on_loop`."""
        if self._conclude(error, whole):
            try:  # noqa: SIM105  contextlib.suppress takes 2,500 instructions, a small request 60,000
                self._calls.post(self._flush)
            except RuntimeError:
                pass  # the loop is closed, and the process ends

    def finish_on_loop(self, error: BaseException | None, whole: bool) -> None:
        """As `finish`, on the thread of the loop, which sees that it runs."""
        if self._conclude(error, whole):
            self._flush()

    def _conclude(self, error: BaseException | None, whole: bool) -> bool:
        """Set the end. Returns whether the loop must be asked to come."""
        self._whole = whole and bool(self._status)
        if error is not None:
            if isinstance(error, ClientDisconnected):
                error = None  # not the application's fault, and the exchange knows it
        elif not self._status:
            error = ResponseError("the application returned without having called start_response")
        if self._lock is None:
            self._done = True
            self._error = error
            return True
        with self._lock:
            self._done = True
            self._error = error
            ask, self._asked = not self._asked, True
        return ask

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Let the loop send the rest of the file, if it can, and it pays. The thread need not wait for it."""
        rest = None
        if self._exchange.takes_files and not (self._sent or self._bodiless):
            rest = wrapper.rest_of_file()
        if rest is None or rest[2] <= _HIGH_WATER_BYTES:
            return False
        self._require_start()
        descriptor, offset, size = rest
        promised = _content_length(self._headers)
        if 0 <= promised < size:
            self._excess = True
            size = promised
        self._file = FilePart(os.dup(descriptor), offset, size)
        self._sent = True  # nothing was before, so the loop has not heard of it yet
        return True

    def _send(self, piece: bytes) -> bool:
        """Send `piece`, and wait until there is room for more. Returns False when the client is gone. Raises
        `ResponseError` if the response has ended."""
        if self._done:
            raise ResponseError("write() was called after the end of the response")
        if self._lock is None:
            self._pieces = [self._body] if self._body else []
            self._unwritten = len(self._body)
            self._lock = Lock()
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._pieces.append(piece)
            self._unwritten += len(piece)
            ask, self._asked = not self._asked, True
        if ask:
            self._calls.post(self._flush)
        if self._waits and self._unwritten > _HIGH_WATER_BYTES:
            with self._lock:
                self._room = self._room or Condition(self._lock)
                self._room.wait_for(lambda: self._unwritten <= _HIGH_WATER_BYTES)
        # A response that is complete here was ended by the exchange itself, such as 413 for a body that is too long.
        return not (self._exchange.disconnected or self._exchange.response_complete)

    def _promised(self, piece: bytes) -> bytes:
        """As much of `piece`, which has bytes, as Content-Length allows. From the first one on the head is fixed."""
        if not self._sent:
            self._require_start()
            self._sent = True
            if not self._bodiless:
                self._left = _content_length(self._headers)
        left = self._left
        if left < 0:
            return piece
        if len(piece) > left:
            self._excess = True
            piece = piece[:left]
        self._left = left - len(piece)
        return piece

    def _require_start(self) -> None:
        if not self._status:
            raise ResponseError("the application sent body bytes before it called start_response")

    # --- on the loop ---

    def _flush(self) -> None:
        """Send the pieces that are there. If the client reads too slowly, come again when there is room."""
        exchange = self._exchange
        if self._lock is None:  # and so the application is done
            data = self._body
            file, self._file = self._file, None
            done, error = True, self._error
        else:
            with self._lock:
                data = b"".join(self._pieces)
                self._pieces.clear()
                file, self._file = self._file, None
                done, error = self._done, self._error
                self._asked = done
        whole = error is None or self._whole
        if done and self._gave_up:
            exchange.give_up()
            self._over()
            return
        last = done and whole
        failure = self._write(data, last) if file is None else self._write_file(file, last)
        if done:
            if self._excess and whole:
                exchange.correct(
                    "content-length",
                    f"the application's body is longer than its Content-Length: {exchange.body_sent} bytes were sent as"
                    " promised, the rest is left out",
                )
            exchange.end(failure if error is None else error)  # an error may be false: one with a length of 0
            self._over()
        elif failure is not None or exchange.writable or exchange.disconnected:
            self._written(len(data), failure)
        else:
            assert self._lock is not None
            with self._lock:
                self._asked = True  # `_flush_later` comes without being asked
            self._waiter = asyncio.get_running_loop().create_task(self._flush_later(len(data)))

    def _over(self) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()

    def _write(self, data: bytes, last: bool) -> BaseException | None:
        """Give `data` to the exchange. Returns the error that it raises, if it does."""
        exchange = self._exchange
        if exchange.response_complete or exchange.disconnected or not (data or last):
            return None
        try:
            if not exchange.response_started:
                exchange.start_response(self._status, self._headers)
                if self._listed and 0 <= exchange.announced_length < len(data) and not self._bodiless:
                    self._excess = True
                    data = data[: exchange.announced_length]
            if self._cut and data and last:
                # The exchange must not tell the length of a body that was cut short (RFC 9110 section 8.6).
                exchange.write(data, True)
                data = b""
            exchange.write(data, not last)
        except Exception as exc:  # noqa: BLE001  raised into the application, or given to end()
            return exc
        return None

    def _write_file(self, file: FilePart, last: bool) -> BaseException | None:
        """As `_write`. It is the whole body."""
        exchange = self._exchange
        if exchange.response_complete or exchange.disconnected:
            file.close()
            return None
        try:
            exchange.start_response(self._status, self._headers)
        except Exception as exc:  # noqa: BLE001  as in `_write`
            file.close()
            return exc
        try:
            exchange.write_file(file, not last)
        except Exception as exc:  # noqa: BLE001  as in `_write`
            return exc
        return None

    def _written(self, size: int, failure: BaseException | None = None) -> None:
        assert self._lock is not None
        with self._lock:
            self._unwritten -= size
            self._failure = self._failure or failure
            if self._room is not None:
                self._room.notify()

    async def _flush_later(self, size: int) -> None:
        await self._exchange.wait_until_writable()
        self._written(size)
        self._flush()


def _content_length(headers: list[Header]) -> int:
    """-1 if there is none, or none that could be sent: the exchange refuses it."""
    value = dict(headers).get(b"content-length", b"")
    return int(value) if value.isdigit() else -1


def _checked(piece: Any) -> bool:
    """Whether `piece` has any bytes. Raises `ResponseError` if it isn't bytes."""
    if not isinstance(piece, bytes):
        raise ResponseError(f"a piece of the body must be bytes, not {type(piece).__name__}")
    return bool(piece)
