"""ASGI 3.0 over a fake exchange, and over a connection with asyncio's loop and uvloop."""

import asyncio
import contextvars
import copy
import inspect
import json
import socket
import sys
from weakref import ref

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS
from starlette.requests import Request

from gracehttp.applications.asgi.application import AsgiApplication
from gracehttp.applications.asgi.extensions import OF_HTTP, OF_HTTP10
from gracehttp.applications.drain_notice import DrainNotices, drain_notice
from gracehttp.compiled import BUILD
from gracehttp.http import negotiation
from gracehttp.http.body import NO_REQUEST_BODY
from gracehttp.http.connection import NO_PROTOCOL, Connection, Ends, HttpSettings, ServerContext
from gracehttp.http.exchange import ClientDisconnected, Exchange, RequestHead, ResponseError
from gracehttp.http.head import RequestLine
from gracehttp.net.poller import EpollPoller
from gracehttp.net.stream import PlainStream, StreamServices

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(main, DEADLINE_SECONDS))

    return run


class FakeExchange(Exchange):
    """An `Exchange` whose client the test plays."""

    def __init__(self, *body, **head):
        request = RequestHead()
        request.tls = None
        request.line = RequestLine(
            head.pop("method", "GET"), head.pop("target", b"/a%20b?c"), head.pop("http_version", "1.1")
        )
        facts = {
            "scheme": "http", "headers": [(b"host", b"a")], "client": ("192.0.2.1", 5), "server": ("192.0.2.9", 80),
        }  # fmt: skip
        for name, value in (facts | head).items():
            setattr(request, name, value)
        self.begin(request, NO_REQUEST_BODY, None, None, None, None if body else 0, False, True)
        self.pieces = list(body)
        self.given_up = False
        self.changed = asyncio.Event()
        self.ended = asyncio.Event()
        self.error = None
        self.sent = []

    def change(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)
        self.changed.set()
        self.changed = asyncio.Event()

    def take_body(self):
        return self.pieces.pop(0) if self.pieces else None

    async def wait_for_input(self):
        while not (self.pieces or self.disconnected or self.response_complete):
            await self.changed.wait()

    async def wait_for_disconnect(self):
        while not (self.disconnected or self.half_closed or self.response_complete):
            await self.changed.wait()

    def start_response(self, status, headers, trailers=False):
        if self.response_started:
            raise ResponseError("twice")
        self.response_started = True
        self.sent.append((status, list(headers)))

    def write(self, data, more):
        if not self.response_started:
            raise ResponseError("before the start")
        self.sent.append((data, more))
        if not more:
            self.change(response_complete=True)

    async def wait_until_writable(self):
        while not (self.writable or self.disconnected):
            await self.changed.wait()

    def give_up(self):
        self.given_up = True
        self.end()

    def end(self, error=None):
        assert not self.ended.is_set()
        self.error = error
        self.ended.set()


def make(app, *, state=(), draining=None):
    """`app` behind `AsgiApplication`; `state` is what its lifespan has left."""
    application = AsgiApplication(
        app,
        name="app",
        loop=asyncio.get_running_loop(),
        lifespan="off",
        draining=draining or DrainNotices().asgi,
        on_idle=lambda: None,
    )
    application.lifespan.state.update(state)
    return application


async def call(app, exchange, **options):
    """Run `app` on `exchange` to its end."""
    application = make(app, **options)
    application.handle(exchange)
    await exchange.ended.wait()
    return application


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"hello"})


def test_a_thread_that_sends_has_the_loop_do_it(run):
    """So threads produce a response. Nothing of the exchange may be touched outside the thread of the loop."""

    async def main():
        loop, exchange, seen = asyncio.get_running_loop(), FakeExchange(), []

        async def app(scope, receive, send):
            def produce():
                made = send({"type": "http.response.start", "status": 200, "headers": []})
                seen.append(exchange.response_started)
                asyncio.run_coroutine_threadsafe(made, loop).result(DEADLINE_SECONDS)
                for more in (True, True, False):
                    message = {"type": "http.response.body", "body": b"x", "more_body": more}
                    asyncio.run_coroutine_threadsafe(send(message), loop).result(DEADLINE_SECONDS)

            await asyncio.to_thread(produce)

        await call(app, exchange)
        assert (seen, exchange.sent) == ([False], [(200, []), (b"x", True), (b"x", True), (b"x", False)])

    run(main())


