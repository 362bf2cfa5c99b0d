"""Where the log goes: files that are rotated under load, standard output, the user's own configuration."""

from __future__ import annotations

import json
import re
import socket

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import get, wait_until

APPLICATION = """
    import logging.config

    logging.config.dictConfig({"version": 1, "root": {"level": "DEBUG", "handlers": []}})  # as Django does

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError("no lifespan")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        if scope["path"] == "/cut":
            await send({"type": "http.response.body", "body": b"12345", "more_body": True})
            raise RuntimeError("in the middle")
        await send({"type": "http.response.body", "body": b"1234567890"})
"""


def begin(start, *options, files=None):
    return start(
        "-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0", *options,
        files={"application.py": APPLICATION, **(files or {})},
    )  # fmt: skip


def listening(server, path):
    """The port that the log in `path` names, when the server serves."""
    wait_until(lambda: path.exists() and "generation 1 serves" in path.read_text())
    return int(re.search(r"listening on \S*:(\d+)", path.read_text())[1])


def test_a_rotation_under_load_loses_no_line_and_needs_no_signal(start, tmp_path):
    log, access = tmp_path / "log", tmp_path / "access"
    server = begin(start, "--workers", "2", "--log-file", "log", "--access-log-file", "access")
    port = listening(server, log)
    rotated = [tmp_path / "access.1", tmp_path / "access.2"]
    requests = 0

    def ask():
        nonlocal requests
        assert get(port, f"/{requests}")[0] == 200
        requests += 1

    def ask_until_it_is_there_again():
        wait_until(lambda: ask() or access.exists())

    for name in rotated:
        ask()
        wait_until(access.exists)
        access.rename(name)
        ask_until_it_is_there_again()
    server.send_signal(1)
    wait_until(lambda: "generation 2 serves" in log.read_text())
    ask()
    assert server.stop() == 0
    lines = "".join(path.read_text() for path in (*rotated, access)).splitlines()
    assert sorted(int(re.search(r"GET /(\d+) ", line)[1]) for line in lines) == list(range(requests))
    assert "GET" not in log.read_text()
    assert server.log == ""


def test_a_log_file_that_cant_be_opened_is_one_sentence_and_exit_status_2(start):
    server = begin(start, "--log-file", "no/such/folder/log")
    assert server.wait() == 2
    assert server.log.startswith("gracehttp: error: the log file ")
    assert "can't be opened: No such file or directory" in server.log
    assert "Traceback" not in server.log


def test_combined_lines_of_all_workers_and_of_a_response_that_was_cut(start, tmp_path):
    server = begin(
        start, "--access-log-file", "access", "--access-log-format", "%(m)s %(U)s %(s)s %(B)s cut=%(cut)s %(H)s",
        "--access-log-exclude", "/healthz",
    )  # fmt: skip
    server.wait_until_serving()
    assert get(server.port, "/healthz")[0] == 200
    assert get(server.port, "/whole")[0] == 200
    with pytest.raises(ConnectionError):
        get(server.port, "/cut")
    assert server.stop() == 0
    assert (tmp_path / "access").read_text().splitlines() == [
        "GET /whole 200 10 cut=- HTTP/1.1",
        "GET /cut 200 5 cut=True HTTP/1.1",
    ]


CONFIG = {
    "formatters": {"mine": {"format": "%(levelname)s|%(method)s|%(status)s|%(user_agent)s"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "mine", "formatter": "mine"}},
    "loggers": {"gracehttp.access": {"handlers": ["file"]}},
}
TOML = """
    [formatters.mine]
    format = "%(levelname)s|%(method)s|%(status)s|%(user_agent)s"
    [handlers.file]
    class = "logging.FileHandler"
    filename = "mine"
    formatter = "mine"
    [loggers."gracehttp.access"]
    handlers = ["file"]
"""


@pytest.mark.parametrize(("name", "text"), [("log.json", json.dumps(CONFIG)), ("log.toml", TOML)])
def test_a_configuration_of_the_user_has_the_fields_of_requests_as_attributes(start, tmp_path, name, text):
    server = begin(start, "--access-log", "--log-config", name, files={name: text})
    server.wait_until_serving()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nUser-Agent: mine/1.0\r\nConnection: close\r\n\r\n")
        while client.recv(65536):
            pass
    assert server.stop() == 0
    assert (tmp_path / "mine").read_text() == "INFO|GET|200|mine/1.0\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "can't be read"),
        ("[]", "must be an object"),
        ('{"handlers": {"x": {"class": "no.such.Class"}}}', "can't be used: Unable to configure handler 'x'"),
    ],
)
def test_a_configuration_that_cant_be_used_is_one_sentence(start, text, told):
    server = begin(start, "--log-config", "log.json", files={"log.json": text})
    assert server.wait() == 2
    assert told in server.log
    assert "Traceback" not in server.log


def test_the_lines_of_workers_look_like_those_of_the_supervisor_whatever_the_application_configures(start):
    server = begin(start, "--access-log")
    server.wait_until_serving()
    assert get(server.port, "/")[0] == 200
    server.wait_for("GET / 200")
    shape = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z]+ +\[\d+\] \S.*")
    assert [line for line in server.lines if not shape.fullmatch(line)] == []
