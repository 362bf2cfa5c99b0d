"""Functions of the user that are called when something happens, outside the supervisor, and at stages of workers."""

from __future__ import annotations

import os
import signal

import pytest
from deadlines import DEADLINE_SECONDS
from held_request import BODY_APPLICATION, HeldRequest
from server_harness import PID_APPLICATION, get, is_alive, wait_until

FILE = """
    app = "application:app"
    bind = "127.0.0.1:0"
    {options}

    [hooks]
    {hooks}
"""
HOOKS = """
    import os
    import time

    def say(*words):
        with open("told.txt", "a") as file:
            print(*words, file=file)

    def worker_exited(event):
        say("exited", event.pid, os.getpid())

    def promoted(event):
        say("promoted", event.generation, os.getpid())

    def stage(event):
        say(type(event).__name__, event.worker, event.pid == os.getpid())

    def cut(event):
        say("cut", event.pid, os.getpid(), len(event.cut))

    def every(event):
        say(type(event).__name__)

    def fail(event):
        raise ValueError("a hook that fails")

    def block(event):
        say("blocks", os.getpid())
        time.sleep(1000)

    def crash(event):
        os._exit(7)
"""


def begin(start, hooks, options="", modules=HOOKS, application=PID_APPLICATION):
    written = "\n    ".join(f'{event} = "{hook}"' for event, hook in hooks.items())
    files = {
        "gracehttp.toml": FILE.format(options=options, hooks=written),
        "application.py": application,
        "my_hooks.py": modules,
    }
    server = start("-m", "gracehttp", "serve", "-c", "gracehttp.toml", files=files)
    server.first = server.wait_until_serving()
    return server


def told(server, count=1):
    """The lines that hooks have written, as soon as there are so many."""
    path = server.folder / "told.txt"

    def lines():
        found = path.read_text().splitlines() if path.exists() else []
        return found if len(found) >= count else None

    return [line.split() for line in wait_until(lines)]


def test_a_hook_is_called_outside_the_supervisor_and_the_workers(start):
    server = begin(start, {"worker_exited": "my_hooks:worker_exited"})
    os.kill(server.first[0], signal.SIGKILL)
    ((what, pid, caller),) = told(server)
    assert (what, int(pid)) == ("exited", server.first[0])
    assert int(caller) not in {server.pid, *server.first}


def test_neither_the_supervisor_nor_the_process_of_the_hooks_imports_the_application(start):
    tells = """
    with open("imported.txt", "a") as file:
        print(os.getpid(), file=file)
"""
    server = begin(start, {"worker_exited": "my_hooks:worker_exited"}, application=PID_APPLICATION + tells)
    os.kill(server.first[0], signal.SIGKILL)
    ((_, _, caller),) = told(server)
    imported = set(map(int, (server.folder / "imported.txt").read_text().split()))
    assert server.first[0] in imported
    assert not imported & {server.pid, int(caller)}


def test_a_worker_that_ends_in_good_order_has_exited_too(start):
    server = begin(start, {"worker_exited": "my_hooks:worker_exited"})
    server.send_signal(signal.SIGHUP)
    server.wait_until_gone(1)
    assert int(told(server)[0][1]) == server.first[0]


def test_hooks_of_a_restart_are_those_of_the_new_code(start):
    server = begin(start, {"generation_promoted": "my_hooks:promoted"})
    told(server)
    server.write("my_hooks.py", HOOKS.replace('"promoted"', '"newly promoted"'))
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(2)
    assert told(server, 2)[1][:3] == ["newly", "promoted", "2"]


def test_the_last_events_of_a_service_reach_their_hooks(start):
    server = begin(start, {"supervisor_stopped": "my_hooks:every", "stop_requested": "my_hooks:every"})
    server.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_SECONDS) == 0
    assert told(server, 2) == [["StopRequested"], ["SupervisorStopped"]]


def test_a_request_that_a_drain_cuts_is_told_by_its_worker(start):
    hooks = {"requests_cut": "my_hooks:cut"}
    server = begin(start, hooks, 'drain_timeout = "100ms"', application=BODY_APPLICATION)
    with HeldRequest(server.port) as held:
        server.send_signal(signal.SIGHUP)
        held.wait_until_cut()
    ((what, pid, caller, requests),) = told(server)
    assert (what, int(pid), requests) == ("cut", server.first[0], "1")
    assert int(caller) not in {server.pid, *server.first}


@pytest.mark.parametrize("preload", [False, True])
def test_the_stages_of_a_worker_are_told_in_the_worker(start, preload):
    stages = ("worker_forked", "worker_serving", "worker_ending")
    server = begin(start, dict.fromkeys(stages, "my_hooks:stage"), "preload = true" if preload else "")
    server.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_SECONDS) == 0
    assert all(line[2] == "True" for line in told(server))
    assert [line[0] for line in told(server)] == [*["WorkerForked"][: int(preload)], "WorkerServing", "WorkerEnding"]


def test_a_worker_that_is_forked_from_a_template_is_told_so(start):
    server = begin(start, {"worker_forked": "my_hooks:stage"}, "preload = true\n    workers = 3")
    assert sorted(line[:2] for line in told(server, 3)) == [["WorkerForked", str(number)] for number in (1, 2, 3)]
    assert server.first


