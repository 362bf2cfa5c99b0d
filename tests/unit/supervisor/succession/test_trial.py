"""The verdict on a trial run of the next image."""

from __future__ import annotations

import asyncio
import errno
import json
import os

import pytest

from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.succession.trial import Verdict, judge, try_image

SAID = "Traceback"
EXITED_WITH_1 = 1 << 8  # as wait(2) has it


def test_an_image_that_answers_yes_can_take_over():
    assert judge(json.dumps({"ok": True, "release": "2", "formats": [1]}).encode(), 0, "") == Verdict(ok=True)


def test_an_image_that_refuses_is_quoted():
    verdict = judge(json.dumps({"ok": False, "reason": "too old"}).encode(), 0, SAID)
    assert verdict == Verdict(ok=False, reason="refuses: too old", details=SAID)


def test_an_image_that_ends_without_an_answer_did_not_reach_run():
    verdict = judge(b"", EXITED_WITH_1, SAID)
    assert verdict == Verdict(ok=False, reason="ended with status 1 before it reached run()", details=SAID)


def test_an_image_that_crashes_is_named_by_its_signal():
    assert judge(b"", 11, "").reason == "was killed by SIGSEGV before it reached run()"


def test_an_answer_that_is_none_is_no_yes():
    for answer in (b"yes", b"[]", b'{"ok": 1}', b'{"ok": false}'):
        assert not judge(answer, 0, "").ok


def test_a_trial_that_can_not_start_leaves_no_descriptor(monkeypatch):
    pipe, opened, closed = os.pipe, [], []

    def second_fails():
        if opened:
            raise OSError(errno.EMFILE, "Too many open files")
        opened.extend(pipe())
        return tuple(opened)

    close = os.close
    monkeypatch.setattr(os, "pipe", second_fails)
    monkeypatch.setattr(os, "close", lambda fd: (closed.append(fd), close(fd)))
    with pytest.raises(OSError, match="Too many open files"):
        asyncio.run(try_image(Launch("none", ("none",), "."), None, None, timeout_seconds=1))
    assert set(opened) <= set(closed)
