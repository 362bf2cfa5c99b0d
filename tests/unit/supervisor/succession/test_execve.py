"""The last thing that one image of the supervisor does."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path

import pytest

from gracehttp.observe import stderr
from gracehttp.observe.stderr import NonBlockingWriter, flush_all
from gracehttp.release import RELEASE
from gracehttp.supervisor.processes.command_line import Launch
from gracehttp.supervisor.succession import execve as succession
from gracehttp.supervisor.succession.execve import read_all
from gracehttp.supervisor.succession.state import decode
from gracehttp.wire.lineage import STATE_VARIABLE

STATE = Path(__file__).parents[3] / "vectors" / RELEASE / "supervisor-state.json"
LOG = b"".join(b"%d %b\n" % (number, b"x" * 1000) for number in range(200))  # more than a pipe holds


def test_what_waits_for_a_slow_reader_of_the_log_is_not_lost_with_this_image(monkeypatch):
    read_end, write_end = os.pipe()
    writer = NonBlockingWriter(write_end)
    left = []

    def execve(*_):
        left.append(list(writer._waiting))
        raise OSError

    monkeypatch.setattr(succession, "descriptors_in", lambda state: ())
    monkeypatch.setattr(succession.os, "execve", execve)
    for one in LOG.splitlines(keepends=True):
        writer.write(one)
    assert writer._waiting
    received = bytearray()

    def read():
        while len(received) < len(LOG):
            received.extend(os.read(read_end, 65536))

    reader = threading.Thread(target=read)

    def reader_wakes_up_and_flush_all():
        reader.start()
        return flush_all()

    monkeypatch.setattr(succession, "flush_all", reader_wakes_up_and_flush_all)
    with pytest.raises(OSError):  # noqa: PT011  the one of the test
        succession.become(Launch("python", ("python",), "."), decode(STATE.read_bytes(), release="test"))
    assert left == [[]]
    reader.join()
    assert bytes(received) == LOG
    writer.close()
    os.close(read_end)
    os.close(write_end)


def test_what_is_not_written_before_the_next_image_begins_is_counted_in_its_state(monkeypatch):
    read_end, write_end = os.pipe()
    monkeypatch.setattr(stderr, "FINISH_SECONDS", 0.01)
    monkeypatch.setattr(stderr, "_WRITERS", weakref.WeakSet())  # other tests may have left some that dropped records
    writer = NonBlockingWriter(write_end)
    for one in LOG.splitlines(keepends=True):
        writer.write(one)
    states = []

    def execve(_executable, _arguments, environment):
        states.append(read_all(os.dup(int(environment[STATE_VARIABLE]))))
        raise OSError

    monkeypatch.setattr(succession, "descriptors_in", lambda state: ())
    monkeypatch.setattr(succession.os, "execve", execve)
    with pytest.raises(OSError):  # noqa: PT011  the one of the test
        succession.become(Launch("python", ("python",), "."), decode(STATE.read_bytes(), release="test"))
    written = os.read(read_end, 1 << 20).count(b"\n")
    assert decode(states[0], release="test").log_records_dropped == 200 - written > 0
    writer.close()
    os.close(read_end)
    os.close(write_end)
