"""Processes that an application starts, in each way: they can be ended, and don't outlive or delay the worker."""

from __future__ import annotations

import os
import signal

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import get, is_alive, wait_until

SERVE = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0")

WORK = """
    import asyncio
    import functools
    import multiprocessing
    import os
    import signal
    import subprocess
    import sys
    import time

    def square(number):
        return number * number

    def terminate(method, at_once=True):
        process = multiprocessing.get_context(method).Process(target=time.sleep, args=(60,))
        process.start()
        if not at_once:
            time.sleep(0.2)  # so that the child is past the fork
        process.terminate()
        process.join(10)
        return process.exitcode

    def pool(method):
        with multiprocessing.get_context(method).Pool(2) as workers:
            return sum(workers.map(square, range(8)))

    def fork():
        child = os.fork()
        if not child:
            while True:
                signal.pause()
        os.kill(child, signal.SIGTERM)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def execute():
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        child.terminate()
        return child.wait()

    def environment():
        return subprocess.run([sys.executable, "-c", "import os; print(*os.environ)"], stdout=subprocess.PIPE,
                              text=True, check=True).stdout

    WORKS = {
        "/terminate": functools.partial(terminate, "fork"),
        "/terminate-later": functools.partial(terminate, "fork", False),
        "/terminate-forkserver": functools.partial(terminate, "forkserver"),
        "/terminate-spawn": functools.partial(terminate, "spawn"),
        "/pool": functools.partial(pool, "fork"),
        "/pool-forkserver": functools.partial(pool, "forkserver"),
        "/fork": fork,
        "/execute": execute,
        "/environment": environment,
    }
"""
ASGI = (
    WORK
    + """
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        body = str(WORKS[scope["path"]]()).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""
)
WSGI = (
    WORK
    + """
    def app(environ, start_response):
        body = str(WORKS[environ["PATH_INFO"]]()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
"""
)
LIFESPAN = (
    WORK
    + """
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            app.ended = terminate("fork")
            app.daemon = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True)
            app.daemon.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = f"{app.ended} {app.daemon.pid}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
"""
)
KINDS = pytest.mark.parametrize(
    ("application", "options"),
    [
        pytest.param(ASGI, ("--loop", "uvloop"), id="ASGI-uvloop"),
        pytest.param(ASGI, ("--loop", "asyncio"), id="ASGI-asyncio"),
        pytest.param(WSGI, ("--threads", "2"), id="WSGI"),
        pytest.param(ASGI, ("--preload", "-w", "2"), id="ASGI-preload"),
    ],
)


def begin(start, application, *options, **more):
    server = start(*SERVE, *options, files={"application.py": application}, **more)
    server.wait_until_serving()
    return server


@KINDS
def test_a_process_that_a_request_starts_can_be_ended(start, application, options):
    server = begin(start, application, *options)
    paths = ("/terminate", "/terminate-later", "/terminate-forkserver", "/terminate-spawn", "/fork", "/execute")
    assert {path: get(server.port, path, timeout=DEADLINE_SECONDS) for path in paths} == dict.fromkeys(
        paths, (200, "-15")
    )
    for _ in range(20):
        assert get(server.port, "/terminate", timeout=DEADLINE_SECONDS) == (200, "-15")
    assert server.stop() == 0


@KINDS
def test_a_pool_of_processes_works_each_time(start, application, options):
    server = begin(start, application, *options)
    for _ in range(30):
        assert get(server.port, "/pool", timeout=DEADLINE_SECONDS) == (200, "140")
    assert get(server.port, "/pool-forkserver", timeout=DEADLINE_SECONDS) == (200, "140")
    assert server.stop() == 0


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_a_daemon_that_the_lifespan_starts_neither_delays_a_restart_nor_is_left_over(start, options):
    server = begin(start, LIFESPAN, *options)
    ended, daemon = get(server.port)[1].split()
    assert ended == "-15"
    server.restart(2)
    server.wait_until_gone(1)
    assert not is_alive(int(daemon))
    assert "Timeout" not in server.log, "nothing held the worker up"
    _, daemon = get(server.port)[1].split()
    assert server.stop() == 0
    wait_until(lambda: not is_alive(int(daemon)), what="the end of the daemon")
    assert "Timeout" not in server.log


def test_what_the_supervisor_sets_for_a_worker_is_not_left_to_the_programs_that_the_application_starts(start):
    server = begin(start, ASGI)
    names = get(server.port, "/environment")[1].split()
    assert not [one for one in names if one.startswith("GRACEHTTP_") and one not in server.variables]
    assert ("PYTHONFAULTHANDLER" in names) == ("PYTHONFAULTHANDLER" in os.environ)


EXIT_HANDLER = """
    import atexit
    import subprocess
    import sys

    # In one write: two of them run at the same time.
    SHOW = "import os; from signal import *; "
    SHOW += "os.write(1, b'answers %d %d\\\\n' % (getsignal(SIGTERM), getsignal(SIGHUP)))"

    def run_a_program():
        subprocess.run([sys.executable, "-c", SHOW], stdout=2, check=True)

    atexit.register(run_a_program)

    async def app(scope, receive, send):
        assert scope["type"] == "http"
"""


@pytest.mark.parametrize("options", [(), ("--preload", "-w", "2")], ids=["", "preload"])
def test_a_program_that_an_exit_handler_starts_answers_signals_as_usual(start, options):
    server = begin(start, EXIT_HANDLER, *options)
    assert server.stop() == 0
    server.wait_for(f"answers {int(signal.SIG_DFL)} {int(signal.SIG_DFL)}", count=2 if options else 1)
