"""The supervisor replaces itself, and only its log and the requester notice."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from load_client import ECHO_APPLICATION, Load
from server_harness import DEADLINE_SECONDS, PID_APPLICATION, get, get_on, is_alive, read_response, wait_until

from gracehttp.release import RELEASE as OURS
from gracehttp.wire.control import abstract_name

TIMES = 20

SCRIPT = """
    import gracehttp

    grace = gracehttp.GraceHTTP(workers=2, pidfile="app.pid", ready_timeout="{ready_timeout}")
    grace.add_server("application:app", bind="127.0.0.1:0", max_connections=100)
    grace.run()
"""
GOOD = textwrap.dedent(SCRIPT).format(ready_timeout="30s")

WAITING = """
    import os, sys, time

    if {variable!r} in os.environ:
        print("{variable} is there", file=sys.stderr, flush=True)
        while not os.path.exists("go"):
            time.sleep(0.01)
"""
IN_THE_TRIAL = textwrap.dedent(WAITING).format(variable="GRACEHTTP_SUPERVISOR_TRIAL")
IN_THE_NEW_IMAGE = textwrap.dedent(WAITING).format(variable="GRACEHTTP_SUPERVISOR_STATE")


def begin(start, script=GOOD, application=PID_APPLICATION, arguments=("script.py",), **options):
    server = start(*arguments, files={"application.py": application, "script.py": script}, **options)
    server.first = server.wait_until_serving()
    return server


def replace(server, generation):
    """Replace the supervisor by USR2 and wait until `generation` serves; returns its PIDs."""
    server.send_signal(signal.SIGUSR2)
    server.wait_for("the supervisor has replaced itself", count=1)
    return server.wait_until_serving(generation)


def command(server, *arguments):
    """A `gracehttp ...` that runs beside the test; `communicate` ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "gracehttp", *arguments, "--pid", str(server.pid)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def descriptors(pid):
    """How many descriptors of each kind the process has (proc_pid_fd(5)), but for what it reads in /proc."""
    return Counter(name for name in open_files(pid) if not name.startswith("/proc/"))


def open_files(pid):
    names = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.append(re.sub(r"\[\d+\]", "", os.readlink(path)))
        except FileNotFoundError:
            continue
    return names


def reads_nothing(pid):
    """It opens a file of /proc for a moment when it counts permits; none of them stays."""
    return not any(name.startswith("/proc/") for name in open_files(pid))


def inheritable(pid):
    """The descriptors that a program which the process executes would inherit (proc_pid_fdinfo(5))."""
    flags = {
        path.name: re.search(r"flags:\s*(\d+)", path.read_text())[1] for path in Path(f"/proc/{pid}/fdinfo").iterdir()
    }
    return {int(fd) for fd, octal in flags.items() if not int(octal, 8) & os.O_CLOEXEC}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("script.py",), id="script"),
        pytest.param(("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "-w", "2"), id="serve"),
    ],
)
def test_whoever_asks_is_told_by_the_new_image_that_the_new_generation_serves(start, arguments):
    server = begin(start, arguments=arguments)
    result = server.command("restart", "--supervisor")
    second = server.wait_until_serving(2)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"generation 2 serves, worker PIDs: {' '.join(map(str, second))}\n"
    assert "the supervisor has replaced itself" in result.stderr
    assert int(get(server.port)[1]) in second
    assert server.stop() == 0
    assert not any(map(is_alive, second))


def test_the_supervisor_runs_other_code_in_the_same_process(start):
    server = begin(start)
    server.write("script.py", "import gracehttp.api\ngracehttp.api.RELEASE = '99.1'\n" + GOOD)
    before = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[19]  # when it started, proc(5)
    assert server.command("restart", "--supervisor").returncode == 0
    status = server.status()
    assert status["version"] == "99.1"
    assert status["pid"] == server.pid
    assert Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[19] == before
    assert sorted(server.workers()) == sorted(server.wait_until_serving(2))


ANOTHER_RELEASE = """
    import gracehttp.api

    gracehttp.api.RELEASE = {release!r}
"""
NEWER = (
    textwrap.dedent(ANOTHER_RELEASE).format(release="99.1")
    + textwrap.dedent("""
    import gracehttp.supervisor.succession.state as state

    to_plain = state.to_plain

    def with_more(value):
        plain = to_plain(value)
        plain["added"] = plain["fleet"]["added"] = plain["processes"]["workers"][0]["added"] = ["something"]
        return plain

    state.to_plain = with_more
    """)
    + GOOD
)
"""A release after this one, which writes more into its state."""


