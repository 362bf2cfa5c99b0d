"""One HTTP request to an ASGI application: its scope, and its messages in both directions.

https://asgi.readthedocs.io/en/latest/specs/www.html. `send` raises an OSError when the client is gone, as format 2.4
has it. Yet the scope says 2.3: from 2.4 on, Starlette's streaming responses learn of that by `send` alone, and a stream
that has nothing to send would go on without a client.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any, cast

from gracehttp.applications import interpreter_calls
from gracehttp.applications.asgi.files import send_open_file, send_path
from gracehttp.applications.asgi.mistakes import explained, nothing_sent
from gracehttp.applications.asgi.types import Message, Receive, Scope, Send
from gracehttp.http.exchange import ClientDisconnected, Exchange, Header, ResponseError
from gracehttp.http.head import RequestHead, RequestLine

if TYPE_CHECKING:
    from gracehttp.applications.asgi.application import AsgiApplication


_ASGI = {"version": "3.0", "spec_version": "2.3"}


class RequestCycle:
    """One call of the application. `receive` and `send` are what the application gets."""

    __slots__ = (
        "_application",
        "_body_taken",
        "_exchange",
        "_gone",
        "_receives",
        "_told",
        "_trailers",
        "begun",
        "ended",
        "waits",
    )

    def begin(self, application: AsgiApplication, exchange: Exchange) -> None:
        """In the place of `__init__`, for an object that `__new__` has made: compiled, it is a call in C."""
        self._application = application
        self._exchange = exchange
        self._body_taken = False
        self._told = False  # that the client is gone
        self._receives = False  # or has waited in `receive` for the end
        self._gone = False  # a message was dropped because the client is gone
        self._trailers: tuple[Header, ...] = ()
        self.begun = False
        self.waits = False
        """The call was not over after its first steps, and so the application has it among those that run."""
        self.ended = False
        """The call of the application is over."""

    async def run(self) -> None:  # noqa: PLR0912  interpreted, each function beside it would take time of each request
        """Await the application, and end the exchange with what it raised.

        SystemExit and KeyboardInterrupt end the request, not the worker: a task that raises them would end the loop,
        and with it all other requests.
        """
        self.begun = True
        application = self._application
        exchange = self._exchange
        head = exchange.head
        # Applications may change all of it, so that each request needs its own dictionaries, those within others too.
        scope: Scope = _new_scope(head)
        scope["headers"] = head.headers
        given: Given | None = None
        if interpreter_calls.IN_C and head.tls is None and not head.line.http10:
            given = _give(application, scope)
        else:
            scope["asgi"] = _ASGI.copy()
            scope["state"] = application.state.copy()
            # `extensions` has the same names. Written out, it takes half of what a loop over them does.
            if head.line.http10:
                scope["extensions"] = {
                    "gracehttp.drain": {},
                    "http.response.pathsend": {},
                    "http.response.zerocopysend": {},
                }
            else:
                scope["extensions"] = {
                    "gracehttp.drain": {},
                    "http.response.pathsend": {},
                    "http.response.zerocopysend": {},
                    "http.response.early_hint": {},
                    "http.response.trailers": {},
                }
            if head.tls is not None:
                head.tls.add_to(scope["extensions"])
        receive: Receive
        send: Send
        if interpreter_calls.IN_C:
            receive, send = interpreter_calls.bound(_receive, self), interpreter_calls.bound(_send, self)
        else:
            receive, send = self.receive, self.send
        try:
            # mypy: an application returns None, unless its author took it for another kind.
            returned: object = await application.app(scope, receive, send)  # type: ignore[func-returns-value]
        except asyncio.CancelledError as error:
            self.finish(error)
            raise
        except BaseException as error:
            if is_taken_down(error):
                raise
            self.finish(error)
        else:
            self.ended = True
            if self.waits:
                application.finished(self)
            if given is not None:
                del scope  # it refers to them
                _take_back(application, given)
            if self._told:
                exchange.give_up()
            elif returned is not None and not exchange.response_started:
                exchange.end(nothing_sent(returned))
            else:
                exchange.end()

    def finish(self, error: BaseException) -> None:
        """End the exchange with `error`, which the application raised, unless the client's departure explains it."""
        self.ended = True
        self._application.finished(self)
        exchange = self._exchange
        if self._told and _is_disconnect(error):
            exchange.give_up()
        elif exchange.disconnected and is_explained(error, exchange.timed_out or self._application.cancelled):
            exchange.end()
        else:
            exchange.end(error)

    def time_out(self, seconds: float) -> bool:
        """End the exchange if it is older than `seconds`; tells whether that was so."""
        exchange = self._exchange
        if exchange.age_seconds < seconds or exchange.response_complete or exchange.disconnected:
            return False
        exchange.time_out(seconds)
        return True

    async def receive(self) -> Message:
        """The next piece of the request body.

        After the end of the body it waits, and returns `http.disconnect` when the client has ended its half, is gone,
        or has the whole response. In the first case what is sent afterwards still reaches a client that listens.
        """
        exchange = self._exchange
        while not (exchange.disconnected or exchange.response_complete):
            if self._body_taken:
                self._receives = True
                await exchange.wait_for_disconnect()
                break
            taken = exchange.take_body()
            if taken is not None:
                body, more = taken
                self._body_taken = not more
                return {"type": "http.request", "body": body, "more_body": more}
            await exchange.wait_for_input()
        self._told = True
        return {"type": "http.disconnect"}

    async def _send_later(self, message: Message) -> None:
        await self.send(message)

    def send(self, message: Message) -> Awaitable[None]:
        """Pass `message` on. To be awaited: until the client has read enough to be sent more, and for errors.

        They are `ClientDisconnected` when the client is gone, and `ResponseError` for a message that is unknown, out of
        order or malformed. In a thread that isn't the loop's nothing is done before the loop awaits it: see
        `asyncio.run_coroutine_threadsafe`.
        """
        if interpreter_calls.thread() != self._application.thread:
            return self._send_later(message)
        exchange = self._exchange
        try:
            if exchange.disconnected:
                return self._tell_gone()
            given = message if type(message) is dict else dict(message)
            kind = given.get("type")
            if kind == "http.response.body":
                exchange.write(given.get("body", b""), given.get("more_body", False))
                if not exchange.writable:
                    return self._wait_until_writable()
            elif kind == "http.response.start":
                status = given.get("status")
                if status is None:
                    raise ResponseError("http.response.start has no status")  # noqa: TRY301  all go one way
                if given.get("trailers"):
                    exchange.start_response(status, given.get("headers", ()), True)
                else:
                    exchange.start_response(status, given.get("headers", ()))
            elif kind == "http.response.trailers":
                self._trailers += tuple(given.get("headers", ()))
                if not given.get("more_trailers", False):
                    exchange.send_trailers(self._trailers)
            elif kind == "http.response.early_hint":
                exchange.send_interim(103, [(b"link", link) for link in given.get("links", ())])
            elif kind == "http.response.pathsend":
                return send_path(exchange, given)
            elif kind == "http.response.zerocopysend":
                return send_open_file(exchange, given)
            else:
                reason = f"{kind!r} is no message that can be sent in answer to a request"
                raise ResponseError(reason)  # noqa: TRY301  all go one way
        except Exception as error:  # noqa: BLE001  whatever it is, it belongs where the application awaits it
            return _raise(explained(error, message))
        return _SENT

    async def _wait_until_writable(self) -> None:
        exchange = self._exchange
        await exchange.wait_until_writable()
        if exchange.disconnected:
            await self._tell_gone()

    async def _tell_gone(self) -> None:
        """Raise `ClientDisconnected`, but not at once where the application waits in `receive`: frameworks then cancel
        what sends, in the place where it waits next. That ends its generators at once, while an error leaves them to
        the garbage collector."""
        if self._receives and not self._gone:
            self._gone = True
            return
        raise ClientDisconnected("the client is gone")


