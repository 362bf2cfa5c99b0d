"""`serving` and `running`: a server within a program that does something else, such as a test."""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS

import gracehttp
from gracehttp import embedded
from gracehttp.wire.signals import SIGNALS


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["thread"] = threading.current_thread().name
        await send({"type": "lifespan.startup.complete"})
        await receive()
        EVENTS.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = f"{scope['path']} in {scope['state']['thread']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


EVENTS: list[str] = []


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"wsgi"]


def get(server, path="/"):
    with urllib.request.urlopen(server.url + path, timeout=DEADLINE_SECONDS) as response:
        return response.read().decode()


def test_a_block_has_a_server_in_a_thread_and_its_lifespan() -> None:
    EVENTS.clear()
    with gracehttp.running(application) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert get(server, "/a") == "/a in gracehttp"
        assert EVENTS == []
    assert EVENTS == ["shutdown"]
    with pytest.raises(OSError, match="refused"):
        get(server)


def test_the_process_is_left_as_it_is() -> None:
    def state():
        handlers = [signal.getsignal(number) for number in SIGNALS]
        return handlers, signal.pthread_sigmask(signal.SIG_BLOCK, ()), list(sys.path)

    before, threads = state(), set(threading.enumerate())
    with gracehttp.running(wsgi) as server:
        assert get(server) == "wsgi"
        assert state() == before
    assert state() == before
    for thread in set(threading.enumerate()) - threads:  # those of WSGI applications end by themselves
        thread.join(DEADLINE_SECONDS)
    assert set(threading.enumerate()) <= threads


def test_several_at_a_time_serve_at_the_same_time() -> None:
    with (
        gracehttp.running(application) as one,
        gracehttp.running(application) as two,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        answers = list(pool.map(lambda number: get((one, two)[number % 2], f"/{number}"), range(200)))
    assert answers == [f"/{number} in gracehttp" for number in range(200)]


def test_an_error_of_the_block_is_the_users_and_the_server_ends() -> None:
    with pytest.raises(ZeroDivisionError), gracehttp.running(wsgi) as server:
        1 / 0  # noqa: B018  it raises
    with pytest.raises(OSError, match="refused"):
        get(server)


async def broken(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


@pytest.mark.parametrize(
    ("app", "options", "message"),
    [
        ("no_module_of_that_name:app", {}, "no_module_of_that_name"),
        (broken, {}, "no database"),
        (wsgi, {"workers": 2}, "workers has no effect"),
        (wsgi, {"wrokers": 2}, "'wrokers' is no option"),
        (wsgi, {"bind": 8000}, "bind must be an address"),
    ],
)
def test_what_can_not_start_is_one_error_in_the_users_thread(app, options, message) -> None:
    before = set(threading.enumerate())
    with pytest.raises(gracehttp.GraceHTTPError, match=message), gracehttp.running(app, **options):
        pytest.fail("it runs")
    assert set(threading.enumerate()) <= before


def test_in_a_loop_that_runs_it_says_what_to_use_instead() -> None:
    async def main() -> None:
        with gracehttp.running(wsgi):
            pass

    with pytest.raises(gracehttp.GraceHTTPError, match="in an event loop, which it would block") as caught:
        asyncio.run(main())
    assert "async with gracehttp.serving(app)" in caught.value.hint


async def stubborn(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
    GO_ON.wait()  # it blocks its loop


GO_ON = threading.Event()


def test_an_application_that_does_not_end_is_told_of(monkeypatch) -> None:
    monkeypatch.setattr(embedded, "END_SECONDS", 0.2)
    GO_ON.clear()
    before = set(threading.enumerate())
    try:
        with (
            pytest.raises(gracehttp.GraceHTTPError, match=r"the application has not ended 0.2 s after its drain"),
            gracehttp.running(stubborn, lifespan="off", drain_timeout=0) as server,
        ):
            get(server)
    finally:
        GO_ON.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(DEADLINE_SECONDS)


PAGE = (Path(__file__).parents[2] / "docs" / "development.md").read_text(encoding="utf-8")
MAIN = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""


def test_the_tests_on_the_page_pass(tmp_path) -> None:
    files = dict(re.findall(r"<!-- tested by test_embedded.py as (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))
    assert files.keys() == {"conftest.py", "test_main.py", "test_async.py"}
    for name, text in {**files, "main.py": MAIN}.items():
        (tmp_path / name).write_text(text)
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:dash", "-W", "error", "--rootdir", tmp_path]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(
        [*command, tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
