"""What the supervisor keeps in order: crashes, generations, its pidfile, its control socket, what it passes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import textwrap
from pathlib import Path

import pytest
from deadlines import DEADLINE_SECONDS
from held_request import BODY_APPLICATION, HeldRequest
from server_harness import PID_APPLICATION, get, get_on, is_alive, wait_until

from gracehttp.wire.control import abstract_name

SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=2{options})
    grace.add_server("application:app", bind="127.0.0.1:0")
    grace.run()
"""


def begin(start, application=PID_APPLICATION, *, options="", script=SCRIPT, **more):
    files = {"application.py": application, "script.py": script.format(options=options)}
    server = start("script.py", files=files, **more)
    server.first = server.wait_until_serving()
    return server


# --- crashes ---

DYING = """
    import os
    import threading

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            if os.path.exists("crash"):
                os._exit(7)
            await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def test_workers_that_crash_again_and_again_are_started_less_and_less_often(start):
    server = begin(start, DYING)
    server.write("crash", "")
    os.kill(server.first[0], 9)
    for seconds in ("0.1", "0.2", "0.4", "0.8"):
        server.wait_for(rf"another one starts in {seconds} s")
    assert int(get(server.port)[1]) == server.first[1]
    (server.folder / "crash").unlink()
    wait_until(lambda: server.log.count("is ready") >= 3, what="a worker that lives")
    assert "ended with status 7" in server.log


def test_a_worker_that_crashes_while_all_is_well_takes_nothing_down(start):
    server = begin(start)
    for worker in server.first:
        os.kill(worker, 11)
    server.wait_for("was killed by SIGSEGV; another one starts", count=2)
    assert get(server.port)[0] == 200
    assert server.process.poll() is None


# --- generations ---


FULL_FILE_TABLE = """
    import errno
    import os

    import gracehttp
    from gracehttp.net.permits import PermitPool

    def audit(self, *arguments, audited=PermitPool.audit):
        if os.path.exists("full"):
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
        return audited(self, *arguments)

    PermitPool.audit = audit
    grace = gracehttp.GraceHTTP()
    grace.add_server("application:app", bind="127.0.0.1:0")
    grace.run()
"""


def test_a_worker_that_dies_while_the_system_refuses_to_open_a_file_is_replaced_and_the_service_can_be_stopped(start):
    server = start("script.py", files={"script.py": FULL_FILE_TABLE, "application.py": PID_APPLICATION})
    (first,) = server.wait_until_serving()
    full = server.write("full", "")
    os.kill(first, signal.SIGKILL)
    server.wait_for(r"workers that died still count .* can't be counted now \(Too many open files in system\)")
    server.wait_for("is ready after", count=2)
    assert get(server.port)[1] == str(server.workers()[0])
    full.unlink()
    assert server.stop() == 0


def test_the_oldest_of_more_than_four_draining_generations_is_cut(start):
    # A script reads no variables. On a slow machine six generations take longer than the defaults.
    script = SCRIPT.replace('bind="127.0.0.1:0"', 'bind="127.0.0.1:0", body_timeout="10m"')
    server = begin(start, BODY_APPLICATION, script=script, options=', drain_timeout="10m"')
    with contextlib.ExitStack() as opened:
        held = [opened.enter_context(HeldRequest(server.port))]
        for generation in range(2, 7):
            server.restart(generation)
            held.append(opened.enter_context(HeldRequest(server.port)))
        held[0].wait_until_cut()
        server.wait_until_gone(1)
        states = [one["state"] for one in server.status()["generations"]]
        assert states == ["draining"] * 4 + ["serving"]
        pids = []
        for request in held[1:]:
            status, _headers, pid = request.finish()
            assert status == 200
            pids.append(pid)
    assert len(set(pids)) == 5


HANGING = """
    import sys
    import threading

    print("hangs", file=sys.stderr, flush=True)
    threading.Event().wait()
