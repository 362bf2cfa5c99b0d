"""The log component of the user."""

from __future__ import annotations

import logging

import pytest

from gracehttp.observe.callbacks import set_error_log_callback, set_info_log_callback, set_notice_log_callback
from gracehttp.observe.loggers import ACCESS_LOGGER, LOGGER, NOTICE
from gracehttp.observe.logs import configure_logging

SETTERS = [set_info_log_callback, set_notice_log_callback, set_error_log_callback]


@pytest.fixture
def told():
    """What each of the three callbacks was told."""
    lists = [], [], []
    for setter, messages in zip(SETTERS, lists, strict=True):
        setter(messages.append)
    return lists


@pytest.mark.parametrize(
    ("level", "who"),
    [(logging.INFO, 0), (NOTICE, 1), (logging.WARNING, 1), (logging.ERROR, 2), (logging.CRITICAL, 2)],
)
@pytest.mark.parametrize("printed", ["debug", "critical"])
def test_each_record_goes_to_the_callback_of_its_level_whatever_is_printed(told, stderr, level, who, printed):
    configure_logging(printed, "text", color=False)
    LOGGER.log(level, "hello %s", "you")
    assert told[who] == ["hello you"]
    assert sum(map(len, told)) == 1


def test_nothing_more_is_printed_because_of_callbacks(stderr):
    configure_logging("error", "text", color=False)
    set_info_log_callback(lambda message: None)
    LOGGER.info("x")
    assert stderr.getvalue() == ""


def test_callbacks_may_be_set_before_or_after_logging_is_configured(stderr):
    messages = []
    set_info_log_callback(messages.append)
    LOGGER.info("before")
    configure_logging("error", "text", color=False)
    LOGGER.info("after")
    assert messages == ["before", "after"]


def test_debug_records_are_told_to_nobody(told, stderr):
    configure_logging("debug", "text", color=False)
    LOGGER.debug("x")
    assert told == ([], [], [])


def test_access_records_are_told_to_nobody(told, stderr):
    configure_logging("info", "text", color=False)
    ACCESS_LOGGER.info("x")
    assert told == ([], [], [])
    assert stderr.getvalue().count("\n") == 1


def test_the_traceback_is_part_of_the_string(told):
    try:
        raise KeyError("k")
    except KeyError:
        LOGGER.exception("it failed")
    first, *rest = told[2][0].split("\n")
    assert first == "it failed"
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "KeyError: 'k'"


def test_control_characters_are_escaped(told):
    LOGGER.error("a\x1b[2J")
    assert told[2] == [r"a\x1b[2J"]


@pytest.mark.parametrize("set_callback", SETTERS)
def test_what_cannot_be_called_is_refused_at_once(set_callback):
    with pytest.raises(TypeError, match="log callback must be callable or None, not 'print'"):
        set_callback("print")


def test_none_removes_a_callback_and_its_wish_for_records(told, stderr):
    configure_logging("error", "text", color=False)
    set_info_log_callback(None)
    LOGGER.info("x")
    LOGGER.log(NOTICE, "y")
    assert told == ([], ["y"], [])
    set_notice_log_callback(None)
    set_error_log_callback(None)
    assert not LOGGER.isEnabledFor(NOTICE)
    assert not [handler for handler in LOGGER.handlers if type(handler).__name__ == "_CallbackHandler"]


def test_a_callback_that_raises_is_reported_once_and_called_again(stderr):
    calls = []

    def broken(message: str) -> None:
        calls.append(message)
        raise ValueError("no")

    configure_logging("info", "text", color=False)
    set_error_log_callback(broken)
    LOGGER.error("one")
    LOGGER.error("two")
    assert calls == ["one", "two"]  # not called with the report of its own failure
    assert stderr.getvalue().count("the error log callback raised ValueError('no')") == 1


def test_a_new_callback_is_reported_anew(stderr):
    configure_logging("info", "text", color=False)
    for _ in range(2):
        set_info_log_callback(lambda message: 1 / 0)
        LOGGER.info("x")
    assert stderr.getvalue().count("log callback raised") == 2


def test_a_callback_that_logs_to_gracehttp_is_not_called_by_what_it_logs(stderr):
    calls = []

    def loud(message: str) -> None:
        calls.append(message)
        LOGGER.info("callback got %s", message)

    configure_logging("info", "text", color=False)
    set_info_log_callback(loud)
    LOGGER.info("x")
    assert calls == ["x"]
    assert stderr.getvalue().count("callback got x") == 1


def test_handlers_of_the_user_still_count_as_such_beside_callbacks(told, stderr):
    handler = logging.NullHandler()
    LOGGER.addHandler(handler)
    configure_logging("info", "text", color=False)
    LOGGER.info("x")
    assert told[0] == ["x"]
    assert stderr.getvalue() == ""


def test_callbacks_alone_do_not_count_as_handlers_of_the_user(told, stderr):
    configure_logging("info", "text", color=False)
    LOGGER.info("x")
    assert stderr.getvalue().count("\n") == 1