def test_send_is_known_as_an_async_function(run):
    async def main():
        seen = []

        async def app(scope, receive, send):
            seen.append(asyncio.iscoroutinefunction(send))
            if sys.version_info >= (3, 12):  # before, it knows of no other than those that `async def` has made
                seen.append(inspect.iscoroutinefunction(send))
            await hello(scope, receive, send)

        await call(app, FakeExchange())
        assert set(seen) == {True}

    run(main())


def test_scope_has_what_the_specification_asks_for(run):
    async def main():
        scopes = []

        async def app(scope, receive, send):
            scopes.append(scope)

        await call(app, FakeExchange(), state={"db": 1})
        assert scopes == [
            {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": "/a b",
                "raw_path": b"/a%20b",
                "query_string": b"c",
                "root_path": "",
                "headers": [(b"host", b"a")],
                "client": ("192.0.2.1", 5),
                "server": ("192.0.2.9", 80),
                "state": {"db": 1},
                "extensions": {
                    "gracehttp.drain": {},
                    "http.response.pathsend": {},
                    "http.response.zerocopysend": {},
                    "http.response.early_hint": {},
                    "http.response.trailers": {},
                },
            }
        ]

    run(main())


def test_path_of_the_application_stands_in_that_of_the_request(run):
    async def main():
        scopes = []

        async def app(scope, receive, send):
            scopes.append(scope)

        exchange = FakeExchange()
        exchange.head.line = exchange.head.line.under("/ä", b"/%C3%A4")
        await call(app, exchange)
        (scope,) = scopes
        assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/ä", "/ä/a b", b"/%C3%A4/a%20b")
        assert scope["query_string"] == b"c"

    run(main())


def test_state_is_a_shallow_copy_for_each_request(run):
    async def main():
        shared = []

        async def app(scope, receive, send):
            scope["state"]["own"] = 1
            scope["state"]["shared"].append(1)

        application = await call(app, FakeExchange(), state={"shared": shared})
        assert application.lifespan.state == {"shared": [1]}

    run(main())


def test_what_a_request_changes_in_its_scope_is_seen_by_no_other_one(run):
    """uvicorn 2976: the same dictionaries were given to all requests of a connection."""

    async def main():
        seen = []

        async def app(scope, receive, send):
            seen.append((scope, dict(scope["asgi"]), repr(scope["extensions"]), len(scope["headers"])))
            scope["asgi"]["own"] = scope["extensions"]["own"] = 1
            for extension in scope["extensions"].values():
                if isinstance(extension, dict):
                    extension["own"] = 1

        application = make(app)
        for _ in range(2):
            exchange = FakeExchange()
            application.handle(exchange)
            await exchange.ended.wait()
        first, second = seen
        assert first[1:] == second[1:]

    run(main())


def test_state_that_the_lifespan_fills_later_is_seen(run):
    async def main():
        seen = []

        async def app(scope, receive, send):
            seen.append(scope["state"])

        application = make(app)
        application.lifespan.state["late"] = 1
        exchange = FakeExchange()
        application.handle(exchange)
        await exchange.ended.wait()
        assert seen == [{"late": 1}]

    run(main())


def test_response_is_passed_on(run):
    async def main():
        exchange = FakeExchange()
        await call(hello, exchange)
        assert exchange.sent == [(200, [(b"a", b"b")]), (b"hello", False)]
        assert exchange.error is None

    run(main())


def test_optional_keys_have_their_defaults(run):
    async def main():
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body", "more_body": True})
            await send({"type": "http.response.body"})

        exchange = FakeExchange()
        await call(app, exchange)
        assert exchange.sent == [(204, []), (b"", True), (b"", False)]

    run(main())


def test_body_is_received_in_pieces(run):
    async def main():
        received = []

        async def app(scope, receive, send):
            received.extend([await receive(), await receive()])

        exchange = FakeExchange((b"he", True), (b"llo", False))
        await call(app, exchange)
        assert received == [
            {"type": "http.request", "body": b"he", "more_body": True},
            {"type": "http.request", "body": b"llo", "more_body": False},
        ]

    run(main())


def test_receive_waits_for_the_body(run):
    async def main():
        received = []

        async def app(scope, receive, send):
            received.append(await receive())

        exchange = FakeExchange()
        application = make(app)
        application.handle(exchange)
        await asyncio.sleep(0)
        assert not received
        exchange.change(pieces=[(b"x", False)])
        await exchange.ended.wait()
        assert received[0]["body"] == b"x"

    run(main())


