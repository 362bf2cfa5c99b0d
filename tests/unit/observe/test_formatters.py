"""Nothing that a client sends acts on a terminal or forges a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gracehttp.observe.formatters import escaped, escaped_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /a?b=c", "GET /a?b=c"),
        ("été 中 €", "été 中 €"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("\u2028\u202e", r"\u2028\u202e"),
        ("\udcff", r"\udcff"),
        ("back\\slash", "back\\slash"),
        ("", ""),
    ],
)
def test_escaped(text, shown):
    assert escaped(text) == shown


@given(st.text(st.characters()))
def test_escaped_text_is_printable_encodable_and_stays_as_it_is(text):
    shown = escaped(text)
    assert shown.isprintable()
    assert shown.encode("utf-8") is not None
    assert escaped(shown) == shown


def test_lines_are_kept_and_escaped_each():
    assert escaped_lines("a\n\tb\x1b\n\nc\r\n\n") == ["a", r"    b\x1b", "", "c"]
