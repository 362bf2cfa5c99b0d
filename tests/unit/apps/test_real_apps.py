"""The applications that the process tests serve work by themselves, with the clients of their own frameworks."""

from __future__ import annotations

import asyncio
import os

import httpx
import pytest

from gracehttp.applications.importer import load_application

PID = str(os.getpid())
STREAM = "".join(f"piece {number}\n" for number in range(10))
NAMES = [
    ("fastapi_app:app", "asgi"),
    ("starlette_app:app", "asgi"),
    ("django_app:asgi", "asgi"),
    ("django_app:wsgi", "wsgi"),
    ("flask_app:app", "wsgi"),
]


def transport(name: str) -> httpx.AsyncBaseTransport | httpx.BaseTransport:
    loaded = load_application(name)
    if loaded.interface == "wsgi":
        return httpx.WSGITransport(loaded.application)
    return httpx.ASGITransport(loaded.application)


def ask(name: str, method: str, path: str, **options) -> httpx.Response:
    over = transport(name)
    if isinstance(over, httpx.WSGITransport):
        with httpx.Client(transport=over, base_url="http://test") as client:
            return client.request(method, path, **options)

    async def ask_async() -> httpx.Response:
        async with httpx.AsyncClient(transport=over, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(ask_async())


@pytest.mark.parametrize(("name", "interface"), NAMES)
def test_interface_is_recognised(name, interface):
    assert load_application(name).interface == interface


@pytest.mark.parametrize("name", [name for name, _ in NAMES])
def test_pid_slow_and_stream(name):
    assert ask(name, "GET", "/pid").text == PID
    assert ask(name, "GET", "/slow?seconds=0").text == PID
    assert ask(name, "GET", "/stream").text == STREAM
    assert ask(name, "GET", "/stream?pieces=2").text == "piece 0\npiece 1\n"


@pytest.mark.parametrize("name", ["starlette_app:app", "django_app:asgi", "django_app:wsgi", "flask_app:app"])
def test_echo(name):
    body = bytes(range(256)) * 1000
    assert ask(name, "POST", "/echo", content=body).content == body


@pytest.mark.parametrize("name", ["starlette_app:app", "flask_app:app"])
def test_file(name):
    assert "/file" in ask(name, "GET", "/file").text


def test_starlette_background_task():
    before = int(ask("starlette_app:app", "GET", "/background").text)
    assert ask("starlette_app:app", "POST", "/background").status_code == 202
    assert int(ask("starlette_app:app", "GET", "/background").text) == before + 1


def test_fastapi_lifespan_body_and_background_task():
    app = load_application("fastapi_app:app").application

    async def main() -> None:
        async with app.router.lifespan_context(app) as state:

            async def with_state(scope, receive, send):
                await app({**scope, "state": dict(state)}, receive, send)

            over = httpx.ASGITransport(with_state)
            async with httpx.AsyncClient(transport=over, base_url="http://test") as client:
                assert (await client.get("/")).json() == {"pid": os.getpid(), "started_in": os.getpid()}
                message = {"text": "a", "number": 2}
                assert (await client.post("/echo", json=message)).json() == message
                assert (await client.post("/echo", json={})).status_code == 422
                assert (await client.post("/background")).status_code == 202
                assert (await client.get("/background")).json() == {"done": 1}

    asyncio.run(main())
