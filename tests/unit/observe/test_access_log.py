"""One line, or one object, for each request."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import pytest

from gracehttp.observe.access_log import AccessLog
from gracehttp.observe.logs import configure_logging


@dataclass
class Head:
    method: str = "GET"
    target: bytes = b"/a?b=c"
    client: tuple[str, int] | None = ("127.0.0.1", 5000)
    close_code: int | None = None
    refused: bool = False
    cut: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ((b"host", b"example.com"),)
    scheme: str = "http"
    path: str = "/a"
    query_string: bytes = b"b=c"
    http_version: str = "1.1"


def test_text(stderr):
    configure_logging("info", "text", color=False)
    AccessLog(1, 7)(Head(), 200, 12, 0.0345)
    line = "GET /a?b=c 200 12 bytes 34.5 ms 127.0.0.1:5000 worker 1 generation 7"
    assert stderr.getvalue().endswith(f"] {line}\n")


def test_json(stderr):
    configure_logging("info", "json", color=False)
    AccessLog(1, 7)(Head("POST"), 404, 0, 0.0345)
    entry = json.loads(stderr.getvalue())
    assert entry["logger"] == "gracehttp.access"
    assert {name: entry[name] for name in list(entry)[5:]} == {
        "method": "POST",
        "target": "/a?b=c",
        "status": 404,
        "body_bytes": 0,
        "seconds": 0.0345,
        "client": "127.0.0.1:5000",
        "worker": 1,
        "generation": 7,
        "http_version": "1.1",
        "host": "example.com",
    }


@pytest.mark.parametrize(
    ("client", "shown"),
    [(("::1", 80), "[::1]:80"), (("10.0.0.1", 80), "10.0.0.1:80"), (("::1", 0), "::1"), (None, "unix")],
)
def test_clients(stderr, client, shown):
    configure_logging("info", "text", color=False)
    AccessLog(0, 1)(Head(client=client), 200, 0, 0)
    assert f" {shown} worker 0 generation 1\n" in stderr.getvalue()


def test_what_the_client_sent_is_escaped(stderr):
    configure_logging("info", "text", color=False)
    AccessLog(0, 1)(Head(target=b"/\x1b[2J\xc3\xa9\n"), 200, 0, 0)
    assert r" /\x1b[2J\xc3\xa9\n 200 " in stderr.getvalue()


def test_costs_nothing_when_nobody_listens():
    configure_logging("notice", "text", color=False)
    AccessLog(0, 1)(object(), 200, 0, 0)  # type: ignore[arg-type]  # nothing of it is looked at


def test_records_reach_handlers_that_the_user_put_on_the_access_logger():
    records = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Keep()
    logger = logging.getLogger("gracehttp.access")
    logger.addHandler(handler)
    configure_logging("info", "text", color=False)
    AccessLog(0, 1)(Head(), 200, 0, 0)
    assert records[0].fields["status"] == 200


def test_websocket_has_its_close_code(stderr):
    configure_logging("info", "text", color=False)
    AccessLog(1, 7)(Head(close_code=1012), 101, 12, 60.0)
    line = "GET /a?b=c 101 12 bytes 60000.0 ms 127.0.0.1:5000 worker 1 generation 7 close 1012"
    assert stderr.getvalue().endswith(f"] {line}\n")


def test_websocket_has_its_close_code_in_json(stderr):
    configure_logging("info", "json", color=False)
    AccessLog(1, 7)(Head(close_code=1000), 101, 12, 60.0)
    assert json.loads(stderr.getvalue())["close_code"] == 1000


def test_another_protocol_has_none(stderr):
    configure_logging("info", "json", color=False)
    AccessLog(1, 7)(Head(), 101, 0, 0)
    assert "close_code" not in json.loads(stderr.getvalue())
