"""Errors of system calls, one at a time: what `net.failures` says is what happens."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import socket
from types import SimpleNamespace

import pytest
from floor import BOTH, Seen, aborted, runner_for, turns, until

from gracehttp.net import poller as poller_module
from gracehttp.net.failures import ACCEPT_NEXT, CLIENT_IS_GONE
from gracehttp.net.poller import READABLE, Pollable, Poller
from gracehttp.net.stream import HIGH_WATER_BYTES, PlainStream

SHORTAGES = [errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC]


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


def error(number):
    return OSError(number, os.strerror(number))


class Failing:
    """Passes everything on to `real`; the calls in `fails` raise their error each time."""

    def __init__(self, real, **fails):
        self.real = real
        self.fails = fails

    def __getattr__(self, name):
        if name not in self.fails:
            return getattr(self.real, name)

        def fail(*_arguments):
            if name == "close":
                self.real.close()  # the descriptor is released nevertheless (close(2))
            raise error(self.fails[name])

        return fail


class FailingPoller(Poller):
    """As `Failing`, of the class that streams want."""

    def __init__(self, real, **fails):
        super().__init__(asyncio.get_running_loop())
        failing = Failing(real, **fails)
        self.line_up = real.line_up
        self.add, self.change, self.remove, self.release = failing.add, failing.change, failing.remove, failing.release


class Told(list):
    """What the streams of a floor tell of the system."""

    def __init__(self, floor):
        floor.services.on_failure = lambda exc: self.append(exc.errno)


def stream_of(floor, server, poller=None, **fails):
    seen = Seen()
    floor.services.poller = poller or floor.poller
    stream = PlainStream(Failing(server, **fails), floor.services, seen, seen)
    return floor.own(aborted(stream)), seen


@pytest.mark.parametrize("number", [*SHORTAGES, errno.EIO])
@pytest.mark.parametrize("call", ["recv", "send", "sendmsg"])
def test_a_shortage_ends_the_connection_and_is_told(run, call, number):
    async def scenario(floor):
        told = Told(floor)
        client, server = floor.tcp()
        stream, seen = stream_of(floor, server, **{call: number})
        if call == "recv":
            client.send(b"x")
        elif call == "send":
            stream.write(b"x")
        else:
            stream.write_pieces([b"x", b"y"])
        await until(lambda: seen.closes)
        assert told == [number]

    run(scenario)


@pytest.mark.parametrize("number", sorted(CLIENT_IS_GONE))
@pytest.mark.parametrize("call", ["recv", "send"])
def test_a_client_that_is_gone_is_no_news(run, call, number):
    async def scenario(floor):
        told = Told(floor)
        client, server = floor.tcp()
        stream, seen = stream_of(floor, server, **{call: number})
        client.send(b"x")
        if call == "send":
            stream.write(b"x")
        await until(lambda: seen.closes)
        assert told == []

    run(scenario)


def test_what_waits_is_lost_and_told_if_the_kernel_fails_when_it_takes_more(run):
    async def scenario(floor):
        told = Told(floor)
        client, server = floor.tcp(small=True)
        stream, seen = stream_of(floor, server)
        stream.write(b"x" * 20 * HIGH_WATER_BYTES)
        assert stream.unsent_bytes
        stream._socket.fails["sendmsg"] = errno.ENOBUFS
        client.socket.recv(1 << 20)
        await until(lambda: seen.closes)
        assert told == [errno.ENOBUFS]
        assert len(floor.services.stall) == 0

    run(scenario)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR])
def test_a_call_that_would_have_to_wait_is_made_again_when_the_poller_tells(run, number):
    async def scenario(floor):
        told = Told(floor)
        client, server = floor.tcp()
        stream, seen = stream_of(floor, server, recv=number, send=number)
        stream.write(b"answer")
        client.send(b"x")
        await turns()
        assert not seen.pieces
        stream._socket.fails.clear()
        await until(lambda: seen.pieces)
        assert await client.take(6) == b"answer"
        assert told == []

    run(scenario)


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ENOBUFS])
@pytest.mark.parametrize("linger", [True, False])
def test_a_failing_shutdown_delays_no_close_beyond_its_deadline(run, number, linger):
    async def scenario(floor):
        _client, server = floor.tcp()
        stream, seen = stream_of(floor, server, shutdown=number)
        stream.close(linger=linger)
        floor.clock.pass_time(60)
        assert seen.closes == 1

    run(scenario)


@pytest.mark.parametrize("number", [errno.EIO, errno.EINTR])
@pytest.mark.parametrize("way", ["abort", "reset", "detach"])
def test_a_close_that_fails_has_closed(run, number, way):
    async def scenario(floor):
        _client, server = floor.tcp()
        stream, seen = stream_of(floor, server, close=number, setsockopt=errno.ENOMEM)
        if way == "detach":
            stream.leave()
        getattr(stream, way)()
        assert (seen.closes, stream.closed, list(floor.poller.descriptors)) == (1, True, [])

    run(scenario)


# --- the poller ---


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOSPC])
@pytest.mark.parametrize("what", ["pause_reading", "write", "end"])
def test_a_connection_whose_events_can_not_be_changed_is_closed_and_told(run, what, number):
    async def scenario(floor):
        told = Told(floor)
        client, server = floor.tcp(small=True)
        stream, seen = stream_of(floor, server, poller=FailingPoller(floor.poller, change=number))
        if what == "pause_reading":
            stream.pause_reading()
        elif what == "write":
            stream.write(b"x" * 20 * HIGH_WATER_BYTES)
        else:
            client.end()
        assert not seen.closes, "the caller is in the middle of it"
        await until(lambda: seen.closes)
        assert told == [number]
        assert stream.unsent_bytes == 0
        assert list(floor.poller.descriptors) == []

    run(scenario)


def test_a_connection_that_can_not_be_unwatched_stays(run):
    async def scenario(floor):
        client, server = floor.tcp()
        stream, seen = stream_of(floor, server, poller=FailingPoller(floor.poller, release=errno.ENOMEM))
        with pytest.raises(OSError):  # noqa: PT011  the one of the test
            stream.leave()
        client.send(b"x")
        await until(lambda: seen.pieces)

    run(scenario)


def test_a_connection_that_can_not_be_watched_again_is_closed_and_told(run):
    async def scenario(floor):
        told = Told(floor)
        client, server = floor.tcp()
        stream, seen = stream_of(floor, server)
        stream.leave()
        floor.services.poller = FailingPoller(floor.poller, add=errno.ENOSPC)
        stream.come_back()
        assert (seen.closes, told) == (1, [errno.ENOSPC])
        assert await client.take_all() == b""

    run(scenario)


class Watched(Pollable):
    """The test sets what it does."""

    def ready(self, events):
        self.told(events)


class FailingEpoll:
    """epoll_wait(2) and EPOLL_CTL_DEL fail while there is an error."""

    def __init__(self, real):
        self.real = real
        self.failing = None
        self.waits = 0

    def __getattr__(self, name):
        return getattr(self.real, name)

    def poll(self, *arguments):
        self.waits += 1
        if self.failing:
            raise error(self.failing)
        return self.real.poll(*arguments)

    def unregister(self, fd):
        if self.failing:
            raise error(self.failing)
        self.real.unregister(fd)


@pytest.fixture
def failing_epoll(monkeypatch):
    made = []

    def make():
        made.append(FailingEpoll(real()))
        return made[-1]

    real = select.epoll
    monkeypatch.setattr(poller_module, "select", SimpleNamespace(epoll=make))
    return made


@pytest.fixture(params=[name for name in BOTH if name.endswith("-epoll")])
def run_epoll(request):
    return runner_for(request.param)


def test_a_turn_without_events_is_made_up_for(run_epoll, failing_epoll):
    async def scenario(floor):
        client, server = floor.tcp()
        _stream, seen = stream_of(floor, server)
        failing_epoll[0].failing = errno.ENOMEM
        client.send(b"x")
        await until(lambda: failing_epoll[0].waits > 3)
        failing_epoll[0].failing = None
        await until(lambda: seen.pieces)

    run_epoll(scenario)


def test_a_process_that_hears_nothing_of_its_connections_for_long_ends(run_epoll, failing_epoll, monkeypatch):
    async def scenario(floor):
        client, server = floor.tcp()
        _stream, seen = stream_of(floor, server)
        ends = []
        monkeypatch.setattr(signal, "raise_signal", ends.append)
        monkeypatch.setattr(poller_module, "LONGEST_FAILURE_SECONDS", 0.01)
        failing_epoll[0].failing = errno.EBADF
        client.send(b"x")
        await until(lambda: ends)
        assert ends[0] == signal.SIGABRT
        failing_epoll[0].failing = None
        await until(lambda: seen.pieces)

    run_epoll(scenario)


def test_a_descriptor_that_can_not_be_unwatched_is_forgotten_if_it_is_closed(run_epoll, failing_epoll):
    async def scenario(floor):
        _client, server = floor.tcp()
        stream, seen = stream_of(floor, server)
        failing_epoll[0].failing = errno.ENOMEM
        stream.abort()
        assert seen.closes
        failing_epoll[0].failing = None
        client, server = floor.tcp()
        _stream, seen = stream_of(floor, server)
        client.send(b"x")
        await until(lambda: seen.pieces)

    run_epoll(scenario)


def test_what_cannot_be_released_is_watched_as_before(run_epoll, failing_epoll):
    async def scenario(floor):
        peer, sock = map(floor.own, socket.socketpair())
        told = []
        watched = Watched()
        watched.told = told.append
        floor.poller.add(sock.fileno(), watched, READABLE)
        failing_epoll[0].failing = errno.ENOMEM
        with pytest.raises(OSError):  # noqa: PT011  the one of the test
            floor.poller.release(sock.fileno())
        failing_epoll[0].failing = None
        peer.send(b"x")
        await until(lambda: told)
        floor.poller.remove(sock.fileno())

    run_epoll(scenario)


def test_the_errors_of_a_connection_and_those_of_the_machine_do_not_mix():
    shortages = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC}
    assert not shortages & (ACCEPT_NEXT | CLIENT_IS_GONE)