def test_connections_go_on_through_an_upgrade_a_downgrade_and_an_upgrade(start):
    server = begin(start)
    with contextlib.ExitStack() as opened:
        address = ("127.0.0.1", server.port)
        clients = [opened.enter_context(socket.create_connection(address, timeout=DEADLINE_SECONDS)) for _ in range(20)]
        assert {get_on(client)[0] for client in clients} == {200}
        for generation, (release, script) in enumerate([("99.1", NEWER), (OURS, GOOD), ("99.1", NEWER)], start=2):
            server.write("script.py", script)
            result = server.command("restart", "--supervisor")
            assert result.returncode == 0, result.stderr
            newest = server.wait_until_serving(generation)
            server.wait_until_gone(generation - 1)
            assert server.status()["version"] == release
            answers = [get_on(client) for client in clients]
            assert {status for status, _ in answers} == {200}
            assert {int(pid) for _, pid in answers} <= set(newest)
    assert server.stop() == 0


def test_twenty_replacements_under_load_lose_nothing_and_leak_nothing(start):
    server = begin(start, application=ECHO_APPLICATION)
    pidfile = server.folder / "app.pid"
    identity = pidfile.stat().st_ino
    before = None
    with Load(server.port, keep_alive=16, reconnecting=4) as load:
        for generation in range(2, TIMES + 2):
            newest = replace(server, generation)
            server.wait_until_gone(generation - 1)
            wait_until(lambda newest=newest: sorted(server.workers()) == sorted(newest), what="only the new workers")
            before = before or descriptors(server.pid)
            assert descriptors(server.pid) == before, f"replacement {generation - 1}"
            load.wait_for_answers_of(newest)
        wait_until(lambda: reads_nothing(server.pid), what="no open file of /proc")
    assert load.account.lost == []
    assert load.account.refused == 0
    assert load.account.connections - load.account.closed_after_notice >= 16
    assert len(re.findall("the supervisor has replaced itself", server.log)) == TIMES
    assert pidfile.read_text() == f"{server.pid}\n"
    assert pidfile.stat().st_ino == identity


def test_the_first_replacement_leaves_as_many_descriptors_as_a_start(start):
    server = begin(start)
    before, inherited = descriptors(server.pid), inheritable(server.pid)
    replace(server, 2)
    server.wait_until_gone(1)
    wait_until(lambda: descriptors(server.pid) == before, what="as many descriptors as before")
    assert inheritable(server.pid) == inherited, "no program that the supervisor executes gets a socket of ours"


def test_the_pidfile_stays_locked(start, tmp_path):
    server = begin(start)
    replace(server, 2)
    second = start("script.py", folder=tmp_path)
    assert second.wait() == 3
    assert f"belongs to a supervisor that is running, pid {server.pid}" in second.log
    assert get(server.port)[0] == 200
    assert server.stop() == 0
    assert not (server.folder / "app.pid").exists()


def test_all_listeners_go_on(start, tmp_path):
    script = """
        import gracehttp

        grace = gracehttp.GraceHTTP(workers=2)
        grace.add_server("application:app", bind=["127.0.0.1:0", "127.0.0.2:0", "unix:app.sock"])
        grace.run()
    """
    server = begin(start, script)
    listeners = {one["bound"] for one in server.status()["listeners"]}
    with (
        socket.create_connection(("127.0.0.1", server.ports[0])) as first,
        socket.create_connection(("127.0.0.2", server.ports[1])) as second,
        socket.socket(socket.AF_UNIX) as third,
    ):
        third.connect(str(tmp_path / "app.sock"))
        assert [get_on(one)[0] for one in (first, second, third)] == [200] * 3
        newest = replace(server, 2)
        server.wait_until_gone(1)
        assert all(int(get_on(one)[1]) in newest for one in (first, second, third)), "on the same connections"
    assert {one["bound"] for one in server.status()["listeners"]} == listeners
    assert get(server.ports[0])[0] == 200
    assert get(server.ports[1], host="127.0.0.2")[0] == 200
    with socket.socket(socket.AF_UNIX) as again:
        again.connect(str(tmp_path / "app.sock"))
        assert int(get_on(again)[1]) in newest
    assert server.stop() == 0
    assert not (tmp_path / "app.sock").exists()


