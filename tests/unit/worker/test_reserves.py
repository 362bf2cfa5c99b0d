"""Processes that were forked before they are needed: who is taken, how many there are, and when they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import is_alive, wait_until

from gracehttp.values import Descriptor
from gracehttp.wire.channel import Channel, ChannelClosed
from gracehttp.wire.messages import Fork, Forked
from gracehttp.worker.forking import reserves as module
from gracehttp.worker.forking.reserves import FEWEST, MOST, Reserves


@pytest.fixture
def orders():
    """The channel of the spare process, and the supervisor's end of it."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()


@pytest.fixture
def order():
    read_end, write_end = os.pipe()
    yield Fork(7, Descriptor(read_end), Descriptor(write_end), "/", (("A", "b"),))
    os.close(read_end)
    os.close(write_end)


@pytest.fixture
def pairs(monkeypatch):
    """The two ends of each channel to a process in reserve; theirs stay open here, as if it was another process."""
    made = []

    def socketpair(*how):
        ours, theirs = real(*how)
        made.append(theirs.dup())
        return ours, theirs

    real = socket.socketpair
    monkeypatch.setattr(module.socket, "socketpair", socketpair)
    monkeypatch.setattr(module, "REST_SECONDS", 0.0)
    yield made
    for one in made:
        one.close()


def lives(end, pid, carried_out):
    """A process in reserve."""
    channel = Channel(end.dup())

    def live():
        for order in channel.receive():
            carried_out.append((pid, order.worker, order.directory))
            os.close(order.channel)
            os.close(order.stderr)
            channel.send(Forked(pid))
        channel.close()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    return thread


def test_there_are_as_many_as_are_wanted_and_an_order_takes_one(orders, order, pairs):
    reserves = Reserves(orders[0], lambda report, without: False)
    assert reserves.fill() is None
    assert len(pairs) == FEWEST
    carried_out = []
    thread = lives(pairs[-1], 41, carried_out)
    assert reserves.take(order) == 41
    thread.join(DEADLINE_SECONDS)
    assert carried_out == [(41, 7, "/")]
    assert reserves.fill() is None
    assert len(pairs) == FEWEST + 1, "one in the place of that"
    reserves.close()


def test_one_that_is_gone_is_passed_over(orders, order, pairs):
    reserves = Reserves(orders[0], lambda report, without: False)
    reserves.fill()
    pairs[-1].close()
    thread = lives(pairs[-2], 42, [])
    assert reserves.take(order) == 42
    thread.join(DEADLINE_SECONDS)


def test_where_one_was_missing_there_is_one_more_the_next_time(orders, order, pairs):
    reserves = Reserves(orders[0], lambda report, without: False)
    for _ in range(2 * MOST):
        assert reserves.take(order) == 0
    reserves.fill()
    assert len(pairs) == MOST
    reserves.close()


def test_an_order_that_waits_comes_first(orders, order, pairs):
    channel, supervisor = orders
    supervisor.send(b"x")
    reserves = Reserves(channel, lambda report, without: False)
    assert reserves.fill() is None
    assert pairs == []


def test_a_system_that_has_no_room_for_it_is_not_asked_again(orders, pairs):
    def refuse(report, without):
        raise BlockingIOError

    reserves = Reserves(orders[0], refuse)
    assert reserves.fill() is None
    assert reserves.fill() is None
    assert len(pairs) == 1


def test_a_process_in_reserve_answers_its_order_and_holds_nothing_of_the_one_that_forked_it(
    orders, order, pairs, monkeypatch
):
    before = set(os.listdir("/proc/self/fd"))
    channel, supervisor = orders
    forks, ends = iter([False, True]), []
    made = socket.socketpair

    def socketpair(*how):
        ours, theirs = made(*how)
        ends.append(ours.dup())
        return ours, theirs

    monkeypatch.setattr(module.socket, "socketpair", socketpair)
    monkeypatch.setattr(module.os, "chdir", lambda directory: None)

    def fork(report, without):
        is_reserve = next(forks)
        if is_reserve:
            for descriptor in without:
                os.close(descriptor)
            Channel(ends[-1]).send(order)  # from the end that stays with the other process
        return is_reserve

    reserves = Reserves(channel, fork)
    taken = reserves.fill()
    assert taken is not None
    assert (taken.worker, taken.directory, taken.variables) == (7, "/", (("A", "b"),))
    os.close(taken.channel)
    os.close(taken.stderr)
    assert supervisor.recv(1) == b"", "the channel to the supervisor is closed"
    answers = Channel(ends[-1])
    answers.set_blocking(False)
    assert answers.receive() == [Forked(os.getpid())]
    pairs[-1].close()
    with pytest.raises(ChannelClosed):
        answers.receive()
    for end in (*ends, *pairs):
        end.close()
    assert set(os.listdir("/proc/self/fd")) <= before


STOPPED = """
import os, signal
from gracehttp.wire.channel import channel_pair
from gracehttp.worker.forking import reserves
from gracehttp.worker.forking.fork_server import fork_orphan

def stop_and_arm(read_end, pid):
    os.kill(pid, signal.SIGSTOP)  # it has done nothing yet
    arm(read_end, pid)
    print(pid, flush=True)

arm, reserves._kill_with_the_writer = reserves._kill_with_the_writer, stop_and_arm
reserves.REST_SECONDS = 0
orders, theirs = channel_pair()
reserves.Reserves(orders, fork_orphan).fill()
"""


def test_all_end_with_the_process_that_forked_them_however_early_they_were_stopped():
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as program:
        pids = [int(program.stdout.readline()) for _ in range(FEWEST)]
        try:
            for pid in pids:
                wait_until(lambda pid=pid: not is_alive(pid), what="its end")
        except AssertionError:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            raise
    assert program.returncode == 0