"""


def test_a_newer_restart_takes_the_place_of_one_that_hangs_and_answers_for_both(start):
    server = begin(start)
    server.write("application.py", HANGING)
    with server.command_in_background("restart") as first:
        server.wait_for("^hangs")
        server.write("application.py", PID_APPLICATION)
        second = server.command("restart", "--supersede")
        out, err = first.communicate(timeout=DEADLINE_SECONDS)
        assert first.returncode == 0, err
    assert second.returncode == 0, second
    assert out == second.stdout
    third_generation = server.wait_until_serving(3)
    assert sorted(map(int, re.search(r"PIDs: ([\d ]+)", out)[1].split())) == sorted(third_generation)
    assert int(get(server.port)[1]) in third_generation
    wait_until(lambda: sorted(server.workers()) == sorted(third_generation), what="the end of the hanging one")


def test_a_newer_restart_that_fails_tells_both_who_asked(start):
    server = begin(start)
    server.write("application.py", HANGING)
    with server.command_in_background("restart") as first:
        server.wait_for("^hangs")
        server.write("application.py", "raise ValueError('half a deploy')")
        second = server.command("restart", "--supersede")
        _out, err = first.communicate(timeout=DEADLINE_SECONDS)
    for status, told in ((first.returncode, err), (second.returncode, second.stderr)):
        assert status == 1
        assert "ValueError: half a deploy" in told
    assert int(get(server.port)[1]) in server.first


def test_a_connection_that_drains_through_two_restarts_goes_on_with_the_newest_code(start):
    server = begin(start, BODY_APPLICATION)
    with HeldRequest(server.port) as held:
        server.restart(2)
        third = server.restart(3)
        status, _headers, pid = held.finish()
        assert status == 200
        assert int(pid) in server.first
        server.wait_until_gone(1)
        status, pid = get_on(held.socket)
        assert status == 200
        assert int(pid) in third


def test_new_code_may_change_how_many_workers_there_are(start):
    server = begin(start)
    for generation, workers in ((2, 3), (3, 1)):
        server.write("script.py", SCRIPT.format(options="").replace("workers=2", f"workers={workers}"))
        assert len(server.restart(generation)) == workers
        server.wait_until_gone(generation - 1)
        wait_until(lambda workers=workers: len(server.workers()) == workers)


# --- what the supervisor keeps ---


def test_the_pidfile_holds_the_supervisor_through_restarts_and_is_gone_after_a_stop(start, tmp_path):
    server = begin(start, options=", pidfile='app.pid'")
    pidfile = tmp_path / "app.pid"
    assert pidfile.read_text() == f"{server.pid}\n"
    server.restart(2)
    assert pidfile.read_text() == f"{server.pid}\n"
    assert "asks for another" not in server.log
    server.write("script.py", SCRIPT.format(options=", pidfile='new.pid'"))
    server.restart(3)
    server.wait_for(rf"asks for another pidfile \({tmp_path}/new.pid\): the supervisor keeps what it has \({pidfile}\)")
    assert server.stop() == 0
    assert not pidfile.exists()


def test_a_second_service_with_the_same_pidfile_is_refused_and_told_what_to_do(start, tmp_path):
    server = begin(start, options=", pidfile='app.pid'")
    second = start("script.py")
    assert second.wait() == 3
    assert f"the pidfile app.pid belongs to a supervisor that is running, pid {server.pid}." in second.log
    assert "gracehttp restart --pidfile app.pid" in second.log
    assert (tmp_path / "app.pid").read_text() == f"{server.pid}\n"
    assert get(server.port)[0] == 200


def test_a_pidfile_that_a_crash_left_behind_is_taken_over(start, tmp_path):
    first = begin(start, options=", pidfile='app.pid'")
    os.kill(first.pid, 9)
    first.process.wait()
    wait_until(lambda: not any(map(is_alive, first.first)), what="the end of the workers")
    second = begin(start, options=", pidfile='app.pid'")
    assert (tmp_path / "app.pid").read_text() == f"{second.pid}\n"


def test_a_control_socket_with_a_path_is_for_its_owner_only_and_gone_after_a_stop(start, tmp_path):
    server = begin(start, options=", control='control'")
    path = tmp_path / "control"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert ask(client)["status"]["pid"] == server.pid
    assert server.stop() == 0
    assert not path.exists()


def ask(client, command="status"):
    client.settimeout(DEADLINE_SECONDS)
    with contextlib.suppress(BrokenPipeError):  # who is refused isn't heard at all
        client.sendall(json.dumps({"version": 1, "command": command}).encode() + b"\n")
    with client.makefile("rb") as answers:
        return json.loads(answers.readline())


@contextlib.contextmanager
def as_another_user():
    """To the kernel this process is nobody's, if it may change that at all (seteuid(2))."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if before == 0:
            os.seteuid(0)


