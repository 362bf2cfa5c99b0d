"""What the log looks like at a terminal, and where it isn't at one."""

from __future__ import annotations

import re
import textwrap

import pytest
from server_harness import PID_APPLICATION, read_until

SERVE = ("-m", "gracehttp", "serve", "application:app", "--bind", "127.0.0.1:0")
COLOR = re.compile(r"\x1b\[[0-9;]*m")
LINK = re.compile(r"listening on \x1b]8;;(http://127\.0\.0\.1:\d+)\x1b\\(\S+)\x1b]8;;\x1b\\, at most")


@pytest.fixture
def log_at_a_terminal(at_a_terminal, tmp_path):
    def log(**environment):
        (tmp_path / "application.py").write_text(textwrap.dedent(PID_APPLICATION))
        _, terminal = at_a_terminal(*SERVE, **environment)
        return read_until(terminal, "generation 1 serves")

    return log


def test_at_a_terminal_it_has_colors_and_the_url_as_a_link(log_at_a_terminal) -> None:
    log = log_at_a_terminal()
    assert len(COLOR.findall(log)) >= 8
    link = LINK.search(log)
    assert link[1] == link[2]


def test_no_color_means_none(log_at_a_terminal) -> None:
    log = log_at_a_terminal(NO_COLOR="1")
    assert not COLOR.search(log)
    assert LINK.search(log)


@pytest.mark.parametrize(("environment", "colors"), [({}, False), ({"FORCE_COLOR": "1"}, True)], ids=str)
def test_elsewhere_it_has_colors_if_they_are_forced_and_never_a_link(start, environment, colors) -> None:
    server = start(*SERVE, files={"application.py": PID_APPLICATION}, environment=environment)
    server.wait_until_serving()
    worker = server.wait_for("worker 1 of generation 1 is ready")
    assert bool(COLOR.search(worker.string)) is colors
    assert "\x1b]8" not in server.log
    assert re.search(r"listening on http://127\.0\.0\.1:\d+, at most", server.log)
    server.restart(2)
    drained = server.wait_for("drained in")  # a line of a worker
    assert bool(COLOR.search(drained.string)) is colors
