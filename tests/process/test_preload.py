"""With --preload a generation imports its application once, and keeps that code whatever happens to its workers."""

from __future__ import annotations

import os
import signal
import socket
import textwrap
from pathlib import Path

import pytest
from server_harness import get, is_alive, wait_until

COUNTING = """
    import gc
    import os
    import random
    import subprocess
    import sys

    with open("imports", "a") as imports:
        imports.write("x")

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/segfault":
            import ctypes
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            ctypes.string_at(0)
        if scope["path"] == "/exit":
            os._exit(7)
        if scope["path"] == "/orphan":
            subprocess.run(["sh", "-c", "sleep 60 & echo orphan $! >&2"])
        body = {
            "/frozen": str(gc.get_freeze_count() > 0),
            "/random": str(random.random()),
            "/pid": str(os.getpid()),
        }.get(scope["path"], "first code").encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""
OTHER = COUNTING.replace("first code", "other code")
SERVE = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0")
SCRIPT = """
    import gracehttp
    from application import app

    grace = gracehttp.GraceHTTP(workers=3, preload=True)
    grace.add_server(app, bind="127.0.0.1:0")
    grace.run()
"""


def begin(start, *options, workers=2, application=COUNTING):
    server = start(*SERVE, "-w", workers, *options, files={"application.py": application})
    server.first = server.wait_until_serving()
    return server


def template_of(server, generation=1):
    return int(server.wait_for(rf"the template of generation {generation} has imported .* pid (\d+)")[1])


def imports(server):
    return len((server.folder / "imports").read_text())


def kill_a_worker_and_wait_for_the_next(server, *, ready):
    """Returns its PID; `ready` is how many workers have become ready then, since the beginning."""
    os.kill(server.first[0], signal.SIGKILL)
    return int(server.wait_for(r"is ready after .* pid (\d+)", count=ready)[1])


def sleeps(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def answers(server, path="/", *, times=30):
    return {get(server.port, path)[1] for _ in range(times)}


def test_a_generation_of_eight_workers_imports_the_application_once(start):
    server = begin(start, "--preload", workers=8)
    assert len(set(server.first)) == 8
    assert imports(server) == 1
    assert answers(server, "/frozen") == {"True"}, "or the garbage collection of each would end the sharing of memory"


def processor_seconds(pid):
    """What the process has used since it was forked (proc_pid_stat(5)); an import before that is not its own."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_import_that_takes_half_a_second_of_a_processor_is_done_once_for_eight_workers(start):
    """Counted in time of processors, so that a busy machine changes nothing."""
    slow = "import time\nwhile time.process_time() < 0.5: pass\n" + textwrap.dedent(COUNTING)
    server = begin(start, "--preload", workers=8, application=slow)
    assert imports(server) == 1
    assert len(set(server.first)) == 8
    spent = sum(processor_seconds(pid) for pid in server.workers())
    assert 0.4 < spent < 3 * 0.5, "eight imports would be 4; the kernel counts whole ticks only"


def test_a_script_preloads_as_well(start):
    server = start("script.py", files={"application.py": COUNTING, "script.py": SCRIPT})
    server.first = server.wait_until_serving()
    assert imports(server) == 2, "the supervisor runs the script too"
    server.write("application.py", OTHER)
    kill_a_worker_and_wait_for_the_next(server, ready=4)
    assert answers(server) == {"first code"}
    assert imports(server) == 2


@pytest.mark.parametrize(
    "choice", ["signal.SIG_IGN", "lambda *_: os.waitpid(-1, os.WNOHANG)"], ids=["ignored", "reaper"]
)
def test_what_the_application_chose_for_its_own_children_stays_its_choice_in_all_workers(start, choice):
    chosen = COUNTING.replace(
        "import gc\n", f"import os, signal\n    signal.signal(signal.SIGCHLD, {choice})\n    import gc\n"
    )
    chosen = chosen.replace(
        '"/pid":', '"/choice": f"{os.getpid()} {signal.getsignal(signal.SIGCHLD) != signal.SIG_DFL}", "/pid":'
    )
    server = begin(start, "--preload", application=chosen)
    assert imports(server) == 1
    expected = {f"{pid} True" for pid in server.first}
    wait_until(lambda: answers(server, "/choice") == expected, what="answers of both")


