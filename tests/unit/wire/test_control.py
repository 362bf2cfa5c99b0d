"""The lines of the control protocol."""

from __future__ import annotations

import json
import os
import socket

import pytest

from gracehttp.wire.control import (
    Outcome,
    Progress,
    Request,
    Status,
    UnreadableAnswer,
    UnreadableRequest,
    abstract_name,
    peer_of,
    read_answer,
    read_request,
    write_answer,
    write_request,
)


def test_a_request_is_one_line_that_says_no_more_than_it_must():
    assert json.loads(write_request(Request("restart"))) == {"version": 1, "command": "restart"}


@pytest.mark.parametrize("request_", [Request("restart", supervisor=True), Request("stop", force=True)])
def test_a_request_is_read_as_it_was_written(request_):
    assert read_request(write_request(request_)) == request_


def test_a_request_of_a_later_release_may_say_more():
    assert read_request(b'{"version": 1, "command": "status", "added": 5}') == Request("status")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"", "the request can't be read"),
        (b"[]", "the request can't be read"),
        (b'{"command": "status"}', "the request can't be read"),
        (b'{"version": 1}', "the request can't be read"),
        (b'{"version": 1, "command": "stop", "force": "yes"}', "the request can't be read"),
        (b'{"version": 2, "order": "status"}', "this supervisor speaks version 1 of the control protocol"),
    ],
)
def test_what_is_no_request_of_this_version_is_refused_with_a_sentence(line, sentence):
    with pytest.raises(UnreadableRequest, match=sentence):
        read_request(line)


@pytest.mark.parametrize(
    "answer",
    [
        Progress("generation 2 starts"),
        Outcome(ok=False, message="no", details="why"),
        Outcome(ok=True, message="generation 2 serves", generation=2, pids=(11, 12)),
        Outcome(ok=True, status=Status(5, "test", 1.5, (), ())),
    ],
)
def test_an_answer_is_read_as_it_was_written(answer):
    assert read_answer(write_answer(answer)) == answer


def test_an_answer_that_is_not_known_is_none():
    assert read_answer(b'{"weather": "fine"}') is None


@pytest.mark.parametrize("line", [b"hello", b"[]", b'{"done": true}', b'{"done": true, "ok": 1}', b'{"progress": 5}'])
def test_what_is_no_answer_is_refused(line):
    with pytest.raises(UnreadableAnswer):
        read_answer(line)


def test_the_kernel_tells_the_process_at_the_other_end():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours) == (os.getpid(), os.getuid())


def test_the_abstract_name_says_in_which_pid_namespace_the_pid_counts():
    assert abstract_name(1) == f"\0gracehttp-{os.stat('/proc/self/ns/pid').st_ino}-1"


def test_without_proc_the_name_has_the_pid_alone(monkeypatch):
    def no_proc(_path):
        raise FileNotFoundError

    monkeypatch.setattr(os, "stat", no_proc)
    assert abstract_name(1) == "\0gracehttp-0-1"
