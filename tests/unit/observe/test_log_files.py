"""A log in a file: rotated without a signal, written whole by several processes, never in the way of the service."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os

import pytest
from deadlines import DEADLINE_SECONDS
from test_access_log import Head

from gracehttp.errors import ConfigurationError
from gracehttp.observe import log_files
from gracehttp.observe.access_log import AccessLog
from gracehttp.observe.loggers import LOGGER
from gracehttp.observe.logs import configure_logging


@pytest.fixture(autouse=True)
def _detach():
    yield
    for logger in ("gracehttp", "gracehttp.access"):
        for handler in logging.getLogger(logger).handlers:
            if isinstance(handler, log_files.FileHandler):
                handler.detach()


def test_the_log_goes_to_the_file_alone_and_stays_there_when_logging_is_configured_again(tmp_path, stderr):
    path = tmp_path / "log"
    for sentence in ("one", "two"):
        configure_logging("info", "text", color=True, log_file=str(path))
        LOGGER.error(sentence)
    logging.lastResort.handle(logging.makeLogRecord({"msg": "of a library", "levelno": 30, "levelname": "WARNING"}))
    assert [line.split("] ")[1] for line in path.read_text().splitlines()] == ["one", "two", "of a library"]
    assert "\x1b" not in path.read_text()
    assert stderr.getvalue() == ""


def test_after_a_rotation_lines_go_to_the_new_file(tmp_path, monkeypatch):
    monkeypatch.setattr(log_files, "_LOOK_AGAIN_SECONDS", 0.0)
    path = tmp_path / "log"
    configure_logging("info", "text", color=False, log_file=str(path))
    LOGGER.error("before")
    path.rename(tmp_path / "log.1")
    LOGGER.error("behind")
    path.unlink()
    LOGGER.error("last")
    assert "before" in (tmp_path / "log.1").read_text()
    assert "last" in path.read_text()
    assert "behind" not in path.read_text()


def test_a_file_that_is_gone_with_its_folder_is_told_on_stderr_once(tmp_path, monkeypatch, stderr):
    monkeypatch.setattr(log_files, "_LOOK_AGAIN_SECONDS", 0.0)
    folder = tmp_path / "logs"
    folder.mkdir()
    configure_logging("info", "text", color=False, log_file=str(folder / "log"))
    folder.rename(tmp_path / "elsewhere")
    for _ in range(3):
        LOGGER.error("lost")
    folder.mkdir()
    LOGGER.error("found")
    assert stderr.getvalue().count("can't be written: No such file or directory") == 1
    assert "found" in (folder / "log").read_text()


def test_a_file_that_cant_be_opened_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match="can't be opened: No such file or directory"):
        configure_logging("info", "text", color=False, log_file=str(tmp_path / "no" / "log"))


def test_the_access_log_can_go_elsewhere_whatever_the_level_is(tmp_path, stderr, capsys):
    path = tmp_path / "access"
    configure_logging("error", "json", color=False, access_log_file=str(path))
    AccessLog(1, 7)(Head(), 200, 12, 0.0)
    LOGGER.error("of the log")
    assert json.loads(path.read_text())["status"] == 200
    assert json.loads(stderr.getvalue())["message"] == "of the log"
    configure_logging("error", "text", color=False)
    AccessLog(1, 7)(Head(), 200, 12, 0.0)
    assert (stderr.getvalue().count("\n"), len(path.read_text().splitlines())) == (1, 1)


def test_a_user_who_keeps_the_access_log_from_the_rest_is_obeyed(tmp_path, stderr):
    logger = logging.getLogger("gracehttp.access")
    logger.addHandler(logging.FileHandler(tmp_path / "mine"))
    logger.propagate = False
    for _ in range(2):
        configure_logging("info", "text", color=False)
    AccessLog(1, 7)(Head(), 200, 12, 0.0)
    logger.handlers.pop().close()
    assert (tmp_path / "mine").read_text().startswith("GET /a?b=c 200")
    assert stderr.getvalue() == ""


def test_standard_output(capsys):
    configure_logging("info", "text", color=False, log_file="-", access_log_file="-")
    LOGGER.error("of the log")
    AccessLog(1, 7)(Head(), 200, 12, 0.0)
    out, err = capsys.readouterr()
    assert ["of the log" in out, "GET /a" in out, err] == [True, True, ""]


def _write(path, number):
    configure_logging("info", "text", color=False, log_file=path)
    for _ in range(100):
        LOGGER.error("%d", number * 111_111_111)
    os._exit(0)


def test_lines_of_several_processes_dont_mix(tmp_path):
    path = str(tmp_path / "log")
    processes = [multiprocessing.get_context("fork").Process(target=_write, args=(path, one)) for one in range(1, 4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(DEADLINE_SECONDS)
    lines = [line.split("] ")[1] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(lines) == sorted([str(one * 111_111_111) for one in range(1, 4)] * 100)
