"""What a warm-up request asks of the application, and which answers let the worker become ready."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from gracehttp.applications.asgi.application import AsgiApplication
from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.errors import ApplicationFailed
from gracehttp.net.poller import new_poller
from gracehttp.worker.warmup import warm_up

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def warmed(request):
    """Warm an ASGI application up. Raises what `warm_up` raises."""

    async def scenario(app, path):
        loop = asyncio.get_running_loop()
        wrapped = AsgiApplication(
            app, name="app", loop=loop, lifespan="off", draining=DrainNotices().asgi, on_idle=lambda: None
        )
        poller = new_poller(loop)
        try:
            await warm_up(wrapped, path, poller)
        finally:
            poller.close()

    def run(app, path="/ready"):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(scenario(app, path), 20))

    return run


def answering(status, body=b"", seen=None):
    async def app(scope, receive, send):
        if seen is not None:
            seen.append(scope)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


def test_it_asks_for_the_path_and_the_query_and_is_known_by_its_name(warmed):
    seen = []
    warmed(answering(200, seen=seen), "/ready?all=1")
    (scope,) = seen
    assert (scope["method"], scope["path"], scope["query_string"]) == ("GET", "/ready", b"all=1")
    assert (b"user-agent", b"gracehttp-warmup") in scope["headers"]


@pytest.mark.parametrize("status", [200, 204, 302, 401, 404])
def test_an_application_that_answers_works(warmed, status):
    warmed(answering(status))


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_error_is_a_failure_that_names_path_and_status_and_shows_the_body(warmed, status):
    with pytest.raises(ApplicationFailed, match=rf"the warm-up request GET /ready answered {status}") as raised:
        warmed(answering(status, b"no database"))
    assert raised.value.details == "no database"


def test_a_long_body_of_an_error_is_cut(warmed):
    with pytest.raises(ApplicationFailed) as raised:
        warmed(answering(503, b"x" * 100_000))
    assert len(raised.value.details) < 5000


def test_an_exception_is_a_failure_that_shows_the_traceback(warmed):
    async def app(scope, receive, send):
        raise LookupError("no such table")

    with pytest.raises(ApplicationFailed, match="GET /ready answered 500") as raised:
        warmed(app)
    assert "LookupError: no such table" in raised.value.details


def test_an_exception_in_the_middle_of_the_answer_is_none(warmed):
    """The status was good, and is all that counts."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise LookupError

    warmed(app)
