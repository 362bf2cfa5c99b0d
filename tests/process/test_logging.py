"""Never silent, and never disturbed by logging (promise 7): formats, callbacks, configurations of the user, readers."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, free_port, get, get_on, read_response, wait_until

NAUGHTY = """
    async def app(scope, receive, send):
        assert scope["type"] == "http"
        if scope["path"] == "/fail":
            raise ValueError(dict(scope["headers"])[b"x-said"].decode("latin-1") + scope["query_string"].decode())
        if scope["path"].startswith("/path-"):
            raise ValueError(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""


def serve(start, *options, application=PID_APPLICATION, workers=2, **harness):
    arguments = ("serve", "application:app", "-w", workers, "-b", "127.0.0.1:0", *options)
    server = start("-m", "gracehttp", *arguments, files={"application.py": application}, **harness)
    server.first = server.wait_until_serving()
    return server


def send(port, head):
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(head)
        return read_response(sock)[0]


# --- formats ---


def test_each_line_of_the_json_log_is_an_object_whatever_happens(start):
    server = serve(start, "--log-format", "json", "--access-log", application=NAUGHTY)
    get(server.port)
    assert send(server.port, b"GET /path-%0a%1b%5b31m HTTP/1.1\r\nHost: test\r\n\r\n") == 500
    server.write("application.py", "raise RuntimeError('broken')")
    assert server.command("restart").returncode == 1
    server.write("application.py", "import os\nos.write(2, b'out of luck\\n')\nos._exit(7)")
    assert "out of luck" in server.command("restart").stderr
    server.write("application.py", f"import os\nos.write(2, b'loading\\n')\n{textwrap.dedent(NAUGHTY)}")
    assert server.command("restart").returncode == 0
    assert server.stop() == 0
    entries = [json.loads(line) for line in server.lines]
    assert all(
        isinstance(entry, dict) and {"time", "level", "logger", "message", "pid"} <= set(entry) for entry in entries
    )
    happened = [entry.get("event") for entry in entries]
    assert {"ListenerOpened", "GenerationPromoted", "GenerationGivenUp", "SupervisorStopped"} <= set(happened)
    assert happened.count("WorkerFailedToStart") == 2
    assert sum("RuntimeError" in entry["message"] for entry in entries if entry["level"] != "debug") == 1
    (wrote,) = {entry["text"] for entry in entries if entry.get("event") == "WorkerWrote"}
    assert wrote == "loading\n"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_what_a_worker_writes_at_its_start_is_for_the_log_and_no_reason_of_its_later_death(start, log_format):
    talking = f"import os\nos.write(2, b'pool opened\\n')\n{textwrap.dedent(PID_APPLICATION)}"
    server = serve(start, "--log-format", log_format, "--probation", "60s", application=talking, workers=1)
    with server.command_in_background("restart") as command:
        server.wait_for("generation 2 is on probation")
        (pid,) = server.wait_until_serving(2)
        os.kill(pid, signal.SIGKILL)
        _, told = command.communicate(timeout=DEADLINE_SECONDS)
    assert command.returncode == 1
    assert "was killed by SIGKILL; generation 1 serves again" in told
    assert "wrote to stderr" not in told
    assert "pool opened" not in told
    assert server.stop() == 0
    assert server.log.count("pool opened") == 2


def test_a_first_start_that_fails_ends_a_json_log_with_an_object_too(start):
    server = start("-m", "gracehttp", "serve", "nowhere_to_be_found:app", "-b", "127.0.0.1:0", "--log-format", "json")
    assert server.wait() == 3
    last = [json.loads(line) for line in server.lines][-1]
    assert (last["event"], last["exit_status"]) == ("StartFailed", 3)
    assert "there is no module 'nowhere_to_be_found'" in last["message"]
    assert last["hint"]


def start_in_vain(start, *options):
    arguments = ("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", *options)
    return start(*arguments, files={"application.py": "1 / 0"})


@pytest.mark.parametrize("level", ["info", "critical"])
def test_the_traceback_of_a_first_start_that_fails_is_shown_once_at_any_level(start, level):
    server = start_in_vain(start, "--log-level", level)
    assert server.wait() == 3
    assert server.log.count("Traceback") == 1
    assert server.log.count("1 / 0") == 1
    assert server.log.count("the module application raised ZeroDivisionError") == 1
    said = server.log[server.log.index("gracehttp: error: ") :]
    assert ("1 / 0" in said) == (level == "critical")


def test_a_first_start_that_fails_tells_its_cause_at_the_terminal_if_the_log_is_a_file(start):
    server = start_in_vain(start, "--log-file", "a.log")
    assert server.wait() == 3
    assert server.lines[-1].startswith(
        "gracehttp: error: the service could not start: the module application raised Zero"
    )
    assert server.lines[-1].endswith("a.log has all of it).")
    assert "1 / 0" in (server.folder / "a.log").read_text()


def test_a_first_start_that_fails_ends_a_json_log_with_its_traceback_if_nothing_else_is_logged(start):
    server = start_in_vain(start, "--log-level", "critical", "--log-format", "json")
    assert server.wait() == 3
    (last,) = [json.loads(line) for line in server.lines]
    assert last["event"] == "StartFailed"
    assert "1 / 0" in last["details"]


def test_the_access_log_has_all_that_is_promised(start):
    server = serve(start, "--log-format", "json", "--access-log", application=NAUGHTY)
    pids = server.restart(2)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as sock:
        sock.sendall(b"GET /a?b=c HTTP/1.1\r\nHost: test\r\n\r\n")
        assert read_response(sock)[0] == 200
        host, port = sock.getsockname()
    entry = json.loads(server.wait_for("gracehttp.access").string)
    took = time.monotonic() - began  # the line may be written behind the response
    expected = {"method": "GET", "target": "/a?b=c", "status": 200, "body_bytes": 5, "client": f"{host}:{port}"}
    assert {name: entry[name] for name in expected} == expected
    assert 0 <= entry["seconds"] <= took + 0.001  # it is rounded
    assert entry["worker"] >= 1
    assert entry["generation"] == 2
    assert entry["pid"] in pids


def test_the_level_is_the_least_that_is_printed(start):
    server = serve(start, "--log-level", "notice", "--access-log")
    get(server.port)
    assert server.stop() == 0
    assert "NOTICE" in server.log
    assert "INFO" not in server.log


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_that_a_client_sends_reaches_the_log_unescaped(start, log_format):
    server = serve(start, "--access-log", "--log-format", log_format, application=NAUGHTY)
    for target in (
        b"/\x1b[31mred",
        b"/\xff\xfe",
        b"/a\x00b",
        b"/a\x7fb",
        b"/path-%1b%5b31m%0a2026-01-01%20ERROR%20forged",
    ):
        send(server.port, b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % target)
    for said in (b"\x9b31m", b"\xe2\x80\xae", b"a\tb\x85c"):
        assert send(server.port, b"GET /fail?x HTTP/1.1\r\nHost: test\r\nX-Said: %b\r\n\r\n" % said) == 500
    send(server.port, b"\x1b[2J\x07 / HTTP/1.1\r\n\r\n")
    assert server.stop() == 0
    assert "forged" in server.log
    assert not [line for line in server.lines if not line.isprintable()]
    assert not [line for line in server.lines if line.startswith("2026-01-01 ERROR")]


# --- callbacks ---

CALLBACKS = """
    import os
    import gracehttp

    def told(kind):
        def callback(text):
            with open("told", "a") as file:
                file.write(f"{os.getpid()} {kind} {text.splitlines()[0]}\\n")
            if kind == os.environ.get("FAILING"):
                raise ValueError("a fault of the callback")
        return callback

    gracehttp.set_info_log_callback(told("info"))
    gracehttp.set_notice_log_callback(told("notice"))
    gracehttp.set_error_log_callback(told("error"))
    grace = gracehttp.GraceHTTP(workers=2)
    grace.add_server("application:app", bind="127.0.0.1:0")
    grace.run()
"""

CONFIGURING = """
    import logging.config

    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": True,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "application.log"}},
        "root": {"level": "WARNING", "handlers": ["file"]},
    })
"""

CONFIGURING_OURS = """
    import logging.config

    logging.config.dictConfig({
        "version": 1,
        "formatters": {"own": {"format": "own %(name)s %(levelname)s %(message)s"}},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": "own.log", "formatter": "own"}},
        "loggers": {"gracehttp": {"level": "WARNING", "handlers": ["file"], "propagate": False}},
    })
"""


def script(start, *, before="", **environment):
    files = {"application.py": dedented(before) + dedented(NAUGHTY), "script.py": CALLBACKS}
    server = start("script.py", files=files, environment=environment)
    server.first = server.wait_until_serving()
    return server


def dedented(text):
    return "\n".join(line.removeprefix("    ") for line in text.splitlines()) + "\n"


def told(server):
    """What the callbacks were told, as (PID, kind, text)."""
    file = server.folder / "told"
    return [tuple(line.split(" ", 2)) for line in file.read_text().splitlines()] if file.exists() else []


def fail(server):
    assert send(server.port, b"GET /path-x HTTP/1.1\r\nHost: test\r\n\r\n") == 500


def test_callbacks_are_told_in_supervisor_and_workers(start):
    server = script(start)
    fail(server)
    server.restart(2)
    server.wait_until_gone(1)
    assert server.stop() == 0
    supervisor = {(kind, text.split(",")[0]) for pid, kind, text in told(server) if int(pid) == server.pid}
    assert ("notice", "gracehttp stopped") in supervisor
    assert any(kind == "info" and "is ready" in text for kind, text in supervisor)
    workers = [(kind, text) for pid, kind, text in told(server) if int(pid) in server.first]
    assert any(kind == "error" and "the application raised ValueError" in text for kind, text in workers)


def test_a_callback_that_raises_is_reported_once_and_serving_and_restarting_go_on(start):
    server = script(start, FAILING="notice")
    assert get(server.port)[0] == 200
    server.restart(2)
    server.wait_until_gone(1)
    assert get(server.port)[0] == 200
    assert server.stop() == 0
    of_the_supervisor = [
        line for line in server.lines if "the notice log callback raised" in line and f"[{server.pid}]" in line
    ]
    assert len(of_the_supervisor) == 1
    notices = [text for pid, kind, text in told(server) if kind == "notice" and int(pid) == server.pid]
    assert len(notices) > 5, "it is called again"


# --- what users configure ---


def test_an_application_that_configures_logging_and_disables_ours_does_not_silence_it(start):
    server = script(start, before=CONFIGURING)
    fail(server)
    server.wait_for("the application raised ValueError")
    wait_until(lambda: any("the application raised" in text for _, _, text in told(server)))


def test_handlers_of_the_user_on_our_logger_get_what_its_level_says_and_nothing_is_printed(start):
    server = serve(start, application=dedented(CONFIGURING_OURS) + dedented(NAUGHTY))
    fail(server)
    assert server.stop() == 0
    own = (server.folder / "own.log").read_text()
    assert "own gracehttp ERROR GET /path-x: the application raised ValueError" in own
    assert "INFO" not in own
    assert "the application raised" not in server.log


def test_callbacks_are_told_although_the_user_has_configured_our_logger(start):
    server = script(start, before=CONFIGURING_OURS)
    fail(server)
    wait_until(lambda: any("the application raised" in text for _, _, text in told(server)))


# --- times ---

TRAVELLER = """
    import os, time

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        os.environ["TZ"] = "JST-9"
        time.tzset()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
"""


def test_all_lines_have_one_zone_whatever_the_application_does_to_that_of_its_process(start):
    server = serve(start, "--access-log", workers=1, application=TRAVELLER, environment={"TZ": "<-07>7"})
    get(server.port)
    get(server.port)
    assert server.stop() == 0
    access = [line for line in server.lines if "GET /" in line]
    assert len(access) == 2
    times = [datetime.datetime.fromisoformat(line[:23]) for line in server.lines]
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(hours=7)
    assert all(abs(now - one) < datetime.timedelta(minutes=5) for one in times)


# --- readers ---


class Unwatched:
    """A server whose log the test can't read."""

    def __init__(self, folder, stderr, redirection="", preexec=None):
        (folder / "application.py").write_text(dedented(PID_APPLICATION))
        self.port = free_port()
        options = ["-b", f"127.0.0.1:{self.port}", "-w", "2", "--access-log", "--log-format", "json"]
        command = [sys.executable, "-m", "gracehttp", "serve", "application:app", *options]
        shell = ["sh", "-c", f'exec "$@" {redirection}', "sh"]
        self.process = subprocess.Popen(
            [*shell, *command], cwd=folder, stderr=stderr, process_group=0, preexec_fn=preexec
        )

    def wait_until_serving(self):
        def serving():
            with contextlib.suppress(ConnectionRefusedError):
                return get(self.port, timeout=DEADLINE_SECONDS)[0] == 200

        wait_until(serving)

    def assert_that_all_works(self):
        self.wait_until_serving()
        restart = [sys.executable, "-m", "gracehttp", "restart", "--pid", str(self.process.pid)]
        restarted = subprocess.run(restart, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
        assert restarted.returncode == 0, restarted.stderr
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS) as sock:
            for _ in range(200):
                assert get_on(sock)[0] == 200
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE_SECONDS) == 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_log_that_nobody_reads_does_not_stop_the_service(tmp_path, kind):
    if kind == "pipe":
        read_end, write_end = os.pipe()
    else:
        read_end, write_end = (end.detach() for end in socket.socketpair())
    try:
        fill(write_end)
        with Unwatched(tmp_path, write_end) as server:
            server.assert_that_all_works()
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a pipe that belongs to another user")
def test_a_pipe_of_another_user_that_nobody_reads_does_not_stop_the_service(tmp_path):
    """As with `docker run --user` and `sudo -u`: such a pipe can't be opened anew, to write to it without blocking."""
    os.seteuid(NOBODY)
    try:
        read_end, write_end = os.pipe()
    finally:
        os.seteuid(0)
    try:
        fill(write_end)
        with Unwatched(tmp_path, write_end, preexec=without_the_right_to_open_everything()) as server:
            server.assert_that_all_works()
    finally:
        os.close(read_end)
        os.close(write_end)


