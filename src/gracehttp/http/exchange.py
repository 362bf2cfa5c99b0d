"""One request and its response, whatever the protocol that carries them: what ASGI and WSGI are written against.

`Exchange` keeps the rules that a response has in every version of HTTP (RFC 9110). A protocol carries it: it is a
`Carrier`, which writes heads and bodies in its own way and knows nothing of the application. All methods are for the
thread of the event loop.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeVarTuple, Unpack

from gracehttp.http import fields as checked
from gracehttp.http.body import RequestBody
from gracehttp.http.fields import ResponseError, ResponseFields, trailer_fields
from gracehttp.http.head import Header, RequestHead
from gracehttp.http.request_counter import RequestCounter
from gracehttp.net import system_calls
from gracehttp.net.file_part import FilePart

if TYPE_CHECKING:
    from gracehttp.http.connection import MakeProtocol

__all__ = [
    "Carrier",
    "ClientDisconnected",
    "Exchange",
    "ExchangeObserver",
    "Header",
    "RequestFinished",
    "RequestHandler",
    "RequestHead",
    "ResetReason",
    "ResponseError",
]

_ENDS_WITH_HEAD = (204, 304)
"""Neither content nor trailers come behind it (RFC 9110 sections 15.3.5 and 15.4.5)."""


class ResetReason(enum.IntEnum):
    """Why an exchange ends before it is complete: the error codes of RFC 9113 section 7 that one side can give.

    HTTP/1.1 has no words for them: there the connection ends.
    """

    NO_ERROR = 0
    INTERNAL_ERROR = 2
    REFUSED_STREAM = 7
    CANCEL = 8


class ClientDisconnected(ConnectionError):
    """The client is gone: nothing more can be read from it or written to it.

    Raised into the application, which may let it pass. It is an OSError because ASGI wants one and frameworks know it
    (Django makes UnreadablePostError of it).
    """


class Carrier:
    """The protocol under an exchange. A class, because compiled code needs no look-up for it."""

    __slots__ = ()

    @property
    def takes_files(self) -> bool:
        """Whether `send_file` can be used."""
        raise NotImplementedError

    def body_wanted(self, exchange: Exchange) -> None:
        """The application asks for body bytes, and none are there. May send 100 (Continue)."""
        raise NotImplementedError

    def body_taken(self, exchange: Exchange) -> None:
        """The application has taken all body bytes that had arrived."""
        raise NotImplementedError

    def send_interim(self, exchange: Exchange, status: int, fields: ResponseFields) -> None:
        """Send an interim response (RFC 9110 section 15.2)."""
        raise NotImplementedError

    def send_head(self, exchange: Exchange, data: bytes, end: bool) -> None:
        """Send the head and, right behind it, the first bytes of the body; `end`: that is all of the response.

        `exchange` has `status`, `fields`, `announced_length` and `bodyless`.
        """
        raise NotImplementedError

    def send_body(self, exchange: Exchange, data: bytes, end: bool) -> None:
        """Send more bytes of the body."""
        raise NotImplementedError

    def send_file(self, exchange: Exchange, part: FilePart, end: bool) -> None:
        """As `send_body`, with a part of a file, which the carrier closes. Only if `takes_files`."""
        raise NotImplementedError

    def send_trailers(self, exchange: Exchange, fields: ResponseFields) -> None:
        """End the response with trailer fields, if the client can be sent some."""
        raise NotImplementedError

    def response_completed(self, exchange: Exchange) -> None:
        """The last byte of the response was sent. Comes once, unless `cut` does."""
        raise NotImplementedError

    def cut(self, exchange: Exchange, reason: ResetReason) -> None:
        """End the exchange in the middle of its response, so that the client can tell that it isn't whole."""
        raise NotImplementedError

    def upgrade(self, exchange: Exchange, fields: ResponseFields, make: MakeProtocol, *, finished: bool = True) -> None:
        """Let another protocol take over behind the request; see `Exchange.upgrade`."""
        raise NotImplementedError


