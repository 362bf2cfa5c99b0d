"""What pages tell their readers to do works, in the order in which they tell it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from page_runner import Reader, parts

PARTS = [part for page in sorted((Path(__file__).parents[2] / "docs").glob("*.md")) for part in parts(page)]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_reader_who_follows_the_page_sees_what_it_shows(part, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    if part.missing:
        pytest.skip(f"not installed: {', '.join(part.missing)}")
    reader = Reader(tmp_path)
    try:
        reader.follow(part)
    finally:
        reader.leave()


@pytest.mark.parametrize("page", ["tutorial", "frameworks", "reloading"])
def test_these_pages_are_followed(page):
    assert any(part.name.startswith(page) for part in PARTS)