@pytest.mark.parametrize("body", [[], [(b"", False)]])
def test_client_that_leaves_is_a_disconnect_message(run, body):
    async def main():
        received = []

        async def app(scope, receive, send):
            for _ in body:
                await receive()
            received.append(await receive())

        exchange = FakeExchange(*body)
        make(app).handle(exchange)
        await asyncio.sleep(0)
        exchange.change(disconnected=True)
        await exchange.ended.wait()
        assert received == [{"type": "http.disconnect"}]

    run(main())


def test_complete_response_is_a_disconnect_message(run):
    async def main():
        received = []

        async def app(scope, receive, send):
            listening = asyncio.ensure_future(receive_twice(receive))
            await asyncio.sleep(0)
            await hello(scope, receive, send)
            received.append(await listening)
            received.append(await receive())

        async def receive_twice(receive):
            await receive()
            return await receive()

        await call(app, FakeExchange((b"", False)))
        assert received == [{"type": "http.disconnect"}] * 2

    run(main())


def test_send_waits_until_the_client_keeps_up(run):
    async def main():
        passed = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            passed.append(True)

        exchange = FakeExchange()
        exchange.writable = False
        make(app).handle(exchange)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert exchange.sent[-1] == (b"x", True)
        assert not passed
        exchange.change(writable=True)
        await exchange.ended.wait()
        assert passed

    run(main())


def test_send_to_a_client_that_is_gone_raises_an_os_error_that_is_no_failure(run):
    async def main():
        raised = []

        async def app(scope, receive, send):
            try:
                await hello(scope, receive, send)
            except OSError as error:
                raised.append(error)
                raise

        exchange = FakeExchange()
        exchange.disconnected = True
        await call(app, exchange)
        assert isinstance(raised[0], ClientDisconnected)
        assert exchange.error is None
        assert not exchange.sent

    run(main())


def test_send_that_waits_raises_when_the_client_leaves(run):
    async def main():
        raised = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            try:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            except OSError as error:
                raised.append(error)

        exchange = FakeExchange()
        exchange.writable = False
        make(app).handle(exchange)
        await asyncio.sleep(0)
        exchange.change(disconnected=True)
        await exchange.ended.wait()
        assert raised

    run(main())


class ClientDisconnect(Exception):
    """As Starlette calls it."""


@pytest.mark.parametrize(
    ("translate", "reported"),
    [
        (lambda error: error, False),
        (lambda error: ClientDisconnect(), False),
        (lambda error: ExceptionGroup("tasks", [error]), False),
        (lambda error: ExceptionGroup("tasks", [error, ValueError()]), True),
        (lambda error: ValueError("a fault in the handler"), True),
    ],
)
def test_only_errors_that_say_more_than_disconnected_are_reported(run, translate, reported):
    async def main():
        async def app(scope, receive, send):
            try:
                await send({"type": "http.response.start", "status": 200})
            except OSError as error:
                raise translate(error) from None

        exchange = FakeExchange()
        exchange.disconnected = True
        await call(app, exchange)
        assert (exchange.error is not None) is reported

    run(main())


def test_disconnect_error_while_the_client_is_there_is_reported(run):
    async def main():
        async def app(scope, receive, send):
            raise ClientDisconnect

        exchange = FakeExchange()
        await call(app, exchange)
        assert isinstance(exchange.error, ClientDisconnect)

    run(main())


def test_error_of_the_application_ends_the_exchange_with_it(run):
    async def main():
        error = ValueError("boom")

        async def app(scope, receive, send):
            raise error

        exchange = FakeExchange()
        await call(app, exchange)
        assert exchange.error is error

    run(main())


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.trailers"},
        {"type": "websocket.accept"},
        {"type": "http.response.start"},
        {"type": "http.response.body"},
        {"type": None},
        {},
    ],
)
def test_message_that_is_unknown_or_out_of_order_is_an_error_of_the_application(run, message):
    async def main():
        async def app(scope, receive, send):
            await send(message)

        exchange = FakeExchange()
        await call(app, exchange)
        assert isinstance(exchange.error, ResponseError)

    run(main())


