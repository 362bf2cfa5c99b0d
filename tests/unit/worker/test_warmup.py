"""What a warm-up request asks of the application, and which answers let the worker become ready."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.applications.asgi.application import AsgiApplication
from gracehttp.applications.drain_notice import DrainNotices
from gracehttp.errors import ApplicationFailed
from gracehttp.events import WarmUpAnswered, WarmUpMissed
from gracehttp.events.base import Severity
from gracehttp.net.poller import new_poller
from gracehttp.worker.warmup import warm_up

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def warmed(request):
    """Warm an ASGI application up. Raises what `warm_up` raises."""

    async def scenario(app, path, root_path):
        loop = asyncio.get_running_loop()
        wrapped = AsgiApplication(
            app, name="app", loop=loop, lifespan="off", draining=DrainNotices().asgi, on_idle=lambda: None
        )
        poller = new_poller(loop)
        try:
            return await warm_up(wrapped, path, poller, root_path=root_path)
        finally:
            poller.close()

    def run(app, path="/ready", root_path=""):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(asyncio.wait_for(scenario(app, path, root_path), DEADLINE_SECONDS))

    return run


def answering(status, body=b"", seen=None, headers=()):
    async def app(scope, receive, send):
        if seen is not None:
            seen.append(scope)
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": body})

    return app


def test_it_asks_for_the_path_and_the_query_and_is_known_by_its_name(warmed):
    seen = []
    warmed(answering(200, seen=seen), "/ready?all=1")
    (scope,) = seen
    assert (scope["method"], scope["path"], scope["query_string"]) == ("GET", "/ready", b"all=1")
    assert (b"user-agent", b"gracehttp-warmup") in scope["headers"]


@pytest.mark.parametrize(
    ("target", "scheme", "host", "path"),
    [
        ("/ready", "http", b"localhost", "/ready"),
        ("https://example.com/info", "https", b"example.com", "/info"),
        ("http://example.com:8000/", "http", b"example.com:8000", "/"),
    ],
)
def test_a_url_tells_host_and_scheme(warmed, target, scheme, host, path):
    seen = []
    warmed(answering(200, seen=seen), target)
    (scope,) = seen
    assert (scope["scheme"], scope["path"]) == (scheme, path)
    assert (b"host", host) in scope["headers"]


def test_the_root_path_is_that_of_the_server(warmed):
    seen = []
    warmed(answering(200, seen=seen), "/ready", root_path="/api")
    (scope,) = seen
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/ready")


@pytest.mark.parametrize("status", [200, 204])
def test_an_application_that_answers_works(warmed, status):
    told = warmed(answering(status))
    assert type(told) is WarmUpAnswered
    assert str(told).startswith(f"the warm-up request GET /ready to app answered {status} after 0.")


@pytest.mark.parametrize("status", [302, 401, 404])
def test_an_answer_behind_which_the_code_may_not_have_run_is_told(warmed, status):
    told = warmed(answering(status))
    assert type(told) is WarmUpMissed
    assert told.severity is Severity.WARNING
    assert f"GET /ready to app answered {status} after" in str(told)
    assert "(Hint: a URL such as https://example.com/info" in str(told)
    assert "Hint" not in str(warmed(answering(status), "https://example.com/"))


def test_it_is_told_where_a_redirect_leads(warmed):
    told = warmed(answering(301, headers=[(b"location", b"https://localhost/ready")]))
    assert "answered 301 (to https://localhost/ready, which is not asked for) after" in str(told)


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
