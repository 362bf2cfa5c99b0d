"""When an application hangs while it starts, the log and the requester of the start learn in which of its lines."""

from __future__ import annotations

import re

import pytest
from server_harness import PID_APPLICATION

SERVE = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0")
HANGS = """
    import asyncio
    import os
    import time

    async def connect():
        await asyncio.Event().wait()  # for ever

    async def block():
        time.sleep(600)

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            {startup}
            await send({{"type": "lifespan.startup.complete"}})
            await receive()
        else:
            {request}
            await send({{"type": "http.response.start", "status": 204, "headers": []}})
            await send({{"type": "http.response.body"}})
"""
IN_LIFESPAN = HANGS.format(startup="await connect()", request="pass")
IN_REQUEST = HANGS.format(startup="pass", request="await connect()")
BLOCKED = HANGS.format(startup="await block()", request="pass")
# The first worker of a generation becomes ready, the others hang.
IN_SIBLINGS = HANGS.format(startup="os.path.exists('ready') and await connect(); open('ready', 'x')", request="pass")

CASES = {"lifespan": (IN_LIFESPAN, ()), "warm-up": (IN_REQUEST, ("--warmup", "/x"))}


def chain(text):
    """The functions of the application in which a task waits, the outermost first, each with its source."""
    told = re.search(r"^Task .* waits here \(most recent call last\):\n((?:  .*\n)+)", text + "\n", re.M)
    assert told, text
    assert "gracehttp" not in told[1]
    return re.findall(r'^  File ".*application\.py", line \d+, in (\w+)\n    (.*)\n', told[1], re.M)


def in_connect(outer):
    return [("app", outer), ("connect", "await asyncio.Event().wait()  # for ever")]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("case", CASES)
def test_where_a_suspended_task_of_the_application_waits_is_in_the_log(start, case, loop):
    application, options = CASES[case]
    arguments = (*SERVE, "--ready-timeout", "15s", "--loop", loop, *options)
    server = start(*arguments, files={"application.py": application})
    assert server.wait() == 3
    assert chain(server.log) == in_connect("await connect()")
    announced, waits, stacks = (server.log.index(one) for one in ("comes next", "waits here", "Fatal Python error"))
    assert announced < waits < stacks
    assert "(most recent call first)" in server.log, "the stacks of the threads are there too"


def test_where_it_waits_is_told_to_whoever_asked_for_the_restart(start):
    server = start(*SERVE, "--ready-timeout", "15s", files={"application.py": PID_APPLICATION})
    server.wait_until_serving()
    server.write("application.py", IN_LIFESPAN)
    restarted = server.command("restart")
    assert restarted.returncode == 1
    assert "was not ready within 15 s" in restarted.stderr
    assert chain(restarted.stderr) == in_connect("await connect()")


def test_where_it_waits_is_told_of_a_worker_that_is_forked_from_a_template(start):
    arguments = (*SERVE, "--ready-timeout", "15s", "--preload", "-w", "2")
    server = start(*arguments, files={"application.py": IN_SIBLINGS})
    assert server.wait() == 3
    assert "worker 2 of generation 1 was not ready within 15 s" in server.log
    assert [function for function, _ in chain(server.log)] == ["app", "connect"]


def test_a_blocked_event_loop_can_not_tell_so_the_stacks_of_the_threads_do(start):
    server = start(*SERVE, "--ready-timeout", "15s", files={"application.py": BLOCKED})
    assert server.wait() == 3
    assert "waits here" not in server.log
    stack = server.log.partition("Fatal Python error: Aborted")[2]
    assert re.findall(r'application\.py", line \d+ in (\w+)', stack) == ["block", "app"]
    assert "was not ready within 15 s" in server.log


STUBBORN = """
    import asyncio

    async def stay():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    async def app(scope, receive, send):
        app.task = asyncio.create_task(stay())
        await receive()
        raise RuntimeError("no database")
"""


def test_why_a_start_failed_is_told_also_if_a_task_does_not_end(start):
    server = start(*SERVE, "--lifespan", "on", files={"application.py": STUBBORN})
    assert server.wait() == 3
    assert "the application failed in its lifespan startup: RuntimeError: no database" in server.log
    assert server.lines[-1] == "gracehttp: error: the service could not start; the log tells why."
    assert server.log.count("Traceback") == 1