def test_records_that_wait_when_the_supervisor_replaces_itself_are_counted_in_the_log(tmp_path):
    read_end, write_end = os.pipe()
    try:
        fill(write_end)
        with Unwatched(tmp_path, write_end) as server:
            server.wait_until_serving()
            server.process.send_signal(signal.SIGUSR2)
            received = b""
            wait_until(lambda: 2 in generations(server.process.pid))
            while b"SupervisorReplaced" not in received:
                received += os.read(read_end, 65536)
            entries = [json.loads(line) for line in received.lstrip(b"x").splitlines() if line.startswith(b"{")]
            told = [entry["message"] for entry in entries if entry["pid"] == server.process.pid]
            assert "records are missing here" in told[0], told
            assert int(told[0].split()[0]) >= 3, "the start of the supervisor, of its port and of its workers"
    finally:
        os.close(read_end)
        os.close(write_end)


def generations(pid):
    """Those that the supervisor tells of; none while it doesn't answer."""
    command = [sys.executable, "-m", "gracehttp", "status", "--json", "--pid", str(pid)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False).stdout
    return [one["generation"] for one in json.loads(said)["generations"]] if said else []


NOBODY = 65534
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def without_the_right_to_open_everything():
    """What a child calls before execve(2), to open only what its user may (capabilities(7))."""
    prctl = ctypes.CDLL(None).prctl

    def drop():
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            assert prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0

    return drop


