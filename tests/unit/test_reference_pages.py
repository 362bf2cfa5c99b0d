"""The pages of the reference that are made from the code are as the code is now."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
MADE = runpy.run_path(str(DOCS / "make_reference.py"))


@pytest.mark.parametrize("name", MADE["PAGES"])
def test_page_is_what_the_code_says(name):
    made = MADE["PAGES"][name]()
    assert (DOCS / name).read_text(encoding="utf-8") == made, "run python docs/make_reference.py"


def test_every_event_and_every_status_is_there():
    from gracehttp import errors, events

    page = (DOCS / "events.md").read_text(encoding="utf-8")
    classes = [getattr(events, name) for name in events.__all__]
    named = [one.__name__ for one in classes if isinstance(one, type) and one.__subclasses__() == []]
    assert [name for name in named if issubclass(getattr(events, name), events.Event) and f"### {name}\n" not in page] == []
    assert {name for name in vars(errors) if name.startswith("EXIT_")} == set(MADE["STATUSES"])
