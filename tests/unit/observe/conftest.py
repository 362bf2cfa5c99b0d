"""Each test finds the loggers of gracehttp as a fresh process does."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from gracehttp.observe import callbacks
from gracehttp.observe.loggers import ACCESS_LOGGER, LOGGER, THRESHOLD, Threshold


@pytest.fixture(autouse=True)
def _fresh_loggers() -> Iterator[None]:
    kept = [(log, log.level, log.propagate, log.disabled, log.handlers[:]) for log in (LOGGER, ACCESS_LOGGER)]
    state = dict(vars(THRESHOLD))
    vars(THRESHOLD).update(vars(Threshold(LOGGER, ACCESS_LOGGER)))
    for log in (LOGGER, ACCESS_LOGGER):
        log.handlers, log.propagate, log.disabled = [], True, False
        log.setLevel(logging.NOTSET)
    last_resort, formatter = logging.lastResort, logging.lastResort.formatter
    yield
    logging.lastResort = last_resort
    last_resort.setFormatter(formatter)
    for forget in (
        callbacks.set_info_log_callback,
        callbacks.set_notice_log_callback,
        callbacks.set_error_log_callback,
    ):
        forget(None)
    vars(THRESHOLD).update(state)
    for log, level, propagate, disabled, handlers in kept:
        log.setLevel(level)
        log.propagate, log.disabled, log.handlers = propagate, disabled, handlers


class Stderr:
    """What was printed on standard error since the test began."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    return Stderr(capsys)
