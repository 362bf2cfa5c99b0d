"""An application finds the same surroundings wherever it is imported: no event loop runs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, get

import gracehttp

SERVE = ("-m", "gracehttp", "serve", "-b", "127.0.0.1:0")

RUNS_A_LOOP = """
    import asyncio

    async def configuration():
        await asyncio.sleep(0)
        return "made by a loop of its own"

    CONFIG = asyncio.run(configuration())

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        body = CONFIG.encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"25")]})
        await send({"type": "http.response.body", "body": body})

    def make():
        asyncio.run(configuration())
        return app
"""
QUERIES_IN_READY = """
    import sys
    import types

    from django.apps import AppConfig
    from django.conf import settings

    FOUND = []

    class Ready(AppConfig):
        name = "shop"
        path = "."

        def ready(self):
            from django.db import connection

            with connection.cursor() as cursor:  # Django refuses that within a running loop
                FOUND.extend(cursor.execute("select 'made by a query of ready'").fetchone())

    shop = types.ModuleType("shop")
    shop.Ready = Ready
    sys.modules["shop"] = shop
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["shop.Ready"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a test",
    )

    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    urlpatterns = [path("", lambda request: HttpResponse(FOUND[0]))]
    make = get_asgi_application
    app = get_asgi_application()
    wsgi = get_wsgi_application()
"""
CASES = pytest.mark.parametrize(
    ("application", "target", "options", "answer"),
    [
        pytest.param(RUNS_A_LOOP, "application:app", (), "made by a loop of its own", id="loop"),
        pytest.param(RUNS_A_LOOP, "application:make", ("--factory",), "made by a loop of its own", id="loop-factory"),
        pytest.param(QUERIES_IN_READY, "application:app", (), "made by a query of ready", id="django"),
        pytest.param(
            QUERIES_IN_READY, "application:make", ("--factory",), "made by a query of ready", id="django-factory"
        ),
        pytest.param(QUERIES_IN_READY, "application:wsgi", (), "made by a query of ready", id="django-wsgi"),
    ],
)


@CASES
@pytest.mark.parametrize(
    "form",
    [("--loop", "uvloop"), ("--loop", "asyncio"), ("--preload", "-w", "2")],
    ids=["uvloop", "asyncio", "preload"],
)
def test_a_worker_imports_without_a_running_loop(start, form, application, target, options, answer):
    server = start(*SERVE, target, *options, *form, files={"application.py": application})
    server.wait_until_serving()
    assert get(server.port) == (200, answer)
    server.restart(2)
    assert get(server.port) == (200, answer)
    assert server.stop() == 0


@CASES
def test_check_imports_without_a_running_loop(start, application, target, options, answer):
    check = start("-m", "gracehttp", "check", target, *options, files={"application.py": application})
    assert check.wait() == 0, check.log


SERVING = """
    import asyncio
    import sys
    import urllib.request

    import gracehttp

    async def main(target, *options):
        async with gracehttp.serving(target, factory=bool(options), lifespan="off") as server:
            answer = await asyncio.to_thread(urllib.request.urlopen, server.url)
            print("answer:", answer.read().decode(), file=sys.stderr)

    asyncio.run(main(*sys.argv[1:]))
"""


@CASES
def test_serving_imports_without_a_running_loop(start, application, target, options, answer):
    program = start("program.py", target, *options, files={"application.py": application, "program.py": SERVING})
    program.wait_for(f"^answer: {answer}$")
    assert program.wait() == 0


ASKS_FOR_THE_LOOP = """
    import asyncio

    LOOP = asyncio.get_event_loop()

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        same = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "same"), LOOP))
        assert LOOP is asyncio.get_running_loop()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": same.encode()})
"""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_the_current_loop_of_an_import_is_the_one_that_will_serve(start, loop):
    server = start(*SERVE, "application:app", "--loop", loop, files={"application.py": ASKS_FOR_THE_LOOP})
    server.wait_until_serving()
    assert get(server.port) == (200, "same")


def test_the_current_loop_of_an_import_by_serving_is_the_one_that_serves(tmp_path, monkeypatch):
    (tmp_path / "asks_for_the_loop.py").write_text(textwrap.dedent(ASKS_FOR_THE_LOOP))
    monkeypatch.syspath_prepend(tmp_path)

    async def scenario():
        async with gracehttp.serving("asks_for_the_loop:app") as server:
            return await asyncio.to_thread(get, server.port)

    assert asyncio.run(scenario()) == (200, "same")


WAITS = """
    import sys

    print("imports", file=sys.stderr, flush=True)
    with open("gate") as gate:
        gate.read()
    from gracehttp.demo.app import application as app
"""


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_a_stop_during_a_long_import_ends_it(start, options, tmp_path):
    os.mkfifo(tmp_path / "gate")
    server = start(*SERVE, "application:app", *options, files={"application.py": WAITS})
    server.wait_for("^imports$")
    server.send_signal(signal.SIGTERM)
    server.wait_for("stop requested by SIGTERM")
    server.wait()
    assert "stopped" in server.log


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_a_restart_during_a_long_import_takes_its_place(start, options, tmp_path):
    os.mkfifo(tmp_path / "gate")
    server = start(*SERVE, "application:app", *options, files={"application.py": PID_APPLICATION})
    server.wait_until_serving()
    server.write("application.py", WAITS)
    server.send_signal(signal.SIGHUP)
    server.wait_for("^imports$")
    server.write("application.py", PID_APPLICATION)
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(3)
    assert get(server.port)[0] == 200


def check(server, *arguments):
    command = [sys.executable, "-m", "gracehttp", "check", *arguments]
    return subprocess.run(
        command, cwd=server.folder, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["each", "preload"])
def test_an_import_that_raises_what_is_no_exception_is_told_in_a_sentence(start, options):
    server = start(*SERVE, "main:app", *options, files={"main.py": "import asyncio\nraise asyncio.CancelledError\n"})
    assert server.wait() == 3
    assert "the module main raised CancelledError while it was imported" in server.log
    assert "importer.py" not in server.log
    assert server.log.count("Traceback") == 1
    checked = check(server, "main:app")
    assert "the module main raised CancelledError while it was imported." in checked.stdout + checked.stderr
    assert "importer.py" not in checked.stdout + checked.stderr


def test_an_application_directory_without_the_module_is_not_completed_by_the_working_directory(start):
    files = {"main.py": PID_APPLICATION, "empty/other.txt": ""}
    server = start(*SERVE, "main:app", "--app-dir", "empty", files=files)
    assert server.wait() == 3
    assert "there is no module 'main'" in server.log
    checked = check(server, "main:app", "--app-dir", "empty")
    assert checked.returncode == 3
    assert "there is no module 'main'." in checked.stdout + checked.stderr
