"""A lifespan that is over too early is told in the log, and the application is served on."""

from __future__ import annotations

import pytest
from server_harness import get

SERVE = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0")

STARLETTE = """
    import asyncio
    import contextlib

    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    broken = asyncio.Event()

    async def listen():
        await broken.wait()
        raise ConnectionError("the broker is gone")

    @contextlib.asynccontextmanager
    async def lifespan(app):
        async with asyncio.TaskGroup() as group:
            group.create_task(listen())
            yield

    async def home(request):
        broken.set()
        return PlainTextResponse("served")

    app = Starlette(routes=[Route("/", home)], lifespan=lifespan)
"""
RAISING = """
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            raise RuntimeError("no database")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"served"})
"""


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_a_lifespan_that_crashes_while_it_serves_is_told_at_once_and_at_the_stop(start, options):
    server = start(*SERVE, *options, files={"application.py": STARLETTE})
    server.wait_until_serving()
    assert get(server.port) == (200, "served")
    server.wait_for("ERROR .* the lifespan of application:app crashed, and the application is served on without it")
    server.wait_for("ConnectionError: the broker is gone")
    assert "in listen" in server.log
    assert get(server.port) == (200, "served")
    assert server.stop() == 0
    server.wait_for("NOTICE .* the lifespan of application:app can't be told of the shutdown: it crashed before")


def test_an_application_that_raises_in_its_startup_is_served_without_lifespan(start):
    server = start(*SERVE, files={"application.py": RAISING})
    server.wait_until_serving()
    server.wait_for("ERROR .* application:app is served without lifespan, .*: RuntimeError: no database")
    assert get(server.port) == (200, "served")
    assert server.stop() == 0


def test_with_lifespan_on_it_is_refused(start):
    server = start(*SERVE, "--lifespan", "on", files={"application.py": RAISING})
    assert server.wait() == 3
    assert "RuntimeError: no database" in server.log