def test_a_worker_that_crashed_is_replaced_by_the_same_code_whatever_is_on_disk(start):
    server = begin(start, "--preload")
    server.write("application.py", OTHER)
    successor = kill_a_worker_and_wait_for_the_next(server, ready=3)
    server.wait_for("was killed by SIGKILL; another one starts")
    wait_until(lambda: str(successor) in answers(server, "/pid"))
    assert answers(server) == {"first code"}
    assert imports(server) == 1
    assert "runs other code" not in server.log


def test_a_worker_more_has_the_same_code(start):
    server = begin(start, "--preload", workers=1)
    server.write("application.py", "def app(:\n")
    server.send_signal(signal.SIGTTIN)
    more = int(server.wait_for(r"is ready after .* pid (\d+)", count=2)[1])
    wait_until(lambda: str(more) in answers(server, "/pid"))


def test_a_worker_that_is_recycled_is_replaced_by_the_same_code(start):
    server = begin(start, "--preload", "--max-requests", 5, "--max-requests-jitter", 0, workers=1)
    server.write("application.py", "def app(:\n")
    assert answers(server, times=5) == {"first code"}
    successor = server.wait_for(r"is ready after .* pid (\d+)", count=2)[1]
    wait_until(lambda: get(server.port, "/pid")[1] == successor)


def test_a_restart_brings_new_code_and_crashes_go_on_with_that(start):
    server = begin(start, "--preload")
    server.write("application.py", OTHER)
    server.first = server.restart(2)
    server.write("application.py", COUNTING)
    kill_a_worker_and_wait_for_the_next(server, ready=5)
    assert answers(server) == {"other code"}
    assert imports(server) == 2


@pytest.mark.parametrize(
    ("path", "how"),
    [("/segfault", "was killed by SIGSEGV"), ("/exit", "ended with status 7")],
    ids=["signal", "status"],
)
def test_a_forked_worker_that_ends_gives_its_permits_back_and_the_supervisor_knows_how_it_ended(start, path, how):
    server = begin(start, "--preload", "--max-connections", 1)
    os.kill(server.first[0], signal.SIGKILL)  # the first one was not forked
    server.wait_for("is ready after", count=3)
    server.wait_for("was killed by SIGKILL", count=1)
    with pytest.raises(ConnectionError):
        get(server.port, path)
    server.wait_for(f"worker [23] of generation 1 {how}")
    server.wait_for("is ready after", count=4)
    assert answers(server) == {"first code"}


def test_workers_are_random_each_for_itself(start):
    server = begin(start, "--preload", workers=4)
    values = [get(server.port, "/random")[1] for _ in range(60)]
    assert len(set(values)) == len(values)


# --- the template ---


def test_a_template_lives_as_long_as_its_generation(start):
    server = begin(start, "--preload")
    first = template_of(server)
    assert sorted(server.workers()) == sorted([*server.first, first])
    assert server.status()["generations"][0]["template"] == first
    second = server.restart(2)
    server.wait_until_gone(1)
    wait_until(lambda: sorted(server.workers()) == sorted([*second, template_of(server, 2)]))
    assert server.stop() == 0
    assert not is_alive(template_of(server, 2))
    assert "is gone: " not in server.log


def test_a_template_that_is_killed_takes_nothing_along_and_is_missed_aloud(start):
    server = begin(start, "--preload")
    server.write("application.py", OTHER)
    os.kill(template_of(server), signal.SIGKILL)
    server.wait_for("the template of generation 1 was killed by SIGKILL: its workers serve on")
    assert sorted(server.workers()) == sorted(server.first)
    assert answers(server) == {"first code"}
    kill_a_worker_and_wait_for_the_next(server, ready=3)
    differs = server.wait_for(r"worker 3 runs other code than generation 1 started with: (\S+) changed since")
    assert differs[1].endswith("application.py")
    wait_until(lambda: answers(server) == {"first code", "other code"})
    assert len(server.workers()) == 2, "the code on disk is no template for this generation"
    assert answers(server, times=1)
    server.restart(2)
    assert answers(server) == {"other code"}
    assert template_of(server, 2)


def test_a_template_ends_with_the_supervisor(start):
    server = begin(start, "--preload")
    server.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, [*server.first, template_of(server)])), what="the end of all")
    with socket.create_server(("127.0.0.1", server.port)):
        pass