def test_messages_are_coroutines_that_tasks_can_be_made_of(run):
    async def main():
        async def app(scope, receive, send):
            await asyncio.create_task(receive())
            await asyncio.create_task(send({"type": "http.response.start", "status": 200}))

        exchange = FakeExchange((b"", False))
        await call(app, exchange)
        assert exchange.error is None

    run(main())


def test_an_error_of_send_is_raised_where_it_is_awaited(run):
    async def main():
        raised = []

        async def app(scope, receive, send):
            too_early = send({"type": "http.response.body", "body": b"x"})
            try:
                await too_early
            except ResponseError as error:
                raised.append(error)
            await hello(scope, receive, send)

        exchange = FakeExchange()
        await call(app, exchange)
        assert len(raised) == 1
        assert exchange.error is None

    run(main())


def test_what_send_gives_is_a_coroutine_that_does_nothing_more(run):
    async def main():
        async def app(scope, receive, send):
            sent = send({"type": "http.response.start", "status": 200})
            assert asyncio.iscoroutine(sent)
            assert await asyncio.gather(sent, asyncio.wait_for(sent, DEADLINE_SECONDS)) == [None, None]
            cancelled = asyncio.ensure_future(send({"type": "http.response.body", "body": b"x", "more_body": True}))
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            last = send({"type": "http.response.body"})
            last.close()

        exchange = FakeExchange()
        await call(app, exchange)
        assert exchange.error is None
        assert exchange.sent == [(200, []), (b"x", True), (b"", False)]

    run(main())


# --- tasks ---


def test_each_request_has_its_own_context(run):
    async def main():
        variable = contextvars.ContextVar("variable", default=0)
        seen = []

        async def app(scope, receive, send):
            seen.append(variable.get())
            variable.set(1)

        application = make(app)
        for _ in range(2):
            exchange = FakeExchange()
            application.handle(exchange)
            await exchange.ended.wait()
        assert seen == [0, 0]

    run(main())


def test_context_of_one_request_does_not_reach_the_one_that_it_sets_off(run):
    async def main():
        variable = contextvars.ContextVar("variable", default=0)
        seen, second = [], FakeExchange()

        async def app(scope, receive, send):
            seen.append(variable.get())
            variable.set(1)
            if len(seen) == 1:
                application.handle(second)

        application = make(app)
        application.handle(FakeExchange())
        await second.ended.wait()
        assert seen == [0, 0]

    run(main())


def test_in_flight_counts_applications_that_work_on_after_their_response(run):
    async def main():
        go_on = asyncio.Event()

        async def app(scope, receive, send):
            await hello(scope, receive, send)
            await go_on.wait()

        application, exchange = make(app), FakeExchange()
        application.handle(exchange)
        assert application.in_flight == 1
        await asyncio.sleep(0)
        assert exchange.response_complete
        exchange.change(disconnected=True)
        await asyncio.sleep(0)
        assert application.in_flight == 1
        go_on.set()
        await exchange.ended.wait()
        assert application.in_flight == 0

    run(main())


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_exit_of_one_request_ends_neither_the_loop_nor_the_others(run, error):
    async def main():
        async def app(scope, receive, send):
            if scope["method"] == "DELETE":
                await asyncio.sleep(0)
                raise error(3)
            await receive()
            await hello(scope, receive, send)

        ends, goes_on = FakeExchange(method="DELETE"), FakeExchange()
        application = make(app)
        application.handle(goes_on)
        application.handle(ends)
        await ends.ended.wait()
        goes_on.pieces.append((b"", False))
        goes_on.change()
        await goes_on.ended.wait()
        assert (type(ends.error), goes_on.error) == (error, None)
        assert application.in_flight == 0

    run(main())


def test_cancel_all_cancels_what_runs_and_ends_the_exchanges(run):
    async def main():
        started = asyncio.Event()

        async def app(scope, receive, send):
            started.set()
            await asyncio.Event().wait()

        application, exchange = make(app), FakeExchange()
        application.handle(exchange)
        await started.wait()
        application.cancel_all()
        await exchange.ended.wait()
        assert isinstance(exchange.error, asyncio.CancelledError)
        assert application.in_flight == 0

    run(main())


def test_what_is_cancelled_after_its_connection_was_cut_is_no_fault_of_the_application(run):
    async def main():
        started = asyncio.Event()

        async def app(scope, receive, send):
            started.set()
            await asyncio.Event().wait()

        application, exchange = make(app), FakeExchange()
        application.handle(exchange)
        await started.wait()
        exchange.change(disconnected=True)
        application.cancel_all()
        await exchange.ended.wait()
        assert exchange.error is None

    run(main())


