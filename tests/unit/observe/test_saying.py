"""Saying something to a reader who may have left."""

from __future__ import annotations

import os
import sys

import pytest

from gracehttp.observe.saying import say


@pytest.mark.parametrize(("name", "err"), [("stdout", False), ("stderr", True)])
def test_reader_that_has_left_changes_nothing_for_who_speaks(monkeypatch, name, err):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        monkeypatch.setattr(sys, name, stream)
        say("nobody hears it", err=err)
        say("nor this", err=err)
        stream.flush()


def test_program_without_standard_output_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    say("x")