class RequestHandler:
    """What requests are given to, for compiled code, which needs no look-up for it. See `http.handler.Handler`."""

    __slots__ = ()

    def handle(self, exchange: Exchange) -> None:
        """As that of `Handler`."""
        raise NotImplementedError


RequestFinished = Callable[[RequestHead, int, int, float], None]
"""Takes the head, the status (0: the client was gone before there was one), the bytes of body sent, the seconds.

It is told of refused requests, too; see `RefusedHead`."""


class ExchangeObserver(Protocol):
    """What hears how exchanges end: the worker. Must not raise."""

    request_finished: RequestFinished | None
    """For the access log and what counts; None costs nothing."""

    def application_failed(self, head: RequestHead, error: BaseException) -> None:
        """The application raised `error`."""

    def response_broken(self, head: RequestHead, reason: str) -> None:
        """The application did not keep the rules of a response, such as a body shorter than its Content-Length."""

    def response_corrected(self, head: RequestHead, kind: str, reason: str) -> None:
        """The server left out a part of what the application gave, and the client has a whole response. To be told once
        for each `kind`: an application does so again and again."""


Told = TypeVarTuple("Told")


def tell(loop: asyncio.AbstractEventLoop, observe: Callable[[Unpack[Told]], None], *facts: *Told) -> None:
    """Call one of an observer's functions. It must not raise; but behind it are handlers and filters of logs, which
    others write, and a connection that is left in the middle of its work has no deadline."""
    try:
        observe(*facts)
    except Exception as error:  # noqa: BLE001  whatever it is
        loop.call_exception_handler({"message": "an observer of requests raised", "exception": error})


