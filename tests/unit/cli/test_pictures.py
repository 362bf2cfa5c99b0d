"""The pictures of commands in the documentation show what the commands show now."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from control_fakes import STATUS

from gracehttp.cli.status import report
from gracehttp.values import from_plain
from gracehttp.wire.control import Status

DOCS = Path(__file__).parents[3] / "docs"
MAKERS = {
    "status.svg": "make_terminal_pictures",
    "restart.svg": "make_terminal_pictures",
    "top.svg": "make_top_picture",
}


def text_of(name):
    lines = re.findall(r"<text[^>]*>(.*?)</text>", (DOCS / name).read_text(encoding="utf-8"))
    return " ".join(html.unescape(" ".join(lines)).split())


@pytest.mark.parametrize("name", MAKERS)
def test_picture_is_on_a_page(name):
    pages = [page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")]
    assert any(f"]({name})" in page for page in pages)


def test_status_has_the_columns_of_now():
    heads = [line for line in report(from_plain(Status, STATUS)) if line.isupper() and "  " in line]
    assert len(heads) == 2
    for head in heads:
        assert " ".join(head.split()) in text_of("status.svg"), "run python docs/make_terminal_pictures.py"


def test_restart_tells_of_success_and_of_failure():
    text = text_of("restart.svg")
    for words in ("generation 2 serves, worker PIDs:", "generation 3 was given up", "ModuleNotFoundError"):
        assert words in text, "run python docs/make_terminal_pictures.py"
