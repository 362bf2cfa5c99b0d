"""The pages of the reference that are made from the code are as the code is now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from gracehttp import errors

DOCS = Path(__file__).parents[2] / "docs"
MADE = runpy.run_path(str(DOCS / "make_reference.py"))


@pytest.mark.parametrize("name", MADE["PAGES"])
def test_page_is_what_the_code_says(name):
    made = MADE["PAGES"][name]()
    assert (DOCS / name).read_text(encoding="utf-8") == made, "run python docs/make_reference.py"


def test_every_event_and_every_status_is_there():
    page = (DOCS / "events.md").read_text(encoding="utf-8")
    assert [one.__name__ for one in MADE["CLASSES"] if f"### {one.__name__}\n" not in page] == []
    assert {name for name in vars(errors) if name.startswith("EXIT_")} == set(MADE["STATUSES"])
