"""Standard error that is not read stops no process; what is read later arrives whole and in order."""

from __future__ import annotations

import bisect
import errno
import fcntl
import itertools
import os
import socket
import sys
import termios
import threading
import time

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.observe import stderr
from gracehttp.observe.stderr import KEPT_BYTES, NonBlockingWriter


@pytest.fixture(params=["pipe", "socket", "pipe of another user"])
def ends(request, monkeypatch):
    """The end that is read, and the end that is written to; the reader is asleep."""
    both = tuple(end.detach() for end in socket.socketpair()) if request.param == "socket" else os.pipe()
    if request.param == "pipe of another user":
        refuse_to_open_anew(monkeypatch)
    yield both
    for fd in both:
        os.close(fd)


def refuse_to_open_anew(monkeypatch):
    """As the kernel does with a pipe that belongs to another user (proc_pid_fd(5))."""
    real = os.open

    def refuse(path, *arguments, **options):
        if str(path).startswith("/proc/self/fd"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)


def line(number, size=1000):
    return b"%d %b\n" % (number, b"x" * size)


def read_all(fd, size):
    received = b""
    while len(received) < size:
        received += os.read(fd, 65536)
    return received


def test_what_fits_is_written_at_once(ends):
    writer = NonBlockingWriter(ends[1])
    writer.write(b"hello\n")
    assert os.read(ends[0], 100) == b"hello\n"
    writer.close()


def test_a_reader_that_comes_late_gets_all_in_order(ends):
    writer = NonBlockingWriter(ends[1])
    lines = [line(number) for number in range(800)]
    for one in lines:
        writer.write(one)  # more than a pipe holds
    expected = b"".join(lines)
    assert read_all(ends[0], len(expected)) == expected
    assert writer.claim_dropped() == 0
    writer.close()


def test_what_is_too_much_is_dropped_and_counted_when_there_is_room_again(ends):
    writer = NonBlockingWriter(ends[1])
    count = 3 * KEPT_BYTES // 10_000
    for number in range(count):
        writer.write(line(number, 10_000))
    assert writer.claim_dropped() == 0, "nobody could be told yet"
    received = []

    def read():
        while piece := os.read(ends[0], 65536):
            received.append(piece)
            if piece.endswith(b"end\n"):
                return

    reader = threading.Thread(target=read)
    reader.start()
    while not (dropped := writer.claim_dropped()):
        continue
    writer.write(b"end\n")
    reader.join()
    whole = b"".join(received).splitlines()
    assert len(whole) == count - dropped + 1
    assert whole[:-1] == [line(number, 10_000).rstrip() for number in range(count - dropped)]
    writer.close()


def test_the_descriptor_itself_goes_on_blocking_for_those_who_share_it(ends):
    writer = NonBlockingWriter(ends[1])
    assert not fcntl.fcntl(ends[1], fcntl.F_GETFL) & os.O_NONBLOCK
    writer.close()


def test_a_reader_that_is_gone_costs_nothing(ends):
    writer = NonBlockingWriter(ends[1])
    gone = os.open(os.devnull, os.O_RDONLY)
    os.dup2(gone, ends[0])
    os.close(gone)
    writer.write(b"x")
    writer.close()


def test_a_file_is_appended_to_where_others_write_as_well(tmp_path):
    with open(tmp_path / "log", "wb", buffering=0) as file:
        writer = NonBlockingWriter(file.fileno())
        writer.write(b"one\n")
        file.write(b"two\n")
        writer.write(b"three\n")
        writer.close()
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.usefixtures("undisturbed")
def test_to_close_waits_no_longer_than_a_moment_for_the_reader_and_leaves_no_descriptor(ends, monkeypatch):
    monkeypatch.setattr(stderr, "FINISH_SECONDS", 0.01)
    before = set(os.listdir("/proc/self/fd"))
    writer = NonBlockingWriter(ends[1])
    for number in range(400):
        writer.write(line(number))
    thread = writer._thread
    writer.close()
    writer.close()
    writer.write(b"nothing more")
    read_all(ends[0], 1)
    if writer._way.blocks:
        thread.join()  # it was in the middle of a write
    assert set(os.listdir("/proc/self/fd")) == before


