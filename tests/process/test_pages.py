"""What pages tell their readers to do works, in the order in which they tell it."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_runner import Reader, steps

PAGES = sorted(page for page in (Path(__file__).parents[2] / "docs").glob("*.md") if steps(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_reader_who_follows_the_page_sees_what_it_shows(page, tmp_path):
    reader = Reader(tmp_path)
    try:
        reader.follow(page)
    finally:
        reader.leave()


def test_the_tutorial_is_such_a_page():
    assert "tutorial" in [page.stem for page in PAGES]
