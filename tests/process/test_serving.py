"""A server within a loop that runs, for tests and notebooks; and PEP 3333's own checks through a real server."""

from __future__ import annotations

import asyncio
import socket
import wsgiref.validate
from wsgiref.simple_server import demo_app

import httpx
import pytest
import uvloop
from deadlines import DEADLINE_SECONDS
from server_harness import free_port, get

import gracehttp
from gracehttp import ConfigurationError, GraceHTTPError, StartError

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
each_loop = pytest.mark.parametrize("loop", LOOPS)


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def within(loop, main):
    """Run `main()` as a notebook does, in a loop that another program has started."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(main())


def client():
    return httpx.AsyncClient(timeout=DEADLINE_SECONDS, trust_env=False)


@each_loop
def test_the_port_that_the_kernel_chose_is_told_and_free_again_afterwards(loop):
    async def main():
        async with gracehttp.serving(app) as server, client() as http:
            assert server.url == f"http://127.0.0.1:{server.port}"
            assert server.host == "127.0.0.1"
            assert (await http.get(server.url)).text == "hello"
        return server.port

    port = within(loop, main)
    with socket.create_server(("127.0.0.1", port)):
        pass


@each_loop
def test_servers_come_and_go_in_one_loop_also_side_by_side(loop):
    async def main():
        for _ in range(2):
            async with gracehttp.serving(app) as one, gracehttp.serving(demo_app) as other, client() as http:
                assert one.port != other.port
                assert (await http.get(one.url)).text == "hello"
                assert (await http.get(other.url)).text.startswith("Hello world!")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    within(loop, main)


@each_loop
def test_to_leave_waits_for_the_request_in_flight(loop):
    async def main():
        began, may_end = asyncio.Event(), asyncio.Event()

        async def slow(scope, receive, send):
            assert scope["type"] == "http"
            began.set()
            await may_end.wait()
            await app(scope, receive, send)

        async with client() as http:
            async with gracehttp.serving(slow) as server:
                answer = asyncio.create_task(http.get(server.url))
                await began.wait()
                asyncio.get_running_loop().call_later(0.1, may_end.set)
            assert (await answer).text == "hello"

    within(loop, main)


@each_loop
def test_the_lifespan_is_told(loop):
    seen = []

    async def living(scope, receive, send):
        assert scope["type"] == "lifespan"
        for phase in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{phase}"
            seen.append(phase)
            await send({"type": f"lifespan.{phase}.complete"})

    async def main():
        async with gracehttp.serving(living, lifespan="on"):
            assert seen == ["startup"]

    within(loop, main)
    assert seen == ["startup", "shutdown"]


@each_loop
def test_a_port_that_is_taken_is_told_as_an_error_of_ours(loop):
    with socket.create_server(("127.0.0.1", free_port())) as holder:

        async def main():
            async with gracehttp.serving(app, bind=f"127.0.0.1:{holder.getsockname()[1]}"):
                raise AssertionError("it can't serve")

        with pytest.raises(StartError, match="this program listens there itself already"):
            within(loop, main)


@each_loop
def test_an_application_that_does_not_start_is_told_and_leaves_nothing(loop):
    async def broken(scope, receive, send):
        await receive()
        raise RuntimeError("the database is away")

    port = free_port()

    async def main():
        with pytest.raises(GraceHTTPError, match="the database is away"):
            async with gracehttp.serving(broken, lifespan="on", bind=f"127.0.0.1:{port}"):
                raise AssertionError("it can't serve")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    within(loop, main)
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize("options", [{"wrokers": 2}, {"bind": "nowhere"}, {"bind": "https://127.0.0.1:0"}], ids=str)
def test_wrong_options_are_told_before_anything_starts(options):
    async def main():
        async with gracehttp.serving(app, **options):
            raise AssertionError("it can't serve")

    with pytest.raises(ConfigurationError):
        within("asyncio", main)


# --- PEP 3333 ---


@wsgiref.validate.validator
def checked(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    write = start_response("200 OK", [("Content-Type", "text/plain"), ("X-Length", str(len(body)))])
    write(b"written ")
    return [environ["REQUEST_METHOD"].encode(), b" ", body[:5]]


@each_loop
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_the_validator_of_the_standard_library_finds_nothing_in_a_loop(loop, method):
    async def main():
        async with gracehttp.serving(checked, interface="wsgi") as server, client() as http:
            body = b"x" * 300_000 if method != "GET" else b""
            answer = await http.request(method, f"{server.url}/a%20b?c=d", content=body)
            assert answer.status_code == 200
            assert answer.headers["x-length"] == str(len(body))
            assert answer.content == b"written " + method.encode() + b" " + body[:5]

    within(loop, main)


VALIDATED = """
    from wsgiref.simple_server import demo_app
    from wsgiref.validate import validator

    app = validator(demo_app)
"""


def test_the_validator_of_the_standard_library_finds_nothing_in_a_worker(start):
    # The validator takes any arguments, so nothing can tell from it what it is.
    arguments = ("serve", "validated:app", "--interface", "wsgi", "-b", "127.0.0.1:0")
    server = start("-m", "gracehttp", *arguments, files={"validated.py": VALIDATED})
    status, body = get(server.port, "/path?query")
    assert status == 200
    assert body.startswith("Hello world!")
    assert "QUERY_STRING = 'query'" in body
    assert server.stop() == 0
    assert "ERROR" not in server.log