def test_cancel_all_reaches_an_application_that_has_not_begun_yet(run):
    async def main():
        async def app(scope, receive, send):
            await asyncio.Event().wait()

        application, exchange = make(app), FakeExchange()
        application.handle(exchange)
        application.cancel_all()
        await exchange.ended.wait()
        assert application.in_flight == 0

    run(main())


def test_application_is_not_cancelled_when_the_client_leaves(run):
    async def main():
        go_on, done = asyncio.Event(), []

        async def app(scope, receive, send):
            await go_on.wait()
            done.append(True)

        exchange = FakeExchange()
        make(app).handle(exchange)
        await asyncio.sleep(0)
        exchange.change(disconnected=True)
        await asyncio.sleep(0)
        go_on.set()
        await exchange.ended.wait()
        assert done

    run(main())


def test_application_that_waits_for_nothing_is_done_when_handle_returns_from_python_3_12_on(run):
    async def main():
        exchange = FakeExchange()
        application = make(hello)
        application.handle(exchange)
        assert exchange.ended.is_set() is (sys.version_info >= (3, 12))
        await exchange.ended.wait()
        assert application.in_flight == 0

    run(main())


# --- over a connection ---


class Owner:
    request_finished = None

    def __init__(self):
        self.failures = []
        self.closed = asyncio.Event()

    def connection_speaks(self, connection):
        pass

    def connection_rested(self, connection):
        pass

    def connection_closed(self, connection):
        self.closed.set()

    def application_failed(self, head, error):
        self.failures.append(error)

    def response_broken(self, head, reason):
        self.failures.append(reason)

    def response_corrected(self, head, kind, reason):
        self.failures.append(reason)


async def exchange_bytes(app, data):
    """Send `data` and shut down our side; all that comes back, and what the owner was told."""
    loop, owner = asyncio.get_running_loop(), Owner()
    application = make(app)
    poller = EpollPoller(loop)
    context = ServerContext(application, HttpSettings(), owner, loop)
    streams = StreamServices(loop, poller, context.settings.body_timeout_seconds)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection(context, Ends(None, None))
    connection.begin(PlainStream(ours, streams, NO_PROTOCOL, connection))
    negotiation.begin(connection, None)
    reader, writer = await asyncio.open_connection(sock=theirs)
    writer.write(data)
    writer.write_eof()
    received = await reader.read()
    writer.close()
    await owner.closed.wait()
    context.close()
    streams.close()
    poller.close()
    return received, owner.failures


def test_http_1_0_is_offered_neither_interim_responses_nor_trailers(run):
    async def main():
        scopes = []

        async def app(scope, receive, send):
            scopes.append(scope)
            await echo(scope, receive, send)

        await exchange_bytes(app, b"GET / HTTP/1.0\r\n\r\n")
        assert set(scopes[0]["extensions"]) == {
            "gracehttp.drain",
            "http.response.pathsend",
            "http.response.zerocopysend",
        }

    run(main())


