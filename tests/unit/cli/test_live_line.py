"""The line at a terminal that says how a restart gets on."""

from __future__ import annotations

import io

import pytest

from gracehttp.cli.live_line import LiveLine, Steps, drain_text, progress_display, stop_text, text_of
from gracehttp.wire.control import GenerationStatus, Progress, Status, WorkerStatus

IMPORTS = Progress("worker 5 of generation 2 is importing main:app", "debug", 2, doing="importing main:app")
READY = Progress("worker 5 of generation 2 is ready after 0.10 s", "info", 2, ready=1, wanted=4)
WARNING = Progress("it is slow\nTraceback", "warning")
OLDER = Progress("generation 2 started")  # of a supervisor of an older release


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_a_terminal(monkeypatch, term="xterm"):
    """Not a fixture: pytest puts its own stderr in its place before the test begins."""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "40")
    return terminal


def test_steps(monkeypatch):
    terminal = at_a_terminal(monkeypatch)
    for progress in (IMPORTS, READY, WARNING, OLDER):
        Steps().tell(progress)
    assert terminal.getvalue().splitlines() == [READY.progress, "it is slow", "generation 2 started"]


def test_live_line(monkeypatch):
    terminal = at_a_terminal(monkeypatch)
    display = progress_display()
    assert isinstance(display, LiveLine)
    for progress in (IMPORTS, READY, WARNING, OLDER):
        display.tell(progress)
    display.clear()
    erase = "\r\x1b[K"
    assert terminal.getvalue() == (
        f"{erase}generation 2: importing main:app{erase}generation 2: ready 1 of 4"
        f"{erase}it is slow\n{erase}generation 2 started{erase}"
    )


def test_live_line_stays_one_line(monkeypatch):
    terminal = at_a_terminal(monkeypatch)
    LiveLine().show("x" * 100)
    assert terminal.getvalue() == "\r\x1b[K" + "x" * 39


@pytest.mark.parametrize("term", ["dumb", ""])
def test_no_live_line_where_it_can_not_be_erased(monkeypatch, term):
    at_a_terminal(monkeypatch, term)
    assert not isinstance(progress_display(), LiveLine)


def test_no_live_line_elsewhere(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not isinstance(progress_display(), LiveLine)


def test_older_supervisors_tell_sentences_only():
    assert text_of(OLDER) == "generation 2 started"


@pytest.mark.parametrize(
    ("connections", "text"),
    {
        (2, 1): "generation 1 is draining, 3 connections left",
        (1,): "generation 1 is draining, 1 connection left",
        (0, None): "generation 1 is draining, 0 connections left",
        (None,): "generation 1 is draining",
    }.items(),
)
def test_drain(connections, text):
    draining = tuple(WorkerStatus(n, 1, "draining", "", count) for n, count in enumerate(connections))
    serving = GenerationStatus(2, "serving", (WorkerStatus(9, 1, "serving", "", 5),))
    status = Status(1, "0", 1.0, (GenerationStatus(1, "draining", draining), serving), ())
    assert drain_text(status) == text
    assert drain_text(Status(1, "0", 1.0, (serving,), ())) == ""


@pytest.mark.parametrize(
    ("workers", "text"),
    [(0, ""), (1, "1 worker left to drain after 3 s"), (2, "2 workers left to drain after 3 s")],
)
def test_rest_of_a_stop(workers, text):
    draining = tuple(WorkerStatus(number, 1, "draining", "", None) for number in range(workers))
    assert stop_text(Status(1, "0", 1.0, (GenerationStatus(1, "draining", draining),), ()), 3.2) == text