def test_a_control_socket_with_a_path_goes_on(start, tmp_path):
    server = begin(start, GOOD.replace("workers=2", "workers=2, control='control.sock'"))
    where = ["--control", str(tmp_path / "control.sock")]
    for generation in (2, 3):
        result = subprocess.run(
            [sys.executable, "-m", "gracehttp", "restart", "--supervisor", *where],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        server.wait_until_serving(generation)
    assert server.stop() == 0
    assert not (tmp_path / "control.sock").exists()


# --- when the new image is no good ---


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param("import gracehttp\ndef (\n", ("SyntaxError",), id="syntax-error"),
        pytest.param("import what_is_not_there\n", ("ModuleNotFoundError",), id="import-error"),
        pytest.param("print('nothing to run')\n", ("ended with status 0 before it reached run()",), id="no-run"),
        pytest.param("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", ("SIGSEGV",), id="crash"),
        pytest.param(
            "import gracehttp.supervisor.succession.state as state\nstate.FORMATS_READ = (2, 3)\n" + "{good}",
            ("can't go on for a supervisor of gracehttp", "in format 1, and this release reads format 2, 3"),
            id="other-format",
        ),
    ],
)
def test_if_the_new_image_would_not_start_nothing_happens_and_whoever_asked_learns_why(start, script, words):
    server = begin(start)
    server.write("script.py", script.replace("{good}", GOOD))
    result = server.command("restart", "--supervisor")
    assert result.returncode == 1
    assert "the supervisor stays the same" in result.stderr
    assert all(word in result.stderr for word in words), result.stderr
    assert "has replaced itself" not in server.log
    assert sorted(server.workers()) == sorted(server.first)
    assert int(get(server.port)[1]) in server.first
    server.write("script.py", GOOD)
    assert server.command("restart", "--supervisor").returncode == 0


def test_a_new_image_that_hangs_is_given_up_in_time(start):
    server = begin(start, SCRIPT.format(ready_timeout="15s"))
    server.write("script.py", "import time\ntime.sleep(600)\n")  # line 2
    result = server.command("restart", "--supervisor")
    assert result.returncode == 1
    assert "did not reach run() within 15 s" in result.stderr
    assert 'script.py", line 2 in <module>' in result.stderr
    assert sorted(server.workers()) == sorted(server.first)


OWN_INTERPRETER = GOOD.replace("import gracehttp", "import sys\nsys.orig_argv[0] = './python'\nimport gracehttp", 1)