def test_early_hints_come_before_the_response(run):
    async def main():
        async def app(scope, receive, send):
            await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload; as=style"]})
            await echo(scope, receive, send)

        received, _failures = await exchange_bytes(app, b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        hint, _, rest = received.partition(b"\r\n\r\n")
        assert hint == b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style"
        assert rest.startswith(b"HTTP/1.1 200 OK\r\n")

    run(main())


async def echo(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%s %s;" % (scope["raw_path"], body)})


def test_scope_is_plain_data(run):
    async def main():
        scopes = []

        async def app(scope, receive, send):
            scopes.append(scope)

        await call(app, FakeExchange(), state={"db": 1})
        assert json.loads(json.dumps(scopes[0]["extensions"]))["gracehttp.drain"] == {}
        assert copy.deepcopy(scopes[0]) == scopes[0]

    run(main())


def test_application_gets_the_notice_of_its_server(run):
    async def main():
        notices = DrainNotices()
        seen = []

        async def app(scope, receive, send):
            seen.append((scope["type"], drain_notice()))

        application = AsgiApplication(
            app,
            name="app",
            loop=asyncio.get_running_loop(),
            lifespan="auto",
            draining=notices.asgi,
            on_idle=lambda: None,
        )
        await application.startup()
        exchange = FakeExchange()
        application.handle(exchange)
        await exchange.ended.wait()
        assert seen == [("lifespan", notices.asgi), ("http", notices.asgi)]

    run(main())


# --- a client that has ended its half ---


def test_receive_tells_of_the_end_of_the_clients_half_and_what_is_sent_then_is_sent(run):
    async def main():
        told = []

        async def app(scope, receive, send):
            assert (await receive())["type"] == "http.request"
            told.append(await receive())
            told.append(await receive())
            await hello(scope, receive, send)

        exchange = FakeExchange((b"", False))
        asyncio.get_running_loop().call_soon(lambda: exchange.change(half_closed=True))
        await call(app, exchange)
        assert told == [{"type": "http.disconnect"}] * 2
        assert exchange.sent == [(200, [(b"a", b"b")]), (b"hello", False)]

    run(main())


def test_starlette_sees_that_the_client_may_be_gone(run):
    async def main():
        seen = []

        async def app(scope, receive, send):
            request = Request(scope, receive)
            await request.body()
            seen.append(await request.is_disconnected())
            exchange.change(half_closed=True)
            seen.append(await request.is_disconnected())

        exchange = FakeExchange((b"", False))
        await call(app, exchange)
        assert seen == [False, True]
        assert exchange.given_up

    run(main())


@pytest.mark.parametrize("error", [None, ClientDisconnect(), ClientDisconnected()], ids=["ends", "starlette's", "ours"])
def test_application_that_gives_up_when_it_is_told_is_not_blamed(run, error):
    async def main():
        async def app(scope, receive, send):
            await receive()
            assert (await receive())["type"] == "http.disconnect"
            if error is not None:
                raise error

        exchange = FakeExchange((b"", False))
        exchange.half_closed = True
        await call(app, exchange)
        assert exchange.given_up
        assert exchange.error is None

    run(main())


@pytest.mark.parametrize("tell", [True, False], ids=["told", "not told"])
def test_other_errors_and_those_of_an_application_that_was_not_told_are_its_own(run, tell):
    async def main():
        async def app(scope, receive, send):
            await receive()
            if tell:
                await receive()
                raise ValueError
            raise ClientDisconnect

        exchange = FakeExchange((b"", False))
        exchange.half_closed = True
        await call(app, exchange)
        assert not exchange.given_up
        assert isinstance(exchange.error, ValueError if tell else ClientDisconnect)

    run(main())


def test_application_that_ends_without_an_answer_and_was_not_told_has_no_excuse(run):
    async def main():
        async def app(scope, receive, send):
            await receive()

        exchange = FakeExchange((b"", False))
        exchange.half_closed = True
        await call(app, exchange)
        assert not exchange.given_up

    run(main())


def test_pipelined_requests_are_answered_in_order(run):
    async def main():
        posts = b"".join(
            b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % (number, number) for number in range(9)
        )
        received, failures = await exchange_bytes(echo, posts)
        assert [part.partition(b";")[0] for part in received.split(b"\r\n\r\n")[1:]] == [
            b"/%d %d" % (number, number) for number in range(9)
        ]
        assert not failures

    run(main())


def test_scope_that_an_application_changes_is_not_the_scope_of_the_next_request(run):
    """The parser remembers lines; what it remembers must be out of reach."""

    async def main():
        seen = []

        async def app(scope, receive, send):
            seen.append(copy.deepcopy(scope))
            scope["headers"][0] = (b"host", b"changed")
            scope["headers"].append((b"x-mine", b"1"))
            scope["path"] = scope["query_string"] = scope["method"] = "changed"
            for inner in scope["extensions"].values():
                inner["mine"] = 1
            scope["state"]["mine"] = scope["asgi"]["mine"] = scope["extensions"]["mine"] = 1
            await echo(scope, receive, send)

        request = b"GET /a HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n"
        _, failures = await exchange_bytes(app, request * 3)
        _, more_failures = await exchange_bytes(app, request)
        assert seen == [seen[0]] * 4
        assert seen[0]["headers"] == [(b"host", b"a"), (b"accept", b"b")]
        assert not any(seen[0]["extensions"].values())
        assert not failures + more_failures

    run(main())


CHANGES = {
    "nothing": lambda scope: None,
    "a value in asgi": lambda scope: scope["asgi"].update(version="mine"),
    "a key in asgi": lambda scope: (scope["asgi"].pop("version"), scope["asgi"].update(mine="3.0")),
    "a value in state": lambda scope: scope["state"].update(db=2),
    "more in state": lambda scope: scope["state"].update(mine=1),
    "less in state": lambda scope: scope["state"].clear(),
    "more in an extension": lambda scope: scope["extensions"]["gracehttp.drain"].update(mine=1),
    "another value of an extension": lambda scope: scope["extensions"].update({"gracehttp.drain": []}),
    "the name of an extension": lambda scope: scope["extensions"].update(mine=scope["extensions"].popitem()[1]),
    "fewer extensions": lambda scope: scope["extensions"].popitem(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_scope_has_its_own_dictionaries_whatever_the_application_does_to_one(run, change):
    """Those that are as they were may be given again."""

    async def main():
        seen = []

        async def app(scope, receive, send):
            seen.append(copy.deepcopy(scope))
            CHANGES[change](scope)

        application = make(app, state={"db": 1})
        for _ in range(3):
            exchange = FakeExchange()
            application.handle(exchange)
            await exchange.ended.wait()
        assert seen == [seen[0]] * 3
        assert seen[0]["state"] == {"db": 1}

    run(main())


@pytest.mark.parametrize(
    "pick",
    [
        lambda scope: scope,
        lambda scope: scope["asgi"],
        lambda scope: scope["state"],
        lambda scope: scope["extensions"],
        lambda scope: scope["extensions"]["http.response.trailers"],
    ],
    ids=["scope", "asgi", "state", "extensions", "an extension"],
)
def test_what_an_application_keeps_of_its_scope_is_given_to_no_other_request(run, pick):
    async def main():
        kept = []

        async def app(scope, receive, send):
            kept.append(pick(scope))

        application = make(app)
        for _ in range(3):
            exchange = FakeExchange()
            application.handle(exchange)
            await exchange.ended.wait()
        assert len({id(one) for one in kept}) == len(kept) == 3

    run(main())


class Thing:
    """Something that an application makes for one request."""


@pytest.mark.parametrize(
    "place",
    [lambda scope: scope["asgi"], lambda scope: scope["state"], lambda scope: scope["extensions"]["gracehttp.drain"]],
    ids=["asgi", "state", "an extension"],
)
@pytest.mark.parametrize("fails", [False, True])
def test_what_an_application_puts_into_its_scope_lives_no_longer_than_its_call(run, place, fails):
    async def main():
        things = []

        async def app(scope, receive, send):
            thing = Thing()
            things.append(ref(thing))
            place(scope)["thing"] = thing
            if fails:
                raise ValueError("boom")

        application = make(app)
        for _ in range(2):
            exchange = FakeExchange()
            application.handle(exchange)
            await exchange.ended.wait()
            exchange.error = None  # whose traceback has the scope
            await asyncio.sleep(0)
            assert [thing() for thing in things] == [None] * len(things)

    run(main())


@pytest.mark.skipif(not BUILD.compiled, reason="interpreted, each scope has new ones")
def test_dictionaries_that_an_application_has_left_alone_are_given_again(run):
    async def main():
        seen, others = [], []

        async def app(scope, receive, send):
            seen.append([id(scope[name]) for name in ("asgi", "state", "extensions")])

        application = make(app, state={"db": 1})
        for _ in range(3):
            exchange = FakeExchange()
            application.handle(exchange)
            await exchange.ended.wait()
            others += [{} for _ in range(200)]  # have the places of those that are no more
        assert seen[1:] == seen[:1] * 2

    run(main())


def test_state_of_the_application_is_in_the_scopes_that_follow_its_change(run):
    async def main():
        states = []

        async def app(scope, receive, send):
            states.append(dict(scope["state"]))

        application = make(app, state={"db": 1})
        for changed in ({}, {"db": 2}, {"cache": 3}):
            application.lifespan.state.update(changed)
            exchange = FakeExchange()
            application.handle(exchange)
            await exchange.ended.wait()
        assert states == [{"db": 1}, {"db": 2}, {"db": 2, "cache": 3}]

    run(main())


def test_scope_is_that_of_the_request_also_where_a_connection_keeps_its_fields(run):
    async def main():
        scopes = []

        async def app(scope, receive, send):
            scopes.append(copy.deepcopy(scope))
            scope.clear()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        requests = [
            b"GET /a?b HTTP/1.1",
            b"GET /a?b HTTP/1.1",
            b"HEAD /c HTTP/1.1",
            b"GET /a?b HTTP/1.1",
            b"GET /d HTTP/1.0",
        ]
        for lines in (requests, requests[2:] + requests[:2]):
            scopes.clear()
            for line in lines:
                await exchange_bytes(app, line + b"\r\nHost: a\r\nX: y\r\n\r\n")
            apart = list(scopes)
            scopes.clear()
            await exchange_bytes(app, b"".join(line + b"\r\nHost: a\r\nX: y\r\n\r\n" for line in lines[:4]))
            assert scopes == apart[: len(scopes)]
            assert len(scopes) >= 3

    run(main())


@pytest.mark.parametrize(("version", "names"), [(b"1.1", OF_HTTP), (b"1.0", OF_HTTP10)])
def test_scope_has_the_extensions_that_the_documentation_names(run, version, names):
    async def main():
        found = []

        async def app(scope, receive, send):
            found.append(scope["extensions"])
            await echo(scope, receive, send)

        await exchange_bytes(app, b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
        assert found == [{name: {} for name in names}]

    run(main())


def test_error_of_the_application_is_a_500_and_the_next_request_is_served(run):
    async def main():
        async def app(scope, receive, send):
            if scope["path"] == "/bad":
                raise ValueError("boom")
            await echo(scope, receive, send)

        received, failures = await exchange_bytes(
            app, b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\nGET /good HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        assert received.startswith(b"HTTP/1.1 500 ")
        assert received.endswith(b"/good ;")
        assert [type(failure) for failure in failures] == [ValueError]

    run(main())


def test_context_does_not_leak_into_the_next_request_of_the_connection(run):
    async def main():
        variable = contextvars.ContextVar("variable", default=b"clean")

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            seen = variable.get()
            variable.set(b"dirty")
            await send({"type": "http.response.body", "body": seen})

        received, _ = await exchange_bytes(app, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        assert received.count(b"clean") == 3
        assert b"dirty" not in received

    run(main())


def test_application_that_waits_for_nothing_else_hears_at_once_that_its_client_is_gone(run):
    """It would have the thread for itself for ever, and so the loop could never tell it."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while len(sent) < 10_000:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            sent.append(1)
            if len(sent) == 1:
                gone.shutdown(socket.SHUT_RD)

    async def main():
        nonlocal gone
        loop, owner = asyncio.get_running_loop(), Owner()
        poller = EpollPoller(loop)
        context = ServerContext(make(app), HttpSettings(), owner, loop)
        streams = StreamServices(loop, poller, 30.0)
        ours, gone = socket.socketpair()
        ours.setblocking(False)
        connection = Connection(context, Ends(None, None))
        connection.begin(PlainStream(ours, streams, NO_PROTOCOL, connection))
        negotiation.begin(connection, None)
        gone.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await owner.closed.wait()
        assert len(sent) == 1
        assert not owner.failures
        gone.close()
        context.close()
        streams.close()
        poller.close()

    gone = None
    run(main())


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("hi", "send was given an object of type str, and a message is a dict with a type"),
        (None, "send was given None, and a message is a dict with a type"),
        (
            {"type": "http.response.start", "status": 200, "headers": {"a": "b"}},
            "the headers are a dict, and must be a list of pairs of bytes: [(b'name', b'value')]",
        ),
    ],
    ids=["str", "None", "dict of headers"],
)
def test_what_is_sent_and_is_no_message_is_named(run, message, sentence):
    async def main():
        async def app(scope, receive, send):
            await send(message)

        received, failures = await exchange_bytes(app, b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 500 ")
        assert list(map(str, failures)) == [sentence]

    run(main())


def test_a_value_that_is_returned_instead_of_sent_is_named(run):
    async def main():
        async def app(scope, receive, send):
            return "hello"

        _received, failures = await exchange_bytes(app, b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        (failure,) = map(str, failures)
        assert failure.startswith("the application returned an object of type str and sent nothing: ")

    run(main())


@pytest.mark.parametrize("body", [b"long", b"s"])
def test_a_body_that_breaks_its_content_length_is_told_once(run, body):
    async def main():
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": body})

        _received, failures = await exchange_bytes(app, b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert len(failures) == 1

    run(main())
