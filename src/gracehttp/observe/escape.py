"""What a client sent must not act on the terminal or the file that shows it (CWE-117, CWE-150). Pure."""

from __future__ import annotations


def escaped(text: str) -> str:
    """`text` on one line, with each character that can't be printed as a Python escape (`\\n`, `\\x1b`, `\\u202e`).

    That covers control characters, line and paragraph separators, direction overrides and lone surrogates.
    To escape twice changes nothing: a backslash stays one.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text])


def escaped_lines(text: str) -> list[str]:
    """The lines of `text`, where it is meant to have several, each escaped. Tabs become four spaces."""
    text = text.rstrip()
    if text.isprintable():  # then it has neither line breaks nor tabs
        return [text]
    return [escaped(line.expandtabs(4)) for line in text.split("\n")]