@pytest.mark.parametrize("command", ["status", "restart", "stop"])
def test_another_user_may_not_control_the_service(start, command):
    # Root can ask as somebody else. For others, the supervisor takes itself for somebody else.
    script = SCRIPT.replace("import gracehttp\n", "import gracehttp, os\n\n    os.geteuid = lambda: 4242\n")
    server = begin(start, script=script)
    with socket.socket(socket.AF_UNIX) as client:
        with as_another_user():
            client.connect(abstract_name(server.pid))
        answer = ask(client, command)
    assert answer["ok"] is False
    assert "may not control this service" in answer["message"]
    assert get(server.port)[0] == 200
    assert "requested by" not in server.log


def test_a_control_socket_that_can_not_be_made_costs_one_line_and_no_request(start):
    server = begin(start, options=", control='no/such/folder/control'")
    server.wait_for("no control socket at no/such/folder/control")
    assert get(server.port)[0] == 200
    server.restart(2)


# --- what a generation starts from ---

RELEASE = """
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"release NUMBER"})
"""


@pytest.mark.parametrize("form", ["script", "serve"])
def test_a_restart_follows_the_link_to_the_current_release(start, tmp_path, form):
    current = tmp_path / "current"
    for number in ("2", "1"):
        current.unlink(missing_ok=True)
        current.symlink_to(tmp_path / "releases" / number)
        current.resolve().mkdir(parents=True)
        (current / "application.py").write_text(textwrap.dedent(RELEASE.replace("NUMBER", number)))
        (current / "script.py").write_text(textwrap.dedent(SCRIPT.format(options="")))
    serve = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0")
    server = start(*(("script.py",) if form == "script" else serve), folder=current)
    server.wait_until_serving()
    assert get(server.port)[1] == "release 1"
    current.unlink()
    current.symlink_to(tmp_path / "releases" / "2")
    server.restart(2)
    assert get(server.port)[1] == "release 2"


ENVIRONMENT = """
    import json
    import os
    import subprocess
    import sys

    async def app(scope, receive, send):
        program = "import os, json; print(json.dumps([dict(os.environ), os.listdir('/proc/self/fd')]))"
        theirs = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, close_fds=False)
        seen, descriptors = json.loads(theirs.stdout)
        body = json.dumps({"ours": dict(os.environ), "theirs": seen, "descriptors": sorted(descriptors)}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


def test_workers_have_the_environment_of_the_supervisor_and_leave_nothing_of_ours_in_it(start):
    server = begin(start, ENVIRONMENT, environment={"DATABASE": "somewhere"})
    for generation in (1, 2):
        seen = json.loads(get(server.port)[1])
        for environment in (seen["ours"], seen["theirs"]):
            assert environment["DATABASE"] == "somewhere"
            assert not [name for name in environment if name.startswith("GRACEHTTP") and name not in server.variables]
        if generation == 1:
            server.restart(2)


def test_a_program_that_the_application_starts_inherits_no_descriptor_of_ours(start):
    server = begin(start, ENVIRONMENT)
    server.restart(2)
    seen = json.loads(get(server.port)[1])
    assert seen["descriptors"] == ["0", "1", "2", "3"], "the last is the folder that it lists"


DIES_WHEN_READY = """
    import asyncio
    import os
    from pathlib import Path

    Path("pid").write_text(str(os.getpid()))

    async def app(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        Path("starting").touch()
        while not Path("go").exists():
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.3, os._exit, 3)
        await send({"type": "lifespan.startup.complete"})
        await receive()
"""


def test_a_worker_that_is_dead_when_it_is_heard_that_it_was_ready_takes_over_from_nobody(start, tmp_path):
    server = start(
        *("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0"), files={"application.py": PID_APPLICATION}
    )
    first = server.wait_until_serving()
    server.write("application.py", DIES_WHEN_READY)
    server.send_signal(signal.SIGHUP)
    wait_until((tmp_path / "starting").exists)
    server.send_signal(signal.SIGSTOP)  # or it would be heard before it is dead
    try:
        (tmp_path / "go").touch()
        fate = Path("/proc") / (tmp_path / "pid").read_text() / "stat"
        wait_until(lambda: ") Z " in fate.read_text(), what="the end of the worker")
    finally:
        server.send_signal(signal.SIGCONT)
    server.wait_for("generation 2 was given up: its worker 2 did not start; generation 1 serves on")
    assert int(get(server.port)[1]) in first
    assert server.stop() == 0
