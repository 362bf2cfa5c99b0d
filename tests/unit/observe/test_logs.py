"""Where the records of gracehttp go, and how they look."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.config
import os
import re
import sys
import threading

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.errors import ConfigurationError
from gracehttp.events import (
    DrainFinished,
    ListenerClosed,
    RequestsCut,
    SupervisorLost,
    WorkerFailedToStart,
    WorkerStarted,
)
from gracehttp.observe import stderr as stderr_module
from gracehttp.observe.callbacks import set_error_log_callback
from gracehttp.observe.loggers import ACCESS_LOGGER, LOGGER, NOTICE
from gracehttp.observe.logs import configure_logging, errors_are_logged, log_event, records_are_missing

LINE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def failing() -> ValueError:
    try:
        raise ValueError("bad \x1b[31m value\n2026-01-01 forged")
    except ValueError as exc:
        return exc


def test_text_has_time_level_pid_and_message(stderr):
    configure_logging("info", "text", color=False)
    LOGGER.info("hello %s", "you")
    assert re.fullmatch(LINE + rf"INFO    \[{os.getpid()}\] hello you\n", stderr.getvalue())


def test_color_is_on_the_level_only(stderr):
    configure_logging("info", "text", color=True)
    LOGGER.error("hello")
    assert re.fullmatch(LINE + rf"\x1b\[31mERROR  \x1b\[0m \[{os.getpid()}\] hello\n", stderr.getvalue())


def test_control_characters_and_further_lines_cannot_pass_for_a_record(stderr):
    configure_logging("info", "text", color=False)
    LOGGER.error("one\n2026-01-01 two\x1b[2J", exc_info=failing())
    first, *rest = stderr.getvalue().splitlines()
    assert first.endswith("one")
    assert rest[0] == r"    2026-01-01 two\x1b[2J"
    assert rest[-2:] == [r"    ValueError: bad \x1b[31m value", "    2026-01-01 forged"]
    assert all(line.startswith("    ") for line in rest)


def test_json_is_one_object_per_line(stderr):
    configure_logging("info", "json", color=True)
    LOGGER.error("one\ntwo\x1b é", exc_info=failing())
    assert stderr.getvalue().isascii()
    entry = json.loads(stderr.getvalue())
    assert stderr.getvalue().count("\n") == 1
    assert list(entry) == ["time", "level", "logger", "message", "pid", "exception"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
    assert (entry["level"], entry["logger"], entry["message"]) == ("error", "gracehttp", "one\ntwo\x1b é")
    assert entry["pid"] == os.getpid()
    assert entry["exception"].startswith("Traceback")


def test_json_has_the_fields_of_an_event_and_keeps_the_pid_of_the_logging_process(stderr):
    configure_logging("info", "json", color=False)
    log_event(WorkerStarted(generation=2, worker=1, pid=99))
    entry = json.loads(stderr.getvalue())
    assert (entry["event"], entry["generation"], entry["worker"]) == ("WorkerStarted", 2, 1)
    assert (entry["event_pid"], entry["pid"]) == (99, os.getpid())
    assert entry["message"] == "worker 1 of generation 2 started, pid 99"


def test_json_has_one_sentence_as_message_and_the_rest_in_fields(stderr):
    configure_logging("info", "json", color=False)
    log_event(WorkerFailedToStart(2, 3, "ended with status 1: NameError: name 'x'", "Traceback\n  ...", None))
    entry = json.loads(stderr.getvalue())
    assert entry["message"] == "worker 3 of generation 2 ended with status 1: NameError: name 'x'"
    assert entry["details"] == "Traceback\n  ..."


def test_json_has_durations_to_the_microsecond(stderr):
    configure_logging("debug", "json", color=False)
    log_event(DrainFinished(0.1234567891))
    assert json.loads(stderr.getvalue())["seconds"] == 0.123457


def test_json_time_keeps_its_milliseconds_when_they_are_zero(stderr):
    configure_logging("info", "json", color=False)
    record = LOGGER.makeRecord("gracehttp", logging.INFO, "", 0, "x", (), None)
    record.created = 1.0
    LOGGER.handle(record)
    assert json.loads(stderr.getvalue())["time"] == "1970-01-01T00:00:01.000Z"


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (DrainFinished(seconds=1.0), logging.DEBUG),
        (RequestsCut(seconds=1.0, cut=("GET / for 9.0 s",)), logging.WARNING),
        (ListenerClosed(address="a:1"), NOTICE),
        (SupervisorLost(pid=1), logging.ERROR),
    ],
)
def test_events_are_logged_at_the_level_of_their_severity(event, level):
    collector = Collector()
    LOGGER.addHandler(collector)
    configure_logging("debug", "text", color=False)
    log_event(event)
    [record] = collector.records
    assert (record.levelno, record.getMessage(), record.event) == (level, str(event), event)


@pytest.mark.parametrize(
    ("level", "printed"),
    [
        ("debug", ["DEBUG", "INFO", "NOTICE", "WARNING", "ERROR"]),
        ("INFO", ["INFO", "NOTICE", "WARNING", "ERROR"]),
        ("notice", ["NOTICE", "WARNING", "ERROR"]),
        ("warning", ["WARNING", "ERROR"]),
        ("error", ["ERROR"]),
        ("critical", []),
    ],
)
def test_level_is_the_least_that_is_printed(stderr, level, printed):
    configure_logging(level, "text", color=False)
    for number in (logging.DEBUG, logging.INFO, NOTICE, logging.WARNING, logging.ERROR):
        LOGGER.log(number, "x")
    assert [line.split()[2] for line in stderr.getvalue().splitlines()] == printed


def test_access_records_follow_the_level(stderr):
    configure_logging("notice", "text", color=False)
    assert not ACCESS_LOGGER.isEnabledFor(logging.INFO)
    configure_logging("info", "text", color=False)
    ACCESS_LOGGER.info("x")
    assert stderr.getvalue().count("\n") == 1


def test_an_access_logger_with_handlers_of_the_user_keeps_its_level():
    ACCESS_LOGGER.addHandler(Collector())
    ACCESS_LOGGER.setLevel(logging.INFO)
    configure_logging("error", "text", color=False)
    assert ACCESS_LOGGER.isEnabledFor(logging.INFO)


def test_handlers_of_the_user_stay_and_none_is_added(stderr):
    collector = Collector()
    LOGGER.addHandler(collector)
    configure_logging("info", "text", color=False)
    LOGGER.info("x")
    assert LOGGER.handlers == [collector]
    assert LOGGER.propagate
    assert len(collector.records) == 1
    assert stderr.getvalue() == ""


def test_own_handler_keeps_records_from_the_root_logger_which_would_print_them_again(stderr):
    root = Collector()
    logging.getLogger().addHandler(root)
    try:
        configure_logging("info", "text", color=False)
        LOGGER.info("x")
    finally:
        logging.getLogger().removeHandler(root)
    assert root.records == []
    assert stderr.getvalue().count("\n") == 1


def test_to_configure_again_replaces_the_handler(stderr):
    configure_logging("info", "text", color=False)
    configure_logging("error", "json", color=False)
    LOGGER.info("not printed")
    LOGGER.error("printed")
    assert json.loads(stderr.getvalue())["message"] == "printed"


def test_to_configure_again_undoes_what_dictconfig_does_to_loggers_it_does_not_know(stderr):
    configure_logging("info", "text", color=False)
    logging.config.dictConfig({"version": 1})
    assert LOGGER.disabled
    configure_logging("info", "text", color=False)
    LOGGER.info("x")
    ACCESS_LOGGER.info("x")
    assert stderr.getvalue().count("\n") == 2


@pytest.mark.parametrize(("level", "log_format"), [("loud", "text"), ("info", "xml")])
def test_unknown_level_or_format_is_a_configuration_error(level, log_format):
    with pytest.raises(ConfigurationError, match="is no log"):
        configure_logging(level, log_format, color=False)


def test_a_failing_configuration_changes_nothing():
    with pytest.raises(ConfigurationError):
        configure_logging("info", "xml", color=False)
    assert LOGGER.handlers == []
    assert LOGGER.level == logging.NOTSET


def test_threads_log_through_the_same_handler(stderr):
    configure_logging("info", "text", color=False)
    threads = [threading.Thread(target=LOGGER.info, args=("x",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stderr.getvalue().count("\n") == 4


def test_record_that_nobody_has_a_handler_for_can_not_pass_for_two(stderr, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest has some
    configure_logging("info", "text", color=False)
    logging.getLogger("of_nobody").error("task failed", exc_info=failing())
    first, *rest = stderr.getvalue().splitlines()
    assert re.match(LINE + r"ERROR   \[\d+\] task failed", first)
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in "".join(rest)


@pytest.mark.parametrize(
    ("level", "callback", "logged"),
    [("info", None, True), ("error", None, True), ("critical", None, False), ("critical", print, True)],
)
def test_it_is_known_whether_errors_are_told_to_anybody(stderr, level, callback, logged):
    set_error_log_callback(callback)
    configure_logging(level, "text", color=False)
    assert errors_are_logged() == logged


@pytest.mark.parametrize(("level", "logged"), [(logging.INFO, True), (logging.CRITICAL, False)])
def test_errors_are_told_if_a_handler_of_the_user_takes_them(level, logged):
    collector = Collector()
    collector.setLevel(level)
    LOGGER.addHandler(collector)
    LOGGER.propagate = False
    configure_logging("info", "text", color=False)
    assert errors_are_logged() == logged


@contextlib.contextmanager
def stderr_is_a_pipe(monkeypatch):
    """Yields the end that is read."""
    read_end, write_end = os.pipe()
    with open(write_end, "w") as stream, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        patched.setattr(sys, "__stderr__", stream)
        patched.setattr(stderr_module, "FINISH_SECONDS", 0.01)
        yield read_end
        for handler in LOGGER.handlers:
            handler.detach()
    os.close(read_end)


def test_records_that_are_missing_are_told_before_the_next_one(monkeypatch):
    with stderr_is_a_pipe(monkeypatch) as pipe:
        configure_logging("info", "json", color=False)
        records_are_missing(3)
        LOGGER.info("next")
        told = [json.loads(line)["message"] for line in os.read(pipe, 4096).splitlines()]
    assert told == ["3 records are missing here: standard error was not read", "next"]


def test_records_that_could_not_be_written_are_told_by_the_next_handler(monkeypatch):
    with stderr_is_a_pipe(monkeypatch) as pipe:
        configure_logging("info", "json", color=False)
        for _ in range(200):
            LOGGER.info("%s", "x" * 1000)
        configure_logging("info", "json", color=False)
        whole = os.read(pipe, 1 << 20).count(b"\n")
        LOGGER.info("next")
        assert f"{200 - whole} records are missing here".encode() in os.read(pipe, 4096)


def test_a_full_pipe_does_not_stop_whoever_logs_to_a_logger_without_a_handler(monkeypatch):
    """As asyncio does, when a task of the application has failed."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with stderr_is_a_pipe(monkeypatch):
        configure_logging("info", "text", color=False)

        def log():
            for _ in range(200):
                logging.getLogger("somewhere.else").warning("%s", "x" * 1000)

        thread = threading.Thread(target=log, daemon=True)
        thread.start()
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()


def test_a_last_resort_of_the_user_is_left_alone(monkeypatch):
    monkeypatch.setattr(logging, "lastResort", resort := Collector())
    with stderr_is_a_pipe(monkeypatch):
        configure_logging("info", "text", color=False)
        assert logging.lastResort is resort
