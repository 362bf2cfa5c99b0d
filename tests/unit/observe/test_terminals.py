"""Colors and links: where the terminal shows them, and where the user wants them or not."""

from __future__ import annotations

import logging

import pytest

from gracehttp.events import ListenerOpened
from gracehttp.observe.formatters import TextFormatter
from gracehttp.observe.terminals import shows_colors, shows_links

URL = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("environ", "at_a_terminal", "elsewhere"),
    [
        ({}, True, False),
        ({"TERM": "xterm"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
    ids=str,
)
def test_colors(environ, at_a_terminal, elsewhere) -> None:
    assert shows_colors(environ, terminal=True) is at_a_terminal
    assert shows_colors(environ, terminal=False) is elsewhere


def test_links_are_for_terminals_that_know_them() -> None:
    assert shows_links({"NO_COLOR": "1"}, terminal=True)
    assert not shows_links({"FORCE_COLOR": "1"}, terminal=False)
    assert not shows_links({"TERM": "linux"}, terminal=True)
    assert not shows_links({"TERM": "dumb"}, terminal=True)


def line(event, **options):
    record = logging.LogRecord("gracehttp", logging.INFO, __file__, 1, "%s", (event,), None)
    record.event = event
    record.created, record.msecs = 0.0, 0.0
    return TextFormatter(color=False, **options).format(record)


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "0.0.0.0:8000"])
def test_the_url_is_a_link_to_itself(address) -> None:
    event = ListenerOpened(address, 5, url=URL)
    with_link = line(event, links=True)
    assert f"\x1b]8;;{URL}\x1b\\{URL}\x1b]8;;\x1b\\" in with_link
    assert with_link.replace(f"\x1b]8;;{URL}\x1b\\", "").replace("\x1b]8;;\x1b\\", "") == line(event)
    assert "\x1b" not in line(event)


def test_what_has_no_url_has_no_link() -> None:
    assert "\x1b" not in line(ListenerOpened("unix:/run/app.sock", 5), links=True)