def put_interpreter(folder):
    (folder / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (folder / "python").chmod(0o755)


def test_an_interpreter_that_is_gone_changes_nothing(start, tmp_path):
    put_interpreter(tmp_path)
    server = begin(start, OWN_INTERPRETER)
    (tmp_path / "python").unlink()
    result = server.command("restart", "--supervisor")
    assert result.returncode == 1
    assert "can't be executed" in result.stderr
    assert int(get(server.port)[1]) in server.first


def test_a_failure_of_execve_after_the_trial_changes_nothing(start, tmp_path):
    """The interpreter vanishes between the trial and the replacement: the trial itself takes it away."""
    put_interpreter(tmp_path)
    server = begin(start, OWN_INTERPRETER)
    before = descriptors(server.pid)
    server.write("script.py", OWN_INTERPRETER.replace("grace.run()", "import os\nos.unlink('python')\ngrace.run()"))
    result = server.command("restart", "--supervisor")
    assert result.returncode == 1
    assert "can't be executed" in result.stderr
    assert int(get(server.port)[1]) in server.first
    assert descriptors(server.pid) == before
    put_interpreter(tmp_path)
    server.write("script.py", OWN_INTERPRETER)
    server.restart(2)  # signals come through again


# --- what happens at the same time ---


def test_a_generation_that_drains_goes_on_draining(start):
    application = """
        import asyncio, os, sys

        async def app(scope, receive, send):
            assert scope["type"] == "http"
            if scope["path"] == "/slow":
                print("began", file=sys.stderr, flush=True)
                while not os.path.exists("finish"):
                    await asyncio.sleep(0.01)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
    """
    server = begin(start, application=application)
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("^began")
        server.restart(2)
        replace(server, 3)
        server.wait_until_gone(2)
        assert "generation 1 is gone" not in server.log
        server.write("finish", "")
        status, _, body = read_response(sock)
    assert (status, int(body) in server.first) == (200, True)
    server.wait_until_gone(1)


def test_requests_are_answered_while_the_new_image_starts(start):
    server = begin(start, IN_THE_NEW_IMAGE + GOOD)
    server.send_signal(signal.SIGUSR2)
    server.wait_for("GRACEHTTP_SUPERVISOR_STATE is there")
    assert int(get(server.port)[1]) in server.first
    server.write("go", "")
    assert int(get(server.port)[1]) in [*server.first, *server.wait_until_serving(2)]


def test_a_worker_that_dies_while_the_new_image_starts_is_waited_for(start):
    server = begin(start, IN_THE_NEW_IMAGE + GOOD)
    server.send_signal(signal.SIGUSR2)
    server.wait_for("GRACEHTTP_SUPERVISOR_STATE is there")
    os.kill(server.first[0], signal.SIGKILL)
    wait_until(lambda: not is_alive(server.first[0]))
    server.write("go", "")
    server.wait_for("worker 1 of generation 1 was killed by SIGKILL")
    second = server.wait_until_serving(2)
    server.wait_until_gone(1)
    wait_until(lambda: sorted(server.workers()) == sorted(second), what="no zombie")


def test_a_restart_signal_while_the_new_image_starts_is_acted_on_afterwards(start):
    server = begin(start, IN_THE_NEW_IMAGE + GOOD)
    server.send_signal(signal.SIGUSR2)
    server.wait_for("GRACEHTTP_SUPERVISOR_STATE is there")
    server.send_signal(signal.SIGHUP)
    server.write("go", "")
    server.wait_for("restart requested by SIGHUP: starting generation 3")
    assert int(get(server.port)[1]) in [*server.first, *server.wait_until_serving(3)]


def test_a_stop_signal_while_the_new_image_starts_is_acted_on_afterwards(start):
    server = begin(start, IN_THE_NEW_IMAGE + GOOD)
    server.send_signal(signal.SIGUSR2)
    server.wait_for("GRACEHTTP_SUPERVISOR_STATE is there")
    server.send_signal(signal.SIGTERM)
    server.write("go", "")
    assert server.wait() == 0
    assert not any(map(is_alive, server.first))


def test_a_stop_during_the_trial_ends_the_trial(start):
    server = begin(start, IN_THE_TRIAL + GOOD)
    with command(server, "restart", "--supervisor") as client:
        server.wait_for("GRACEHTTP_SUPERVISOR_TRIAL is there")
        (trial,) = set(server.workers()) - set(server.first)
        server.send_signal(signal.SIGTERM)
        _, said = client.communicate(timeout=DEADLINE_SECONDS)
        assert client.returncode == 1
    assert "the service is stopping" in said
    assert server.wait() == 0
    wait_until(lambda: not is_alive(trial))


def test_the_newest_of_two_replacements_wins_and_both_who_asked_are_told(start):
    server = begin(start, IN_THE_TRIAL + GOOD)
    with command(server, "restart", "--supervisor") as first:
        server.wait_for("GRACEHTTP_SUPERVISOR_TRIAL is there")
        second = command(server, "restart", "--supervisor")
        server.wait_for("GRACEHTTP_SUPERVISOR_TRIAL is there", count=2)
        server.write("go", "")
        answers = {client.communicate(timeout=DEADLINE_SECONDS)[0] for client in (second, first)}
        assert (first.returncode, second.returncode) == (0, 0)
    assert len(answers) == 1
    assert answers.pop().startswith("generation 2 serves")
    assert len(re.findall("has replaced itself", server.log)) == 1


def test_who_waits_for_an_earlier_restart_is_told_of_the_one_that_the_new_image_starts(start):
    server = begin(start)
    server.write("application.py", "import sys, time\nprint('hangs', file=sys.stderr, flush=True)\ntime.sleep(600)\n")
    with command(server, "restart") as client:
        server.wait_for("^hangs")
        server.write("application.py", PID_APPLICATION)
        third = replace(server, 3)
        said, _ = client.communicate(timeout=DEADLINE_SECONDS)
        assert client.returncode == 0
    assert said == f"generation 3 serves, worker PIDs: {' '.join(map(str, third))}\n"
    wait_until(lambda: sorted(server.workers()) == sorted(third), what="only the newest workers")


def test_a_client_that_has_not_asked_yet_asks_the_new_image(start):
    server = begin(start)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE_SECONDS)
        sock.connect(abstract_name(server.pid))
        sock.sendall(b'{"version": 1, ')
        replace(server, 2)
        sock.sendall(b'"command": "status"}\n')
        with sock.makefile() as lines:
            assert json.loads(lines.readline())["status"]["pid"] == server.pid


def test_the_limit_holds_on(start):
    server = begin(start, GOOD.replace("max_connections=100", "max_connections=2, shed_idle_after='1h'"))
    address = ("127.0.0.1", server.port)
    with (
        socket.create_connection(address, timeout=DEADLINE_SECONDS) as first,
        socket.create_connection(address, timeout=DEADLINE_SECONDS) as second,
        socket.create_connection(address, timeout=DEADLINE_SECONDS) as third,
    ):
        assert [get_on(one)[0] for one in (first, second)] == [200] * 2
        replace(server, 2)
        server.wait_until_gone(1)
        third.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert server.status()["listeners"][0]["open_connections"] == 2
        third.setblocking(False)
        with pytest.raises(BlockingIOError):
            third.recv(1)
        third.settimeout(DEADLINE_SECONDS)
        first.close()
        assert read_response(third)[0] == 200
