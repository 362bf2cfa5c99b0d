"""What a child writes while it starts: the sentence in it, and what of it may stand in a log of JSON."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from gracehttp.supervisor.processes.early_stderr import EarlyStderr, JsonSieve, last_error
from gracehttp.supervisor.processes.process import WorkerProcess
from gracehttp.wire.channel import channel_pair
from gracehttp.wire.messages import Failed

SYNTAX_ERROR = """
  File "/srv/app/script.py", line 2
    x = = 1
        ^
SyntaxError: invalid syntax
"""
OWN = """
Traceback (most recent call last):
  File "/srv/app/script.py", line 3, in <module>
    grace = gracehttp.GraceHTTP(worker=2)
            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
gracehttp.errors.ConfigurationError: 'worker' is no option (a keyword argument).
Hint: did you mean workers?
"""
CHAINED = """
Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'x'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
ValueError: no x
"""
COLORED = '  File \x1b[35m"a.py"\x1b[0m, line \x1b[35m1\x1b[0m\n\x1b[1;35mNameError\x1b[0m: \x1b[35mname x\x1b[0m\n'


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (SYNTAX_ERROR, "SyntaxError: invalid syntax"),
        (OWN, "'worker' is no option (a keyword argument)"),
        (CHAINED, "ValueError: no x"),
        (COLORED, "NameError: name x"),
        ("loading\n" + SYNTAX_ERROR + "bye\n", "SyntaxError: invalid syntax"),
        ('  File "a.py", line 1\nKeyboardInterrupt\n', "KeyboardInterrupt"),
        ("gracehttp: error: workers must be a number.\nHint: none\n", "workers must be a number"),
        ("loading the model\n", ""),
        ("Usage: tool\n\n  --help\n", ""),
        ("", ""),
    ],
)
def test_the_sentence_with_which_a_program_ended(said, error):
    assert last_error(said) == error


def test_what_python_itself_writes_is_understood():
    failed = subprocess.run(
        [sys.executable, "-c", "def f():\n  x\nf()"], stderr=subprocess.PIPE, text=True, check=False
    )
    assert last_error(failed.stderr) == "NameError: name 'x' is not defined"


def test_only_whole_lines_that_may_be_json_pass():
    sieve = JsonSieve()
    assert sieve.feed(b'{"a": 1}\nTraceback\n{"b"') == b'{"a": 1}\n'
    assert sieve.feed(b": 2}\n  File\n") == b'{"b": 2}\n'
    assert sieve.held == b"Traceback\n  File\n"


# --- the same with a pipe and a process that has ended ---


def played(script, *, hold):
    """Run `script(words, write)` in a loop; returns what was passed on."""
    passed = bytearray()

    async def run():
        read_end, write_end = os.pipe()
        words = EarlyStderr(asyncio.get_running_loop(), read_end, passed.extend, hold=hold)
        try:
            script(words, lambda data: os.write(write_end, data))
        finally:
            os.close(write_end)
            words.close()

    asyncio.run(run())
    return bytes(passed)


@pytest.mark.parametrize(("hold", "passed"), [(False, b"Traceback\n{}\n"), (True, b"{}\n")])
def test_what_is_no_json_is_held_back_where_the_log_is_json(hold, passed):
    def script(words, write):
        write(b"Traceback\n{}\n")
        assert words.finish() == ("Traceback\n{}\n", "Traceback\n" if hold else "")

    assert played(script, hold=hold) == passed


def test_once_the_child_has_started_nothing_is_held_back_any_more():
    def script(words, write):
        write(b"loading\n")
        assert words.release() == "loading\n"
        write(b"a grandchild\n")
        assert words.finish() == ("loading\na grandchild\n", "")

    assert played(script, hold=True) == b"a grandchild\n"


@pytest.mark.parametrize("hold", [False, True])
def test_what_a_child_wrote_while_it_started_does_not_tell_why_it_ends_later(hold):
    def script(words, write):
        write(SYNTAX_ERROR.encode())
        words.release()
        words.forget()
        assert words.finish() == ("", "")

    played(script, hold=hold)


def test_what_is_held_back_is_carried_to_another_image_of_the_supervisor():
    passed = bytearray()

    async def run():
        read_end, write_end = os.pipe()
        loop = asyncio.get_running_loop()
        before = EarlyStderr(loop, read_end, passed.extend, hold=True)
        os.write(write_end, b"loading\n")
        before.read_to_the_end()
        loop.remove_reader(read_end)  # as execve ends the image before
        after = EarlyStderr.adopt(before.carry(), loop, passed.extend)
        os.write(write_end, b"more\n{}\n")
        os.close(write_end)
        assert after.finish() == ("loading\nmore\n{}\n", "loading\nmore\n")

    asyncio.run(run())
    assert passed == b"{}\n"


def ending(said, code, *, hold=False, introduced=False, failure=None):
    """How a worker that wrote `said` and exited with `code` is said to have ended."""
    found = []

    def script(words, write):
        write(said.encode())
        ours, theirs = channel_pair()
        theirs.close()
        worker = WorkerProcess(1, 1, 0, pid=0, started_at=0.0, channel=ours, early_stderr=words)
        worker.introduced, worker.failure = introduced, failure
        found.append(worker.ended(code << 8))

    played(script, hold=hold)
    return found[0]


def test_a_script_that_cannot_be_compiled_is_told_with_its_sentence():
    told = ending(SYNTAX_ERROR, 1)
    assert told.reason == "ended with status 1: SyntaxError: invalid syntax"
    assert told.details == SYNTAX_ERROR
    assert told.unlogged == "", "it was passed on"


@pytest.mark.parametrize("hold", [False, True])
def test_an_error_of_gracehttp_is_in_the_reason_and_is_not_told_again(hold):
    told = ending("warm\ngracehttp: error: x can't be executed in /srv: No such file.\n", 127, hold=hold)
    assert told.reason == "could not run: x can't be executed in /srv: No such file"
    assert told.details == "warm\n"
    assert told.unlogged == ("warm\n" if hold else "")


def test_where_the_log_is_json_the_traceback_is_still_to_be_logged():
    assert ending(SYNTAX_ERROR, 1, hold=True).unlogged == SYNTAX_ERROR


def test_a_script_that_does_not_call_run_gets_a_hint():
    told = ending("", 0)
    assert told.reason == "ended with status 0 before it called run()"
    assert "a script must call run()" in told.details
    assert told.unlogged == told.details


def test_a_worker_that_called_run_gets_no_such_hint():
    assert ending("", 0, introduced=True).reason == "ended with status 0"


def test_a_failure_that_the_worker_told_goes_before_what_it_wrote():
    failure = Failed("there is no module 'shop'.", hint="did you mean shops?", details="Looked in: /srv\n")
    told = ending("loading\n", 3, failure=failure)
    assert told.reason == "failed: there is no module 'shop'"
    assert told.details == told.unlogged == "Looked in: /srv\nHint: did you mean shops?"
