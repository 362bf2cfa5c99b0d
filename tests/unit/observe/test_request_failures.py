"""What is logged when an application fails with a request."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from gracehttp.applications.wsgi.headers import wire_headers
from gracehttp.http.exchange import ResponseError
from gracehttp.observe import request_failures
from gracehttp.observe.logs import configure_logging
from gracehttp.observe.request_failures import (
    log_application_failure,
    log_broken_response,
    log_corrected_response,
    log_exit_of_a_task,
)
from gracehttp.observe.tracebacks import application_frames, application_traceback


@dataclass
class Head:
    method: str = "GET"
    target: bytes = b"/a\x1b"
    client: tuple[str, int] | None = ("127.0.0.1", 5000)


def error_of(call) -> BaseException:
    try:
        call()
    except BaseException as exc:
        return exc
    raise AssertionError("it didn't raise")


def application() -> None:
    raise ValueError("bad\nvalue")


def misuse() -> None:
    wire_headers([("X", "a\nb")])


def test_failure_shows_the_request_and_the_applications_frames(stderr):
    configure_logging("info", "text", color=False)
    log_application_failure(Head(), error_of(application))
    first, *rest = stderr.getvalue().splitlines()
    assert first.endswith(r"GET /a\x1b: the application raised ValueError: bad\nvalue")
    assert "in application" in "".join(rest)
    assert rest[-2:] == ["    ValueError: bad", "    value"]


def test_error_that_can_not_say_what_it_is_is_logged_all_the_same(stderr):
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    configure_logging("info", "text", color=False)
    log_application_failure(Head(), Mute())
    assert "the application raised Mute: <exception str() failed>" in stderr.getvalue()


def test_frames_of_the_server_are_cut_above_and_below_the_applications(stderr):
    configure_logging("info", "text", color=False)
    error = error_of(misuse)
    log_application_failure(Head(), error)
    assert "in misuse" in stderr.getvalue()
    assert "wsgi/headers.py" not in stderr.getvalue()
    assert "wsgi/headers.py" in error.__traceback__.tb_next.tb_next.tb_frame.f_code.co_filename  # itself untouched


def test_error_that_the_server_found_afterwards_needs_no_traceback(stderr):
    configure_logging("info", "text", color=False)
    log_application_failure(Head(), ResponseError("too short"))
    assert stderr.getvalue().count("\n") == 1


def test_fault_of_the_server_itself_keeps_its_traceback(stderr):
    configure_logging("info", "text", color=False)
    server_error = error_of(lambda: wire_headers(3))
    server_error.__traceback__ = server_error.__traceback__.tb_next.tb_next  # from the server's frame on
    log_application_failure(Head(), server_error)
    assert "wsgi/headers.py" in stderr.getvalue()


def test_json_has_the_request_and_the_kind_of_error(stderr):
    configure_logging("info", "json", color=False)
    log_application_failure(Head(), error_of(application))
    entry = json.loads(stderr.getvalue())
    assert (entry["method"], entry["target"], entry["client"]) == ("GET", r"/a\x1b", "127.0.0.1:5000")
    assert entry["error"] == "ValueError"
    assert entry["exception"].startswith("Traceback")


def test_broken_response_names_the_reason(stderr):
    configure_logging("info", "text", color=False)
    log_broken_response(Head(), "3 bytes of 5")
    assert stderr.getvalue().endswith("GET /a\\x1b: the response is broken: 3 bytes of 5\n")


def test_exit_of_a_task_shows_where_it_was_asked_for(stderr):
    configure_logging("info", "text", color=False)
    log_exit_of_a_task(error_of(lambda: sys.exit(3)))
    first, *rest = stderr.getvalue().splitlines()
    assert first.endswith("a task of the application raised SystemExit; only that task ended")
    assert "sys.exit(3)" in "".join(rest)


def test_traceback_without_frames_of_the_application_is_its_last_line():
    assert application_traceback(ValueError("x")) == "ValueError: x\n"
    assert application_frames(None) is None


def test_traceback_has_the_cause():
    def caused() -> None:
        try:
            application()
        except ValueError as exc:
            raise KeyError("k") from exc

    text = application_traceback(error_of(caused))
    assert "ValueError: bad" in text
    assert "direct cause" in text
    assert text.rstrip().endswith("KeyError: 'k'")


def test_what_was_left_out_of_a_response_is_said_once_for_each_kind(stderr, monkeypatch):
    monkeypatch.setattr(request_failures, "_told_corrections", set())
    configure_logging("info", "text", color=False)
    for _ in range(3):
        log_corrected_response(Head(), "keep-alive", "Keep-Alive is left out")
        log_corrected_response(Head(), "te", "TE is left out")
    first, second = stderr.getvalue().splitlines()
    assert first.endswith(r"GET /a\x1b: Keep-Alive is left out (this is said once per worker)")
    assert "TE is left out" in second
