"""What the harness of the process tests says when it waited in vain: the log, cut to its end, and last the reason."""

from __future__ import annotations

import os

import pytest
import server_harness
from page_runner import Reader
from server_harness import LINES_SHOWN, Server, read_until


def last_lines(raised):
    return str(raised.value).splitlines()


def test_a_line_that_does_not_come(tmp_path):
    server = Server(tmp_path / "server", "-c", "import sys\nfor n in range(500): print('line', n, file=sys.stderr)")
    try:
        with pytest.raises(AssertionError) as raised:
            server.wait_for("line 499", count=2)
    finally:
        server.end()
    *shown, reason = last_lines(raised)
    assert reason == "the log has ended, with 1 of 2 lines with 'line 499'"
    assert shown[-LINES_SHOWN:] == [f"line {n}" for n in range(500 - LINES_SHOWN, 500)]
    assert f"({500 - LINES_SHOWN} lines above)" in shown
    assert len(shown) == LINES_SHOWN + 2


def test_a_text_that_does_not_appear_on_a_terminal(monkeypatch):
    monkeypatch.setattr(server_harness, "DEADLINE_SECONDS", 0.1)
    reading, writing = os.pipe()
    try:
        os.write(writing, b"hello\n")
        with pytest.raises(AssertionError) as raised:
            read_until(reading, "ready")
    finally:
        os.close(reading)
        os.close(writing)
    assert last_lines(raised)[-2:] == ["hello", "'ready' did not appear on the terminal"]


def test_a_command_of_a_page_that_shows_something_else(tmp_path):
    reader = Reader(tmp_path)
    shell = reader.shell("")
    try:
        shell.type("seq 500")
        with pytest.raises(pytest.fail.Exception) as raised:
            shell.end_with("1\n", "seq 500")
    finally:
        reader.leave()
    assert last_lines(raised)[-2:] == ["500", "'seq 500' should show '1\\n'"]
    assert len(last_lines(raised)) == LINES_SHOWN + 3