_receive: Any = vars(RequestCycle)["receive"]
_send: Any = vars(RequestCycle)["send"]
# For libraries that ask whether `send` is an async function, by asyncio or, from CPython 3.12 on, by inspect (asgiref).
_send._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", True)
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(_send)


class Given:
    """The dictionaries of a scope, beside the scope itself. If the application has neither kept nor changed any of them
    when its call is over, a later scope gets the same ones: to find that out takes less than to make new ones.
    Otherwise nothing here refers to them any more: what an application has put into them lives no longer than its call.
    """

    __slots__ = ("asgi", "extensions", "state")

    def __init__(self, state: dict[str, Any]) -> None:
        """`state` is that of the application, of which each scope gets a copy."""
        self.asgi: dict[str, Any] = _ASGI.copy()
        self.state: dict[str, Any] = state.copy()
        self.extensions: dict[str, dict[str, Any]] = {
            "gracehttp.drain": {},
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
            "http.response.early_hint": {},
            "http.response.trailers": {},
        }

    def fit(self, state: dict[str, Any]) -> bool:
        """Whether they, which were free, are still what a scope gets."""
        own = self.state
        return interpreter_calls.is_free_copy(own, state)

    def are_free(self, state: dict[str, Any]) -> bool:
        """Whether no other object refers to one of them, and they are as they were made."""
        asgi, own, extensions = self.asgi, self.state, self.extensions
        return (
            interpreter_calls.is_free_copy(own, state)
            and interpreter_calls.is_free_copy(asgi, _ASGI)
            and interpreter_calls.is_free_of_dicts(extensions, _EXTENSIONS)
        )


