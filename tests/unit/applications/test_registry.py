"""The applications of a process: what servers share, and how each kind starts and ends."""

from __future__ import annotations

import asyncio
import threading

import pytest
from wsgi_fakes import FakeExchange, Moments, request_head

from gracehttp.applications.loading import ApplicationLoader, ApplicationReference
from gracehttp.applications.registry import Applications, ApplicationSettings
from gracehttp.errors import ApplicationFailed
from gracehttp.http.body import NO_REQUEST_BODY
from gracehttp.http.exchange import Exchange

SETTINGS = ApplicationSettings(lifespan="auto", threads=1, multiprocess=False)


def reference(app) -> ApplicationReference:
    return ApplicationReference(app, False, "auto")


def provide(*apps):
    applications = Applications(SETTINGS, ApplicationLoader(None), lambda: None)
    return applications, applications.provide(map(reference, apps))


class EndingExchange(Exchange):
    """An `Exchange` without a client, that tells when it ends."""

    def __init__(self) -> None:
        self.begin(request_head(), NO_REQUEST_BODY, None, None, None, 0, False, True)
        self.ended = Moments()

    def end(self, error: BaseException | None = None) -> None:
        self.ended.happened()


class AsgiApp:
    """Tells what it was called for, and hands on in `state` what its requests then see."""

    def __init__(self) -> None:
        self.seen = []

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http":
            self.seen.append(scope["state"])
            await asyncio.Event().wait()
        self.seen.append((await receive())["type"])
        scope["state"]["pool"] = "open"
        await send({"type": "lifespan.startup.complete"})
        self.seen.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})


def wsgi_app(environ, start_response):
    start_response("200 OK", [])
    return [threading.current_thread().name.encode()]


def test_servers_that_name_one_application_share_it():
    async def main() -> None:
        app = AsgiApp()
        applications, provided = provide(app, wsgi_app, app)
        assert provided[0] is provided[2]
        assert list(applications) == provided[:2]
        assert [one.name for one in applications] == ["test_registry:AsgiApp", "test_registry:wsgi_app"]

    asyncio.run(main())


def test_asgi_application_starts_serves_is_cancelled_and_ends():
    async def main() -> None:
        app = AsgiApp()
        applications, (application,) = provide(app)
        await application.startup()
        exchange = EndingExchange()
        application.handle(exchange)
        await asyncio.sleep(0)
        assert (application.in_flight, applications.in_flight) == (1, 1)
        application.cancel_all()
        await exchange.ended.next()
        assert (application.in_flight, applications.in_flight) == (0, 0)
        assert await application.shutdown(10) is None
        assert app.seen == ["lifespan.startup", {"pool": "open"}, "lifespan.shutdown"]

    asyncio.run(main())


def test_asgi_application_that_fails_to_start_is_an_error():
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main() -> None:
        _, (application,) = provide(app)
        with pytest.raises(ApplicationFailed, match="no database"):
            await application.startup()

    asyncio.run(main())


def test_wsgi_application_starts_serves_and_lets_its_threads_end():
    async def main() -> None:
        _, (application,) = provide(wsgi_app)
        await application.startup()
        exchange = FakeExchange()
        application.handle(exchange)
        application.cancel_all()  # which threads don't hear
        await exchange.ended.next()
        assert exchange.body == b"wsgi-0"
        threads = [thread for thread in threading.enumerate() if thread.name == "wsgi-0"]
        assert await application.shutdown(10) is None
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()

    asyncio.run(main())