def fill(fd):
    os.set_blocking(fd, False)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(fd, True)


def test_a_reader_of_the_log_that_goes_away_does_not_stop_the_service(tmp_path):
    read_end, write_end = os.pipe()
    with Unwatched(tmp_path, write_end) as server:
        os.close(write_end)
        server.wait_until_serving()
        os.close(read_end)
        server.assert_that_all_works()


def test_a_service_without_standard_error_serves(tmp_path):
    with Unwatched(tmp_path, None, "2>&-") as server:
        server.assert_that_all_works()


# --- what an application prints ---

PRINTS = """
    import sys

    async def app(scope, receive, send):
        assert scope["type"] == "http"
        for stream in (sys.stdout, sys.stderr):
            print(type(stream).__name__, stream.line_buffering, stream.write_through, file=stream)
        print("not", "yet", end="", file=sys.stderr, flush=True)
        print(" ended", file=sys.stderr)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_that_an_application_prints_is_one_write(start, unbuffered, tmp_path):
    """Otherwise lines of several workers mix."""
    launcher = ("sh", "-c", 'exec "$@" >printed', "sh")
    server = serve(start, application=PRINTS, environment={"PYTHONUNBUFFERED": unbuffered}, launcher=launcher)
    assert get(server.port)[0] == 200
    server.wait_for("^TextIOWrapper True False$")
    server.wait_for("^not yet ended$")
    if unbuffered:  # otherwise Python keeps it until it is much
        assert (tmp_path / "printed").read_text() == "TextIOWrapper True False\n"
