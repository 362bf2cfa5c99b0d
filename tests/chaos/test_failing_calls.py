"""The library that makes calls fail does so with the call that is due, in the process that is meant, and no other."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest
from failing_calls import SHORT, TELLS_PLACES, FailingCalls

PROGRAM = """
import json, mmap, os, select, socket, sys, threading

ours, theirs = socket.socketpair()
ours.setblocking(False)
queue, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
pipe = os.pipe()
count = os.eventfd(9, os.EFD_SEMAPHORE)
epoll = select.epoll()

def accept():
    with socket.create_connection(listener.getsockname()):
        listener.accept()[0].close()

def watch():
    epoll.register(pipe[0], select.EPOLLIN)
    epoll.unregister(pipe[0])

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

print("ready", flush=True)
sys.stdin.readline()
came = []
for _ in range(3):
    try:
        came.append(eval(sys.argv[1]))
    except OSError as exc:
        came.append(exc.errno)
    except RuntimeError as exc:
        came.append(str(exc))
print(json.dumps(came, default=lambda value: None), flush=True)
"""


@pytest.fixture
def outcomes(library, tmp_path):
    """Run an expression three times, with the second call of one kind due; returns the values or errors."""
    calls = FailingCalls(library, tmp_path)

    def run(expression, call, kind, error, *, of_child=True):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, expression],
            env={**os.environ, **calls.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout.readline() == b"ready\n"
            calls.arm(child.pid if of_child else os.getpid(), call, kind, error, skip=1)
            child.stdin.write(b"go\n")
            child.stdin.close()
            return json.loads(child.stdout.read())

    yield run, calls
    calls.close()


@pytest.mark.parametrize(
    ("expression", "call", "kind", "error"),
    [
        ("ours.send(b'12')", "send", "unix_stream", errno.ENOBUFS),
        ("ours.sendmsg([b'12'])", "sendmsg", "unix_stream", errno.ETOOMANYREFS),
        ("queue.sendmsg([b'12'])", "sendmsg", "unix_seqpacket", errno.ENOMEM),
        ("client.send(b'12')", "send", "tcp", errno.ECONNRESET),
        ("os.write(pipe[1], b'12')", "write", "pipe", errno.EIO),
        ("os.eventfd_read(count)", "eventfd_read", "other", errno.EAGAIN),
        ("os.read(count, 8) and None", "read", "other", errno.EIO),
        ("accept()", "accept", "tcp", errno.EMFILE),
        ("watch()", "epoll_ctl", "pipe", errno.ENOSPC),
        ("os.close(os.open('/dev/null', 0))", "open", "nothing", errno.ENFILE),
        ("os.close(os.dup(0))", "dup", "nothing", errno.EMFILE),
        ("mmap.mmap(-1, 4096).close()", "mmap", "any", errno.ENOMEM),
        ("fork()", "fork", "nothing", errno.EAGAIN),
        ("os.close(os.memfd_create('x'))", "memfd_create", "nothing", errno.ENFILE),
        ("len(select.poll().poll(0)) or None", "poll", "nothing", errno.ENOMEM),
    ],
)
def test_the_call_that_is_due_fails_and_no_other(outcomes, expression, call, kind, error):
    run, calls = outcomes
    if error == errno.EAGAIN and call == "eventfd_read":
        expression = "os.set_blocking(count, False) or os.eventfd_read(count)"
    first, second, third = run(expression, call, kind, error)
    assert second == error
    assert first == third != error
    assert calls.struck == 1
    assert calls.counted()[call, "nothing" if kind == "any" else kind] >= 3


def test_a_short_call_moves_one_byte(outcomes):
    run, _ = outcomes
    assert run("ours.send(b'12')", "send", "unix_stream", SHORT) == [2, 1, 2]


def test_what_blocks_never_gives_eagain(outcomes):
    run, calls = outcomes
    assert run("theirs.send(b'12')", "send", "unix_stream", errno.EAGAIN) == [2, 2, 2]
    assert calls.struck == 0


def test_a_thread_that_can_not_start_is_told_as_the_interpreter_tells_it(outcomes):
    run, _ = outcomes
    came = run("threading.Thread(target=int).start()", "thread", "nothing", errno.EAGAIN)
    assert came == [None, "can't start new thread", None]


def test_another_process_is_left_alone(outcomes):
    run, calls = outcomes
    assert run("ours.send(b'12')", "send", "unix_stream", errno.ENOBUFS, of_child=False) == [2, 2, 2]
    assert not calls.counted()


@pytest.mark.skipif(not TELLS_PLACES, reason="this interpreter can't tell it")
def test_the_place_of_the_fault_is_told(outcomes):
    run, calls = outcomes
    run("accept()", "accept", "tcp", errno.EMFILE)
    assert calls.places()[0].startswith("accept (socket.py:")
