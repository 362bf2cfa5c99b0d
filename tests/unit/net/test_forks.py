"""What a forked process keeps of the one that it is a copy of, and what not."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.net import forks

OURS = (signal.SIGTERM, signal.SIGHUP)
DEFAULTS = dict.fromkeys(OURS, signal.SIG_DFL)


def ignore(_number, _frame):
    return


@pytest.fixture(autouse=True)
def as_in_a_worker():
    """The signals are answered with nothing, and forked processes answer them as before."""
    before = {number: signal.signal(number, ignore) for number in OURS}
    forks.restore_in_children(DEFAULTS)
    yield
    forks._answers.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


def child(life):
    """Fork a process that runs `life()` and ends; returns its PID."""
    number = os.fork()
    if not number:
        status = 99
        with contextlib.suppress(BaseException):
            status = life() or 0
        os._exit(status)
    return number


def end_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_a_thread(call):
    """What `call` returns in a thread that isn't the main one."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join(DEADLINE_SECONDS)
    return found[0]


def pause():
    while True:
        signal.pause()


@pytest.mark.parametrize("where", [lambda call: call(), in_a_thread], ids=["main thread", "other thread"])
def test_a_child_is_ended_by_a_signal_that_comes_at_once(where):
    """Often, because it may come before the child does anything."""

    def begin_and_end():
        pid = child(pause)
        os.kill(pid, signal.SIGTERM)
        return end_of(pid)

    assert {where(begin_and_end) for _ in range(50)} == {-signal.SIGTERM}


def test_the_parent_goes_on_as_before():
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    end_of(child(lambda: 0))
    assert signal.getsignal(signal.SIGTERM) is ignore
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def test_a_signal_that_the_application_has_blocked_stays_blocked_in_its_children():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        pid = child(lambda: signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert end_of(pid) == 1


def test_a_handler_that_the_application_has_installed_is_its_childrens_too():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    pid = child(pause)
    os.kill(pid, signal.SIGTERM)
    assert end_of(pid) == 7


def test_a_grandchild_has_the_handlers_of_the_child():
    def life():
        signal.signal(signal.SIGTERM, ignore)
        return child_has_handler()

    def child_has_handler():
        return end_of(child(lambda: signal.getsignal(signal.SIGTERM) is ignore))

    assert end_of(child(life)) == 1


def test_a_signal_to_a_child_does_not_wake_the_loop_of_its_parent():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        ours.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno())
        try:
            signal.signal(signal.SIGHUP, lambda *_: None)
            assert end_of(child(lambda: signal.raise_signal(signal.SIGHUP))) == 0
        finally:
            signal.set_wakeup_fd(before)
        with pytest.raises(BlockingIOError):
            ours.recv(1)


def test_a_process_of_ours_keeps_all():
    listener = socket.create_server(("127.0.0.1", 0))
    forks.close_in_children(listener)

    def keeps_all():
        return signal.getsignal(signal.SIGTERM) is ignore and listener.fileno() >= 0

    with listener:
        with forks.forking_one_of_ours():
            assert end_of(child(keeps_all)) == 1
        assert end_of(child(keeps_all)) == 0


def test_a_program_that_is_executed_after_a_fork_by_python_has_the_defaults_too():
    code = "import signal; print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))); print(signal.getsignal(15))"
    said = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, preexec_fn=lambda: None
    ).stdout.splitlines()
    expected = " ".join(map(str, sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))))
    assert said == [expected, str(int(signal.SIG_DFL))] or said == [expected, "Handlers.SIG_DFL"]
