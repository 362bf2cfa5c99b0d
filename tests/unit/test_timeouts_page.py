"""docs/timeouts.md has every option that is a limit of time, with the defaults that the code has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from gracehttp.config import OPTIONS

PAGE = (Path(__file__).parents[2] / "docs" / "timeouts.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")][
    1:
]
NOT_LIMITS = {"probation", "max_worker_age"}
"""Durations that limit nothing that takes long."""


def test_each_default_is_that_of_the_code():
    for _, option, default, *_ in ROWS:
        assert default.split("`")[1] == OPTIONS[option.strip("`")].show_default(), option


def test_no_limit_of_time_is_missing():
    durations = {name for name, one in OPTIONS.items() if one.kind.metavar == "DURATION"}
    assert durations - NOT_LIMITS == {row[1].strip("`") for row in ROWS}


def told(column):
    """The names and defaults in a column of the page, as seconds."""
    cells = [re.match(r"`(\w+)` (?:(\d+) s|no limit)", row[column]) for row in ROWS]
    return {cell[1]: int(cell[2]) if cell[2] else None for cell in cells if cell is not None}


def test_defaults_of_gunicorn_are_its_own():
    config = pytest.importorskip("gunicorn.config")
    real = {setting.name: setting.default for setting in config.KNOWN_SETTINGS}
    assert told(4)
    assert told(4) == {name: real[name] for name in told(4)}


def test_defaults_of_uvicorn_are_its_own():
    uvicorn = pytest.importorskip("uvicorn")
    real = {name: one.default for name, one in inspect.signature(uvicorn.Config.__init__).parameters.items()}
    assert told(5)
    assert told(5) == {name: real[name] for name in told(5)}
