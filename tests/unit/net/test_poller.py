"""The poller of connections on real descriptors, nested in both event loops."""

from __future__ import annotations

import os
import socket

import pytest
from floor import BOTH, runner_for, turns, until

from gracehttp.net import poller as module
from gracehttp.net.poller import BROKEN, READABLE, WRITABLE, EpollPoller, Pollable, new_poller


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


@pytest.fixture(params=[name for name in BOTH if "epoll" in name])
def run_epoll(request):
    return runner_for(request.param)


class Watched(Pollable):
    """One end of a socket pair that the poller watches, and what it was told."""

    def __init__(self, floor, events=READABLE, sock=None, on_ready=None):
        if sock is None:
            self.peer, sock = map(floor.own, socket.socketpair())
        self.socket = floor.own(sock)
        self.fd = sock.fileno()
        self.told = []
        self.on_ready = on_ready
        self.poller = floor.poller
        self.poller.add(self.fd, self, events)

    def ready(self, events):
        self.told.append(events)
        if self.on_ready is not None:
            self.on_ready(events)

    def close(self):
        self.poller.remove(self.fd)
        self.socket.close()


def test_what_can_be_read_is_told_again_and_again_until_it_is_read(run):
    async def scenario(floor):
        one = Watched(floor)
        await turns()
        assert one.told == []
        one.peer.send(b"x")
        await until(lambda: len(one.told) == 3)
        assert one.told == [READABLE] * 3
        one.socket.recv(1)
        one.told.clear()
        await turns()
        assert one.told == []
        one.close()

    run(scenario)


def test_only_the_events_that_are_asked_for_are_told(run):
    async def scenario(floor):
        one = Watched(floor, READABLE | WRITABLE)
        await until(lambda: one.told)
        assert one.told[0] == WRITABLE
        floor.poller.change(one.fd, READABLE)
        one.told.clear()
        await turns()
        assert one.told == []
        one.peer.send(b"x")
        floor.poller.change(one.fd, WRITABLE)
        await until(lambda: one.told)
        assert set(one.told) == {WRITABLE}
        floor.poller.change(one.fd, 0)
        one.told.clear()
        await turns()
        assert one.told == []
        floor.poller.change(one.fd, READABLE)
        await until(lambda: one.told)
        assert set(one.told) == {READABLE}
        one.close()

    run(scenario)


def test_a_late_event_of_a_closed_descriptor_does_not_reach_the_connection_that_got_its_number(run):
    """Both are readable when the batch is fetched; the one that is told first closes the other one."""

    async def scenario(floor):
        peer, sock = map(floor.own, socket.socketpair())
        first_told, replacements = [], []

        def replace(other):
            first_told.append(other)
            number = other.fd
            other.close()
            os.dup2(sock.fileno(), number)  # the number that the kernel would give to the next accept
            replacements.append(Watched(floor, sock=socket.socket(fileno=number)))

        one, other = Watched(floor), Watched(floor)
        one.on_ready = lambda events: first_told or replace(other)
        other.on_ready = lambda events: first_told or replace(one)
        one.peer.send(b"x")
        other.peer.send(b"x")
        await until(lambda: replacements)
        (closed,), (replacement,) = first_told, replacements
        await turns()
        assert replacement.fd == closed.fd
        assert replacement.told == []
        assert closed.told == []
        peer.send(b"x")
        await until(lambda: replacement.told)
        assert set(replacement.told) == {READABLE}

    run(scenario)


def test_a_descriptor_that_another_callback_removes_is_not_told_of_in_the_same_batch(run):
    async def scenario(floor):
        watched = [Watched(floor) for _ in range(3)]

        def remove_others(events):
            for one in watched:
                if not one.told:
                    one.close()

        for one in watched:
            one.on_ready = remove_others
            one.peer.send(b"x")
        await until(lambda: any(one.told for one in watched))
        await turns()
        assert sum(bool(one.told) for one in watched) == 1

    run(scenario)


def test_a_callback_may_remove_its_own_descriptor(run):
    async def scenario(floor):
        one = Watched(floor)
        one.on_ready = lambda events: one.close()
        one.peer.send(b"x")
        await until(lambda: one.told)
        await turns()
        assert one.told == [READABLE]

    run(scenario)


