"""Whatever is wrong with new code, the old one serves on, and the requester of the restart learns why (promise 4)."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

import pytest
from load_client import ECHO_APPLICATION, Load
from server_harness import DEADLINE_SECONDS, free_port, get, wait_until

SCRIPT = """
    import gracehttp
    from application import app

    grace = gracehttp.GraceHTTP(workers=2, ready_timeout={ready_timeout!r})
    grace.add_server(app, bind="127.0.0.1:0")
    grace.run()
"""

OPTIONS = """
    app = "application:app"
    workers = 2
    ready_timeout = {ready_timeout!r}
    [[server]]
    bind = "127.0.0.1:0"
"""

SECOND_PORT_IN_SCRIPT = SCRIPT.replace(
    "    grace.run()", '    grace.add_server(app, bind="127.0.0.1:{port}")\n    grace.run()'
)
SECOND_PORT_IN_OPTIONS = OPTIONS + '    [[server]]\n    bind = "127.0.0.1:{port}"\n'


@dataclass(frozen=True)
class Fault:
    """A mistake in application.py, and the words that must reach the requester.

    A script imports the application by itself, so there the words are Python's own.
    """

    application: str
    told_of_script: tuple[str, ...]
    told_of_serve: tuple[str, ...]
    hangs: bool = False


FAULTS = {
    "syntax-error": Fault("def app(:\n", ("application.py", "SyntaxError: "), ("application.py", "SyntaxError: ")),
    "import-error": Fault(
        "from os import what_is_not_there",
        ("application.py", "ImportError: cannot import name 'what_is_not_there'"),
        ("application.py", "ImportError: cannot import name 'what_is_not_there'"),
    ),
    "exception-in-lifespan-startup": Fault(
        """
        import traceback

        async def app(scope, receive, send):  # it fails as Starlette does
            if scope["type"] == "lifespan":
                await receive()
                try:
                    raise RuntimeError("the database is away")
                except RuntimeError:
                    await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})
                    raise
        """,
        ("lifespan startup", "application.py", "RuntimeError: the database is away"),
        ("lifespan startup", "application.py", "RuntimeError: the database is away"),
    ),
    "exit-at-import": Fault(
        "import sys\nsys.exit(0)",
        ("its worker 3 ended with status 0",),
        ("application.py", "sys.exit(0)", "SystemExit"),
    ),
    "hang-at-import": Fault(
        """
        import threading

        def wait_for_what_never_comes():
            threading.Event().wait()

        wait_for_what_never_comes()
        """,
        ("was not ready within 15 s: it was still running the code before run()", "in wait_for_what_never_comes"),
        ("was not ready within 15 s: it was still importing application:app", "in wait_for_what_never_comes"),
        hangs=True,
    ),
    "segmentation-fault-at-import": Fault(
        """
        import ctypes
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)
        """,
        ("was killed by SIGSEGV", "application.py", "in string_at"),
        ("was killed by SIGSEGV", "application.py", "in string_at"),
    ),
}

THERE_IS_ONE_LOCK = Fault(
    """
    import os

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        with open("starts", "a") as starts:
            starts.write("x")
        if os.path.getsize("starts") > 1:
            reason = "RuntimeError: there is one lock and two workers"
            await send({"type": "lifespan.startup.failed", "message": reason})
        await send({"type": "lifespan.startup.complete"})
        await receive()
    """,
    ("its worker 4 failed", "RuntimeError: there is one lock and two workers"),
    ("its worker 4 failed", "RuntimeError: there is one lock and two workers"),
)
CASES = [
    *(pytest.param(fault, form, id=f"{name}-{form}") for form in ("script", "serve") for name, fault in FAULTS.items()),
    pytest.param(THERE_IS_ONE_LOCK, "preload", id="exception-in-a-forked-worker-preload"),
]


def begin(start, form, ready_timeout="30s"):
    """A service that is in order, as a script or by `gracehttp serve`, with `--preload` or without."""
    files = {"application.py": ECHO_APPLICATION}
    if form == "script":
        files["script.py"] = SCRIPT.format(ready_timeout=ready_timeout)
        server = start("script.py", files=files)
    else:
        files["gracehttp.toml"] = OPTIONS.format(ready_timeout=ready_timeout)
        environment = {"GRACEHTTP_PRELOAD": "true"} if form == "preload" else {}
        server = start("-m", "gracehttp", "serve", "-c", "gracehttp.toml", files=files, environment=environment)
    server.wait_until_serving()
    server.first = server.workers()  # and the template, if there is one
    return server


def assert_a_restart_fails_and_nothing_else_happens(server, load, *told):
    failed = server.command("restart")
    assert failed.returncode == 1, failed
    for words in told:
        assert words in failed.stderr
    assert failed.stdout == ""
    assert failed.stderr.count(" was given up: ") == 1
    assert "did not start" not in failed.stderr, "the outcome is told once, with its reason"
    wait_until(lambda: sorted(server.workers()) == sorted(server.first), what="the end of the new workers")
    assert load.who_answers_now() <= set(server.first)


def assert_a_restart_succeeds(server, load):
    done = server.command("restart")
    assert done.returncode == 0, done
    second = {int(word) for word in re.search(r"PIDs: ([\d ]+)", done.stdout)[1].split()}
    assert len(second) == 2
    assert not second & set(server.first)
    load.wait_for_answers_of(second)
    assert int(get(server.port)[1].split()[0]) in second


@pytest.mark.parametrize(("fault", "form"), CASES)
def test_old_workers_serve_on_when_new_code_has(start, fault, form):
    # A script that hangs never comes to say how long it may take, so what the code before it said holds.
    server = begin(start, form, ready_timeout="15s" if fault.hangs and form == "script" else "30s")
    with Load(server.port, keep_alive=4, reconnecting=2) as load:
        server.write("application.py", fault.application)
        if fault.hangs and form == "serve":
            server.write("gracehttp.toml", OPTIONS.format(ready_timeout="15s"))
        told = fault.told_of_script if form == "script" else fault.told_of_serve
        assert_a_restart_fails_and_nothing_else_happens(server, load, *told)
        server.write("application.py", ECHO_APPLICATION)
        if fault.hangs and form == "serve":
            server.write("gracehttp.toml", OPTIONS.format(ready_timeout="30s"))
        assert_a_restart_succeeds(server, load)
    assert load.account.lost == []
    assert load.account.refused == 0


@pytest.mark.parametrize("form", ["script", "serve"])
def test_old_workers_serve_on_when_new_code_wants_a_port_that_is_taken(start, form):
    server = begin(start, form)
    name, wrong = (
        ("script.py", SECOND_PORT_IN_SCRIPT) if form == "script" else ("gracehttp.toml", SECOND_PORT_IN_OPTIONS)
    )
    holder = socket.create_server(("127.0.0.1", free_port()))
    taken = holder.getsockname()[1]
    with holder, Load(server.port, keep_alive=4, reconnecting=2) as load:
        server.write(name, wrong.format(ready_timeout="30s", port=taken))
        told = f"cannot listen on 127.0.0.1:{taken}: it is in use by pid {os.getpid()}"
        assert_a_restart_fails_and_nothing_else_happens(server, load, told)
        holder.close()
        assert_a_restart_succeeds(server, load)
        with Load(taken, reconnecting=1):
            pass
    assert load.account.lost == []
    assert load.account.refused == 0


# --- the same faults when there is nothing yet that could serve on ---


def assert_it_ends_with_status_3(server, *told):
    assert server.wait() == 3, server.log
    for words in told:
        assert words in server.log
    with pytest.raises(ProcessLookupError):
        os.killpg(server.pid, 0)


FIRST_STARTS = [
    *(pytest.param(fault, [], id=name) for name, fault in FAULTS.items()),
    # With --preload these two are seen in other places: before the template is left, and after that.
    *(
        pytest.param(FAULTS[name], ["--preload"], id=f"{name}-preload")
        for name in ("syntax-error", "exception-in-lifespan-startup")
    ),
]


@pytest.mark.parametrize(("fault", "options"), FIRST_STARTS)
def test_a_first_start_ends_with_status_3_and_the_reason_when_the_code_has(start, fault, options):
    arguments = ["-m", "gracehttp", "serve", "application:app", "-w", "2", "-b", "127.0.0.1:0"]
    timeout = ["--ready-timeout", "15s" if fault.hangs else "30s"]
    server = start(*arguments, *timeout, *options, files={"application.py": fault.application})
    assert_it_ends_with_status_3(server, *fault.told_of_serve)


def test_a_first_start_that_hangs_names_the_timeout_as_the_reason(start):
    files = {"application.py": FAULTS["hang-at-import"].application}
    arguments = ["-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--ready-timeout", "15s"]
    server = start(*arguments, files=files)
    assert server.wait() == 3
    reason = (
        "its worker 1 was not ready within 15 s: it was still importing application:app (ready_timeout allows more)"
    )
    assert server.lines[-1].endswith(f"the service could not start: {reason}.")
    stack = next(at for at, line in enumerate(server.lines) if line.startswith("Fatal Python error: Aborted"))
    # Right before it, unless the supervisor has told of something else meanwhile.
    assert any("its stack comes next" in line for line in server.lines[:stack]), "a reader must not take it for a crash"


def test_a_first_start_of_a_script_ends_with_status_3_and_the_traceback(start):
    fault = FAULTS["exception-in-lifespan-startup"]
    script = SCRIPT.format(ready_timeout="30s")
    server = start("script.py", files={"application.py": fault.application, "script.py": script})
    assert_it_ends_with_status_3(server, *fault.told_of_script)


def test_a_first_start_ends_with_status_3_when_a_port_is_taken_and_tells_by_whom(start):
    with socket.create_server(("127.0.0.1", free_port())) as holder:
        taken = holder.getsockname()[1]
        script = SECOND_PORT_IN_SCRIPT.format(ready_timeout="30s", port=taken)
        server = start("script.py", files={"application.py": ECHO_APPLICATION, "script.py": script})
        told = f"cannot listen on 127.0.0.1:{taken}: it is in use by pid {os.getpid()}"
        assert_it_ends_with_status_3(server, told)


def test_a_first_start_that_fails_leaves_a_port_that_was_free_free(start):
    port = free_port()
    files = {"application.py": FAULTS["import-error"].application}
    server = start("-m", "gracehttp", "serve", "application:app", "-b", f"127.0.0.1:{port}", files=files)
    assert server.wait(DEADLINE_SECONDS) == 3
    with socket.create_server(("127.0.0.1", port)):
        pass