_EXTENSIONS = (
    "gracehttp.drain",
    "http.response.pathsend",
    "http.response.zerocopysend",
    "http.response.early_hint",
    "http.response.trailers",
)


def _give(application: AsgiApplication, scope: Scope) -> Given:
    """Complete `scope` with dictionaries that no other one has. `_take_back` follows if the call ends well."""
    given = application.given
    application.given = None
    if given is None or not given.fit(application.state):
        given = Given(application.state)
    scope["asgi"] = given.asgi
    scope["state"] = given.state
    scope["extensions"] = given.extensions
    return given


def _take_back(application: AsgiApplication, given: Given) -> None:
    """The call of the application is over, and the scope was forgotten here."""
    if given.are_free(application.state):
        application.given = given


class Sent:
    """What there is to await when a message is with the stream: nothing. It is a coroutine for applications that want
    one (`collections.abc.Coroutine`), of which one object will do for all, as it does nothing."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return _NOTHING

    def send(self, value: object) -> None:
        """It has returned already."""
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> None:
        """As a coroutine that was not begun: raise what was thrown."""
        raise kind if value is None else value

    def close(self) -> None:
        """Nothing is open."""


_NOTHING = cast("Generator[Any, Any, None]", iter(()))
_SENT = Sent()


async def _raise(error: Exception) -> None:
    try:
        raise error
    finally:
        del error  # breaks the circle of the error and this frame


def _new_scope(head: RequestHead) -> dict[str, Any]:
    """A scope with what it says of the request line and of the connection, and with room for the rest: to copy one
    takes less than to make another one."""
    line, kept = head.line, head.kept
    if kept is not None:
        found = kept.derived
        if found is not None and found[0] is line:
            known: dict[str, Any] = found[1]
            return known.copy()
    template = line.derived
    if template is None:
        template = line.derived = _scope_of_line(line)
    scope = template.copy()
    scope["scheme"] = head.scheme
    scope["client"] = head.client
    scope["server"] = head.server
    if kept is not None and kept.derived is None:
        kept.derived = (line, scope.copy())
    return scope


def _scope_of_line(line: RequestLine) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": None,
        "http_version": line.http_version,
        "method": line.method,
        "scheme": None,
        "path": line.path,
        "raw_path": line.raw_path,
        "query_string": line.query_string,
        "root_path": line.root_path,
        "headers": None,
        "client": None,
        "server": None,
        "state": None,
        "extensions": None,
    }


def is_taken_down(error: BaseException) -> bool:
    """Whether no application has raised `error`, but the interpreter ends, and with it each coroutine that waits (PEP
    342). The loop of its connection has ended already."""
    return type(error) is GeneratorExit and asyncio._get_running_loop() is None


def is_explained(error: BaseException, cancelled: bool) -> bool:
    """Whether the application has raised `error` because its client is gone, or because the server has `cancelled`
    it."""
    return (cancelled and isinstance(error, asyncio.CancelledError)) or _is_disconnect(error)


def _is_disconnect(error: BaseException) -> bool:
    """Whether `error` says only that the client is gone.

    That is our own `ClientDisconnected`, a group of nothing else, or the framework's word for it: Starlette raises
    `ClientDisconnect` while it handles ours. An error of another name may be the fault of a handler, and is reported.
    """
    if isinstance(error, ClientDisconnected):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_disconnect, error.exceptions))
    return isinstance(error, Exception) and "disconnect" in type(error).__name__.lower()