def test_what_waits_is_written_before_the_process_becomes_another_program(ends):
    """All that one write of the reader makes room for is with the kernel when `flush_all` returns."""
    writer = NonBlockingWriter(ends[1])
    lines = [line(number) for number in range(800)]
    for one in lines:
        writer.write(one)
    expected = b"".join(lines)
    received = []
    reader = threading.Thread(target=lambda: received.append(read_all(ends[0], len(expected))))
    reader.start()
    stderr.flush_all()
    assert not writer._waiting
    reader.join()
    assert received == [expected]
    writer.close()


def test_nobody_waits_for_long_for_a_reader_that_sleeps(ends, monkeypatch):
    monkeypatch.setattr(stderr, "FINISH_SECONDS", 0.01)
    writer = NonBlockingWriter(ends[1])
    for number in range(800):
        writer.write(line(number))
    stderr.flush_all()
    assert writer._waiting
    writer.close()


def test_records_that_are_not_written_when_the_process_ends_are_counted(ends, monkeypatch):
    monkeypatch.setattr(stderr, "FINISH_SECONDS", 0.01)
    writer = NonBlockingWriter(ends[1])
    for number in range(800):
        writer.write(line(number))
    writer.write(b"the rest is missing\n", records=7)
    fit = lines_that_fit()
    while writer._way.blocks and (lines_in(ends[0]) < fit or writer.flush(0) > 800 + 7 - fit):
        time.sleep(0.001)  # the thread has not filled the pipe yet, or not counted what it has written last
    missing = writer.flush(0)
    assert stderr.flush_all() == missing == writer.close()
    assert missing - (800 + 7 - whole_lines(ends[0])) in {0, 1}, "one may have been in the middle of a write"


def lines_that_fit():
    """How many lines a pipe takes. One that select(2) calls full may take some more, which share its last page."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    try:
        for number in range(800):
            os.write(writer, line(number))
    except BlockingIOError:
        return number
    finally:
        os.close(reader)
        os.close(writer)
    raise AssertionError("a pipe takes them all")


def lines_in(fd):
    """How many whole lines there are to read, by how many bytes there are (FIONREAD in pipe(7))."""
    unread = int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)
    return bisect.bisect_right(list(itertools.accumulate(len(line(number)) for number in range(800))), unread)


def whole_lines(fd):
    """How many there are to read at this moment."""
    os.set_blocking(fd, False)
    received = b""
    try:
        while True:
            received += os.read(fd, 65536)
    except BlockingIOError:
        return received.count(b"\n")


def test_what_a_full_disk_does_not_take_is_counted(tmp_path, monkeypatch):
    with open(tmp_path / "log", "wb", buffering=0) as file:
        writer = NonBlockingWriter(file.fileno())

        def refuse(_data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(writer, "_way", writer._way._replace(write=refuse))
        writer.write(b"x\n")
        writer.write(b"1 is missing\n", writer.claim_dropped())
        writer.write(b"y\n")
        assert writer.claim_dropped() == 2


def test_a_copy_of_the_process_writes_nothing_a_second_time(ends):
    writer = NonBlockingWriter(ends[1])
    lines = [line(number) for number in range(300)]
    for one in lines:
        writer.write(one)
    pid = os.fork()
    if not pid:
        writer.write(b"copy\n")
        os._exit(writer.flush(10))
    expected = b"".join(lines)
    received = b""
    while len(received) < len(expected) + len(b"copy\n"):
        received += os.read(ends[0], 65536)
    assert os.waitpid(pid, 0)[1] == 0
    writer.close()
    assert sorted(received.splitlines()) == sorted([*expected.splitlines(), b"copy"])


def test_a_forked_process_neither_writes_again_what_waits_nor_waits_for_it(ends):
    writer = NonBlockingWriter(ends[1])
    lines = [line(number) for number in range(800)]
    for one in lines:
        writer.write(one)  # more than a pipe holds: a thread writes the rest
    with writer._lock:  # as that thread may have it
        child = os.fork()
        if not child:
            threading.Thread(target=lambda: (writer.close(), os._exit(0))).start()
            threading.Event().wait(DEADLINE_SECONDS)
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    expected = b"".join(lines)
    assert read_all(ends[0], len(expected)) == expected
    writer.close()