def test_a_descriptor_may_come_back_after_it_was_removed(run):
    async def scenario(floor):
        one = Watched(floor)
        for _ in range(3):
            one.told.clear()
            floor.poller.remove(one.fd)
            one.peer.send(b"x")
            await turns()
            assert one.told == []
            floor.poller.add(one.fd, one, READABLE)
            await until(lambda: one.told)
        one.close()

    run(scenario)


def test_of_a_removed_descriptor_nothing_is_told_although_another_copy_of_it_is_open(run):
    """As when another process has it: closing a copy alone doesn't take it out of an epoll (epoll(7))."""

    async def scenario(floor):
        one = Watched(floor)
        with one.socket.dup():
            one.close()
            one.peer.send(b"x")
            await turns()
        assert one.told == []

    run(scenario)


@pytest.mark.parametrize("events", [0, WRITABLE, READABLE])
def test_a_reset_is_told_whatever_is_asked_for(run_epoll, events):
    async def scenario(floor):
        client, server = floor.tcp()
        one = Watched(floor, events, server)
        client.reset()
        await until(lambda: any(told & BROKEN for told in one.told))
        one.close()

    run_epoll(scenario)


def test_one_turn_tells_a_bounded_number_of_events_and_none_starves(run_epoll, monkeypatch):
    monkeypatch.setattr(module, "EVENTS_PER_TURN", 8)

    async def scenario(floor):
        watched = [Watched(floor) for _ in range(20)]
        for one in watched:
            one.peer.send(b"x")  # and it is never read
        fewest = []
        for _ in range(30):
            before = sum(len(one.told) for one in watched)
            await turns(1)  # the turn of an application
            assert sum(len(one.told) for one in watched) - before <= 8
            fewest.append(min(len(one.told) for one in watched))
        assert fewest[-1] >= 5
        for one in watched:
            one.close()

    run_epoll(scenario)


def test_one_in_the_line_that_raises_keeps_no_other_from_its_turn(run):
    class InLine(Pollable):
        def __init__(self, error=None):
            self.error, self.told, self.failures = error, [], 0

        def ready(self, events):
            self.told.append(events)
            if self.error is not None:
                raise self.error

        def failed(self):
            self.failures += 1

    async def scenario(floor):
        raised = []
        floor.loop.set_exception_handler(lambda loop, context: raised.append(context["exception"]))
        broken = InLine(RuntimeError("a fault of ours"))
        others = [InLine(), InLine()]
        floor.poller.line_up(broken, 1)
        floor.poller.line_up(others[0], 1)
        floor.poller.line_up(others[1], 1_000_000)
        await until(lambda: all(other.told for other in others))
        assert [broken.told, *(other.told for other in others)] == [[WRITABLE]] * 3
        assert raised == [broken.error]
        assert [one.failures for one in (broken, *others)] == [1, 0, 0]
        assert floor.poller.credit == module.BYTES_PER_TURN

    run(scenario)


def test_what_can_not_be_watched_is_an_error_and_is_not_watched(run):
    async def scenario(floor):
        number = os.open(__file__, os.O_RDONLY)
        with pytest.raises(OSError, match="not permitted"):
            floor.poller.add(number, None, READABLE)
        peer, sock = map(floor.own, socket.socketpair())
        os.dup2(sock.fileno(), number)
        one = Watched(floor, sock=socket.socket(fileno=number))
        peer.send(b"x")
        await until(lambda: one.told)
        one.close()

    run(scenario)


@pytest.mark.usefixtures("undisturbed")
def test_a_closed_poller_has_given_its_descriptor_back(run):
    async def scenario(floor):
        before = len(os.listdir("/proc/self/fd"))
        poller = type(floor.poller)(floor.loop)
        assert len(os.listdir("/proc/self/fd")) == before + 1
        poller.close()
        await turns()
        assert len(os.listdir("/proc/self/fd")) == before

    run(scenario)


def test_on_linux_it_is_epoll(run):
    async def scenario(floor):
        poller = new_poller(floor.loop)
        assert isinstance(poller, EpollPoller)
        poller.close()

    run(scenario)
