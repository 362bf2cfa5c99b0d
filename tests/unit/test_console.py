"""Saying something to a reader who may have left."""

from __future__ import annotations

import os
import sys

import pytest

from gracehttp.console import echo, echo_result
from gracehttp.errors import CommandFailed


@pytest.mark.parametrize(("name", "err"), [("stdout", False), ("stderr", True)])
def test_reader_that_has_left_changes_nothing_for_who_speaks(monkeypatch, name, err):
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w") as stream:
        monkeypatch.setattr(sys, name, stream)
        echo("nobody hears it", err=err)
        echo("nor this", err=err)
        stream.flush()


def test_program_without_standard_output_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    echo("x")


def test_full_disk_is_told(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(CommandFailed, match="No space left on device"):
            echo("x")


def test_what_is_done_is_no_failure_though_standard_output_is_full(monkeypatch, capsys):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        echo_result("generation 2 serves")
    assert capsys.readouterr().err.splitlines()[0] == "generation 2 serves"


def test_standard_error_that_is_full_changes_nothing(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        echo("x", err=True)