def test_a_hook_that_raises_before_serving_gives_the_restart_up(start):
    server = begin(start, {"worker_serving": "my_hooks:stage"})
    server.write("my_hooks.py", HOOKS.replace("def stage(event):", "def stage(event):\n        raise KeyError(1)"))
    server.send_signal(signal.SIGHUP)
    server.wait_for("generation 2 was given up")
    assert "the hook my_hooks:stage raised KeyError" in server.log
    assert int(get(server.port)[1]) == server.first[0]


@pytest.mark.parametrize(
    ("hook", "what"),
    [("fail", "my_hooks:fail raised ValueError: a hook that fails"), ("crash", "calls hooks ended with status 7")],
)
def test_a_hook_that_fails_is_told_and_stops_nothing(start, hook, what):
    server = begin(start, {"generation_promoted": f"my_hooks:{hook}"})
    server.wait_for(what)
    assert int(get(server.port)[1]) == server.first[0]


def test_a_hook_that_blocks_stops_neither_a_restart_nor_the_end(start):
    server = begin(start, {"generation_promoted": "my_hooks:block"})
    ((_, caller),) = told(server)
    server.send_signal(signal.SIGHUP)
    server.wait_until_serving(2)
    server.wait_until_gone(1)
    server.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_SECONDS) == 0
    wait_until(lambda: not is_alive(int(caller)))


def test_a_hook_that_is_not_there_is_told_once_and_stops_nothing(start):
    server = begin(start, {"generation_promoted": "no_such_module:function"})
    server.wait_for("the hook no_such_module:function can't be loaded: there is no module 'no_such_module'. Hint: ")
    assert get(server.port)[0] == 200
    assert "Traceback" not in server.log


def test_a_hook_that_is_not_there_is_told_before_its_event(start):
    server = begin(start, {"worker_exited": "my_hooks:worker_exit"})
    server.wait_for("has no 'worker_exit'. Hint: did you mean worker_exited?")
    assert "Traceback" not in server.log


def test_a_hook_of_a_stage_that_is_not_there_is_one_sentence(start):
    files = {
        "gracehttp.toml": FILE.format(options="", hooks='worker_serving = "my_hooks:nothing"'),
        "application.py": PID_APPLICATION,
        "my_hooks.py": HOOKS,
    }
    server = start("-m", "gracehttp", "serve", "-c", "gracehttp.toml", files=files)
    server.wait_for("the hook my_hooks:nothing can't be loaded")
    assert server.process.wait(DEADLINE_SECONDS) == 3
    assert "Traceback" not in server.log


def test_an_event_that_does_not_exist_is_refused_with_the_nearest(start):
    files = {"gracehttp.toml": FILE.format(options="", hooks='worker_exit = "a:b"'), "application.py": PID_APPLICATION}
    server = start("-m", "gracehttp", "serve", "-c", "gracehttp.toml", files=files)
    server.wait_for("did you mean worker_exited")
    assert server.process.wait(DEADLINE_SECONDS) == 2


def test_a_script_gives_functions(start):
    script = """
        import os
        import gracehttp
        from gracehttp.events import WorkerExited, WorkerServing

        def on_exit(event):
            with open("told.txt", "a") as file:
                print("exited", event.pid, os.getpid(), file=file)

        grace = gracehttp.GraceHTTP()
        grace.add_server("application:app", bind="127.0.0.1:0")
        grace.on(WorkerExited, on_exit)
        grace.run()
    """
    server = start("script.py", files={"application.py": PID_APPLICATION, "script.py": script})
    server.first = server.wait_until_serving()
    os.kill(server.first[0], signal.SIGKILL)
    ((_, pid, caller),) = told(server)
    assert int(pid) == server.first[0]
    assert int(caller) not in {server.pid, *server.first}


WSGI = """
    import os

    def say(what):
        with open("told.txt", "a") as file:
            print(what, os.getpid(), file=file)

    def startup():
        say("startup")

    def shutdown():
        say("shutdown")

    def app(environ, start_response):
        start_response("200 OK", [("content-type", "text/plain")])
        return [str(os.getpid()).encode()]
"""


def begin_wsgi(start, application=WSGI):
    options = ("--bind", "127.0.0.1:0", "--startup", "application:startup", "--shutdown", "application:shutdown")
    return start("-m", "gracehttp", "serve", "application:app", *options, files={"application.py": application})


def test_a_wsgi_application_has_a_startup_and_a_shutdown_function(start):
    server = begin_wsgi(start)
    (pid,) = server.wait_until_serving()
    assert told(server) == [["startup", str(pid)]]
    server.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_SECONDS) == 0
    assert told(server, 2)[1] == ["shutdown", str(pid)]


def test_a_worker_whose_startup_function_raises_is_not_ready(start):
    server = begin_wsgi(start, WSGI.replace('say("startup")', 'raise OSError("no database")'))
    server.wait_for("the startup function of application:app raised OSError: no database")
    assert server.process.wait(DEADLINE_SECONDS) == 3


def test_an_asgi_application_with_a_startup_function_is_refused(start):
    server = begin_wsgi(start, PID_APPLICATION)
    server.wait_for("startup and shutdown are functions of WSGI applications")
    assert server.process.wait(DEADLINE_SECONDS) in {2, 3}