def test_a_template_holds_nothing_of_the_worker_that_left_it(start):
    server = begin(start, "--preload")
    folder = Path(f"/proc/{template_of(server)}/fd")

    def sockets_and_the_like():
        opened = [os.readlink(path) for path in folder.iterdir()]
        log = os.readlink(f"/proc/{server.pid}/fd/2")
        kinds = ("socket:", "pipe:", "anon_inode:", "/memfd:")
        return [name for name in opened if name.startswith(kinds) and name != log]

    wait_until(lambda: len(sockets_and_the_like()) == 1, what="nothing but its channel and the log")


def test_group_signals_end_no_template(start):
    server = begin(start, "--preload")
    os.killpg(server.pid, signal.SIGHUP)
    server.first = server.wait_until_serving(2)
    os.killpg(server.pid, signal.SIGTTIN)
    server.wait_for("is ready after", count=5)
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait() == 0
    assert "was killed" not in server.log


def test_threads_that_an_import_started_are_told_and_the_workers_run_anyway(start):
    threaded = (
        COUNTING
        + """
    import threading

    threading.Thread(target=threading.Event().wait, name="refresher", daemon=True).start()
    """
    )
    server = begin(start, "--preload", application=threaded)
    server.wait_for(r"importing the application started threads \(refresher\)")
    assert answers(server) == {"first code"}
    assert "DeprecationWarning" not in server.log


def test_orphans_of_the_application_are_reaped(start):
    server = begin(start, "--preload")
    get(server.port, "/orphan")
    orphan = int(server.wait_for(r"orphan (\d+)")[1])
    wait_until(lambda: orphan in server.workers(), what="its adoption")
    os.kill(orphan, signal.SIGKILL)
    wait_until(lambda: orphan not in server.workers(), what="its burial")


def test_restarts_leave_no_descriptor_and_no_process_behind(start):
    server = begin(start, "--preload")

    def descriptors_at_rest():
        """Nothing is left to do when only two workers and a template are there and then the supervisor sleeps: what is
        closed when a process is gone it has closed before (proc(5))."""
        if len(server.workers()) != 3 or not sleeps(server.pid):
            return 0
        return server.descriptors()

    server.restart(2)
    server.wait_until_gone(1)
    before = wait_until(descriptors_at_rest)
    for generation in (3, 4):
        server.restart(generation)
        server.wait_until_gone(generation - 1)
    assert wait_until(descriptors_at_rest) == before


# --- when the supervisor replaces itself ---


def test_an_old_generation_keeps_its_code_when_the_supervisor_is_another_one_and_the_new_code_is_broken(start):
    server = begin(start, "--preload")
    server.write("application.py", "def app(:\n")
    server.send_signal(signal.SIGUSR2)
    server.wait_for("the supervisor has replaced itself")
    server.wait_for("generation 2 was given up")
    wait_until(lambda: sorted(server.workers()) == sorted([*server.first, template_of(server)]))
    kill_a_worker_and_wait_for_the_next(server, ready=3)
    assert answers(server) == {"first code"}
    assert "runs other code" not in server.log
    server.write("application.py", OTHER)
    os.kill(template_of(server), signal.SIGKILL)
    server.wait_for("the template of generation 1 was killed by SIGKILL")
    server.first.pop(0)
    kill_a_worker_and_wait_for_the_next(server, ready=4)
    server.wait_for("runs other code than generation 1 started with")
    second = server.restart(3)
    server.wait_until_gone(1)
    wait_until(lambda: sorted(server.workers()) == sorted([*second, template_of(server, 3)]))
    assert server.stop() == 0


# --- without a template ---


def test_without_preload_a_worker_that_is_replaced_by_other_code_says_so(start):
    server = begin(start)
    kill_a_worker_and_wait_for_the_next(server, ready=3)
    assert "runs other code" not in server.log
    server.write("application.py", OTHER)
    server.first.pop(0)
    kill_a_worker_and_wait_for_the_next(server, ready=4)
    differs = server.wait_for(r"worker 4 runs other code than generation 1 started with: (\S+) changed since")
    assert differs[1].endswith("application.py")
    assert server.log.count("runs other code") == 1