class Exchange:
    """One request being answered. The application gets it from `Application.handle` and owes it `end()`.

    Of the final response, from `start_response` on:

    - `fields`.
    - `announced_length`: the length of the body that the head tells; -1 if it is not known yet.
    - `bodyless`: it has no body, whatever the application sends: HEAD, 204, 304 (RFC 9110 section 6.4.1).
    """

    fields: ResponseFields
    announced_length: int
    bodyless: bool
    _left: int  # body bytes that Content-Length still asks for; -1: it asks for none
    _trailers_follow: bool

    __slots__ = (
        "_blamed",
        "_body_open",
        "_carrier",
        "_left",
        "_loop",
        "_observer",
        "_trailers_follow",
        "_waiters",
        "announced_length",
        "application_ended",
        "awaits_continue",
        "body",
        "body_length",
        "body_sent",
        "bodyless",
        "disconnected",
        "fields",
        "half_closed",
        "head",
        "head_sent",
        "reset_reason",
        "response_complete",
        "response_started",
        "started_at",
        "status",
        "timed_out",
        "when_gone",
        "writable",
    )

    def begin(
        self,
        head: RequestHead,
        body: RequestBody,
        carrier: Carrier,
        observer: ExchangeObserver,
        loop: asyncio.AbstractEventLoop,
        body_length: int | None,
        awaits_continue: bool,
        writable: bool,
    ) -> None:
        """Comes first, and sets the attributes. No `__init__`: this is a call in C where it is compiled."""
        self.body = body
        self._carrier = carrier
        self._observer = observer
        self._loop = loop
        # Not loop.time(): uvloop reads the clock once per turn of the loop, to a millisecond, and that takes as long.
        self.started_at = system_calls.monotonic()
        """When the head of the request was complete, by `system_calls.monotonic`."""
        self._body_open = False  # body bytes of the response may be written
        self._blamed = False  # the application broke a rule, and was told
        self._waiters: Waiters | None = None
        self.head = head
        self.body_length = body_length
        """The length of the request body in bytes, as far as it is known beforehand: 0 without one, None if unknown."""
        self.awaits_continue = awaits_continue
        """Whether the client waited for `100 Continue` before it sends the body, when the exchange began."""
        self.status = 0
        self.body_sent = 0
        """Body bytes of the response that were given to the protocol."""
        self.response_started = False
        """`start_response` was called."""
        self.head_sent = False
        self.response_complete = False
        """The last byte of the response was given to the protocol."""
        self.disconnected = False
        """The client is gone: nothing that is written reaches it."""
        self.half_closed = False
        """The client has ended its half of the connection. It may be gone, or listen still: what is written is sent."""
        self.application_ended = False
        """The application is done with it: `end` or `give_up` was called."""
        self.timed_out = False
        """`time_out` has ended it."""
        self.when_gone: Callable[[Exchange], None] | None = None
        """Is called when `disconnected` becomes true. It must not raise."""
        self.reset_reason: int | None = None
        """The error code with which the client has reset the exchange, if it has given one (RFC 9113 section 7)."""
        self.writable = writable
        """False while the client reads too slowly: write nothing more before `wait_until_writable` returns."""

    # --- the request body ---

    @property
    def trailers(self) -> Sequence[Header]:
        """The trailer fields of the request, names in lower case; there are none before the end of the body was taken
        (RFC 9110 section 6.5)."""
        return self.body.trailers

    def take_body(self) -> tuple[bytes, bool] | None:
        """All body bytes that have arrived and were not taken yet, and whether more will come.

        None when there is nothing to take at the moment but more is expected: await `wait_for_input`. After the end
        was taken: `(b"", False)`. The first call sends `100 Continue` if the client waits for it (RFC 9110 10.1.1).
        Taking makes room: the connection reads on.
        """
        taken = self.body.take()
        if taken is None:
            if not self.response_complete and not self.disconnected:
                self._carrier.body_wanted(self)
        elif taken[1] or taken[0]:
            self._carrier.body_taken(self)
        return taken

    async def wait_for_input(self) -> None:
        """Until body bytes or the end of the body arrived, or the client is gone, or the response is complete."""
        body = self.body
        while not (body.buffered or body.complete or self.disconnected or self.response_complete):
            await self._wait()

    async def wait_for_disconnect(self) -> None:
        """Until the client is gone, or may be (`half_closed`), or the response is complete."""
        while not (self.disconnected or self.half_closed or self.response_complete):
            await self._wait()

    async def _wait(self) -> None:
        """Until something has changed."""
        if self._waiters is None:
            self._waiters = Waiters(self._loop)
        await self._waiters.wait()

    # --- the response ---

    def send_interim(self, status: int, headers: Iterable[Header]) -> None:
        """Send an interim response before the final one (RFC 9110 section 15.2), such as 103 (RFC 8297).

        Raises `ResponseError` after `start_response`, and for 100 and 101, which are the server's. Does nothing when
        the client is gone or can't be sent one.
        """
        if self.response_started:
            raise ResponseError("an interim response comes before the final one is started")
        if not isinstance(status, int) or not 102 <= status <= 199:
            raise ResponseError(f"{status!r} is no status of an interim response")
        fields = ResponseFields(headers)
        if not self.disconnected:
            self._carrier.send_interim(self, status, fields)

    def start_response(self, status: int, headers: Iterable[Header], trailers: bool = False) -> None:
        """Set status and header fields of the final response; they are sent together with the first body bytes.

        `trailers`: the response ends with `send_trailers`, after the last body bytes.

        Raises `ResponseError` when called twice, or when a name or value can't stand in a header.
        """
        if self.response_started:
            raise ResponseError("the response was started already")
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise ResponseError(f"{status!r} is no status of a final response")
        if self.head.echoed is None:
            self.fields = fields = checked.response_fields(headers)
        else:
            self.fields = fields = ResponseFields(headers)  # of this response alone
            fields.add(self.head.echoed)
        if fields.dropped is not None:
            self._tell_dropped(fields.dropped)
        self.status = status if type(status) is int else int(status)  # observers get no enum of the application
        self._trailers_follow = trailers
        self.announced_length = fields.content_length
        self.bodyless = status == 204 or status == 304 or self.head.line.method == "HEAD"  # noqa: PLR1714  numbers in C
        if self.status == 205:  # no content either, but a length (RFC 9110 section 15.3.6)
            self.bodyless = True
            self.announced_length = 0
        self._left = -1 if self.bodyless else fields.content_length
        self.response_started = self._body_open = True

    def write(self, data: bytes, more: bool) -> None:
        """Send body bytes; `more=False` ends the body, and the response unless trailers follow. Never blocks: look at
        `writable` afterwards.

        Raises `ResponseError` before `start_response`, after the end, and when the body doesn't have the length that
        its Content-Length said; in the last case the connection is closed after what was sent. Does nothing when the
        client is gone.
        """
        if self.disconnected:
            return
        if not self._body_open:
            raise ResponseError(self._why_not_now())
        if type(data) is not bytes:
            data = _as_bytes(data)
        if self._left >= 0:
            # Held against Content-Length before any byte that breaks it is sent.
            self._left -= len(data)
            if self._left and (self._left < 0 or not more):
                self._blame_length()
        end = not more and (not self._trailers_follow or self.status in _ENDS_WITH_HEAD)
        if not more:
            self._body_open = False
        if not self.head_sent:
            if self.bodyless or (end and self.announced_length < 0):
                data = self._announce(data, end)
            self.head_sent = True
            self.body_sent = len(data)
            self._carrier.send_head(self, data, end)
        elif end or (data and not self.bodyless):
            if self.bodyless:
                data = b""
            self.body_sent += len(data)
            self._carrier.send_body(self, data, end)
        if end:
            self.response_complete = True
            if self._waiters is not None:
                self._waiters.wake()
            self._carrier.response_completed(self)

    @property
    def takes_files(self) -> bool:
        """Whether `write_file` can be used: the bytes of the body go to the client as they are."""
        return self._carrier.takes_files

    def write_file(self, part: FilePart, more: bool) -> None:
        """As `write`, with a part of a file, which is closed in any case. Only if `takes_files`.

        If the file becomes shorter before all of it is sent, the client can tell that bytes are missing.
        """
        size = len(part)
        if self.disconnected or (self.bodyless and self._body_open):
            part.close()
            if not (self.disconnected or more or self.announced_length >= 0 or self.status in _ENDS_WITH_HEAD):
                self.announced_length = size  # the length that GET would have (RFC 9110 section 8.6)
            self.write(b"", more)
            return
        end = not more and not self._trailers_follow
        try:
            self._account_for(size, more)
            if not self.head_sent:
                if end and self.announced_length < 0:
                    self.announced_length = size  # the whole body is here
                self.head_sent = True
                self._carrier.send_head(self, b"", False)
        except BaseException:
            part.close()
            raise
        self._body_open = more
        self.body_sent += size
        self._carrier.send_file(self, part, end)
        if end:
            self.response_complete = True
            self._wake()
            self._carrier.response_completed(self)

    def _account_for(self, size: int, more: bool) -> None:
        """Hold `size` body bytes against Content-Length before any byte that breaks it is sent."""
        if not self._body_open:
            raise ResponseError(self._why_not_now())
        if self._left >= 0:
            self._left -= size
            if self._left and (self._left < 0 or not more):
                self._blame_length()

    async def wait_until_writable(self) -> None:
        """Until all that was written is with the kernel, or the client is gone, or the response is complete."""
        while not (self.writable or self.disconnected or self.response_complete):
            await self._wait()

    def send_trailers(self, headers: Iterable[Header]) -> None:
        """End a response that was started with `trailers`, after its body.

        Raises `ResponseError` otherwise, and for fields that can't be trailers (RFC 9110 section 6.5.1). Trailers are
        dropped if the protocol, the status or the framing of the body has no place for them. Does nothing when the
        client is gone.
        """
        fields = trailer_fields(headers)
        if self.disconnected:
            return
        if self.response_complete and self._trailers_follow and self.status in _ENDS_WITH_HEAD:
            self._trailers_follow = False
            return
        if (
            not self.response_started
            or not self._trailers_follow
            or self._body_open
            or self._blamed
            or self.response_complete
        ):
            raise ResponseError("trailers come after the body of a response that was started with them")
        self._carrier.send_trailers(self, fields)
        self.response_complete = True
        self._wake()
        self._carrier.response_completed(self)

    def _announce(self, data: bytes, end: bool) -> bytes:
        """Set the length that the head tells, if it can be known; returns the body bytes that go with the head."""
        if not self.bodyless:
            self.announced_length = len(data)  # the whole body is here
            return data
        # HEAD without body bytes tells nothing about the length that GET would have.
        if end and data and self.announced_length < 0 and self.status not in _ENDS_WITH_HEAD:
            self.announced_length = len(data)
        return b""

    def _why_not_now(self) -> str:
        if not self.response_started:
            return "body bytes before the response was started"
        if self._blamed:
            return "body bytes after the body had more or less than its Content-Length"
        return "body bytes after the end of the body"

    def _blame_length(self) -> NoReturn:
        """The body has more or less than its Content-Length."""
        length = self.fields.content_length
        sent = length - self._left
        wrong = f"{sent} bytes or more" if self._left < 0 else f"only {sent} bytes"
        reason = f"the body has {wrong}, its Content-Length said {length}"
        self._blamed = True
        self._body_open = False
        tell(self._loop, self._observer.response_broken, self.head, reason)
        if self.head_sent:
            self._carrier.cut(self, ResetReason.INTERNAL_ERROR)
        raise ResponseError(reason)

    def _tell_dropped(self, field: Header) -> None:
        name, value = (part.decode("latin-1") for part in field)
        self.correct(
            name.lower(),
            f"the application's field {name}: {value} is left out: it is about the connection, which is the server's",
        )

    def correct(self, kind: str, reason: str) -> None:
        """Tell the worker that a part of the response is left out: see `ExchangeObserver.response_corrected`."""
        tell(self._loop, self._observer.response_corrected, self.head, kind, reason)

    def upgrade(self, fields: ResponseFields, make: MakeProtocol) -> None:
        """Answer 101 with `fields`, and let the protocol that `make` gives take over (RFC 9110 section 7.8).

        The request must be whole, and its response not begun. The exchange is over then, and `finished` is owed to the
        worker by the protocol that takes over.
        """
        if self.head.echoed is not None:
            fields.add(self.head.echoed)
        self._carrier.upgrade(self, fields, make, finished=False)

    # --- the end ---

    def failed(self, error: BaseException) -> None:
        """Tell the worker that the application raised `error` when another protocol had taken over."""
        tell(self._loop, self._observer.application_failed, self.head, error)

    def end(self, error: BaseException | None = None) -> None:
        """The application is done. Must be called exactly once, or `give_up`; with what it raised, if it raised.

        If the response is not complete: before it started the client gets 500; afterwards the exchange is cut, so that
        the client can tell that the answer is not whole (RFC 9112 section 8). If the client has all of its body
        already, nothing is cut. `error` is logged with its traceback.
        """
        self.application_ended = True
        if error is not None and not (self._blamed and isinstance(error, ResponseError)):  # that was told already
            tell(self._loop, self._observer.application_failed, self.head, error)
        if self.response_complete or self.disconnected:
            return
        if error is None and not self._blamed:
            what = "its response was complete" if self.response_started else "it had sent anything"
            reason = f"the application ended before {what}"
            tell(self._loop, self._observer.response_broken, self.head, reason)
        if self.head_sent:
            if self._body_open and (self.bodyless or not self._left) and not self._trailers_follow:
                self.write(b"", False)
            else:
                self._carrier.cut(self, ResetReason.INTERNAL_ERROR)
            return
        self._blamed = self.response_started = False
        self.start_response(500, [(b"content-type", b"text/plain; charset=utf-8")])
        self.write(b"Internal Server Error\n", False)

    def give_up(self) -> None:
        """The application is done, and has not completed the response because it was told of `half_closed`: as `end`,
        and the application is not to blame."""
        self.application_ended = True
        if not (self.response_complete or self.disconnected):
            self._carrier.cut(self, ResetReason.CANCEL)

    def refuse(self, reason: str) -> None:
        """The application has not begun, and never will: answer 503. In place of `end`."""
        self.application_ended = True
        if self.response_complete or self.disconnected:
            return
        tell(self._loop, self._observer.response_broken, self.head, reason)
        fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"1"), (b"connection", b"close")]
        self.start_response(503, fields)
        self.write(b"Service Unavailable\n", False)

    def time_out(self, seconds: float) -> None:
        """The application has taken longer than `seconds`: answer 503 if the response has not begun, else cut it. For
        the application it is from now on as if the client were gone. Does nothing after the end of the response."""
        if self.response_complete or self.disconnected:
            return
        self.timed_out = True
        self._blamed = True
        reason = f"the application takes longer than {seconds:g} s (request_timeout)"
        tell(self._loop, self._observer.response_broken, self.head, reason)
        if self.head_sent:
            self._carrier.cut(self, ResetReason.INTERNAL_ERROR)
        else:
            self.response_started = False
            self.start_response(503, [(b"content-type", b"text/plain; charset=utf-8")])
            self.write(b"Service Unavailable\n", False)
        if not self.disconnected:
            self.disconnect()

    # --- the protocol's side ---

    @property
    def age_seconds(self) -> float:
        """How long ago the head of the request was complete."""
        return system_calls.monotonic() - self.started_at

    def body_arrived(self) -> None:
        """The protocol has put something into the request body, or its end."""
        self._wake()

    def set_writable(self, writable: bool) -> None:
        """The stream has too much to send, or room again."""
        self.writable = writable
        if writable:
            self._wake()

    def half_close(self) -> None:
        """The client has ended its half of the connection behind the request: wake what waits for that."""
        self.half_closed = True
        self._wake()

    def disconnect(self, reason: int | None = None) -> None:
        """Nothing reaches the client from now on: wake what waits for it. `reason`: see `reset_reason`."""
        self.disconnected = True
        self.reset_reason = reason
        self._wake()
        if self.when_gone is not None:
            self.when_gone(self)

    def finished(self, status: int) -> bool:
        """Tell the worker of the exchange, with the status that the client was sent (0: none). False if it does not
        want to hear of any."""
        request_finished = self._observer.request_finished
        if request_finished is None:
            return False
        if type(request_finished) is RequestCounter:
            counter = request_finished
            counter.count(self.head.line.method, status, self.body_sent, system_calls.monotonic() - self.started_at)
            request_finished = counter.then
        if request_finished is not None:
            if self.head_sent and not self.response_complete:
                self.head.mark_cut()
            tell(self._loop, request_finished, self.head, status, self.body_sent, self.age_seconds)
        return True

    def _wake(self) -> None:
        if self._waiters is not None:
            self._waiters.wake()


class Waiters:
    """Coroutines that wait for the same thing. Each has its own future, so that a cancelled one disturbs no other."""

    __slots__ = ("_futures", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._futures: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until the next `wake`."""
        future = self._loop.create_future()
        self._futures.append(future)
        try:
            await future
        finally:
            if future in self._futures:  # cancelled: wake did not come
                self._futures.remove(future)

    def future(self) -> asyncio.Future[None]:
        """One that the next `wake` completes, for callers that need no coroutine around it."""
        if self._futures:  # of those that were cancelled each would wait for a wake that may never come
            self._futures = [one for one in self._futures if not one.done()]
        future = self._loop.create_future()
        self._futures.append(future)
        return future

    def wake(self) -> None:
        """Let all that wait now go on."""
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.done():
                future.set_result(None)


def _as_bytes(data: object) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ResponseError(f"the body must be bytes, not {type(data).__name__}")
