"""Copies of values, for tests that are both the process before and the one after."""

from __future__ import annotations


def changed(value, **changes):
    """The same value with other contents in some fields."""
    return type(value)(**{**value.fields(), **changes})
