"""The accept loop against real sockets on both event loops, with permits that the test hands out."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest
import uvloop
from deadlines import DEADLINE_SECONDS

from gracehttp.events import AcceptPaused
from gracehttp.net import acceptor as module
from gracehttp.net import backlog_watch
from gracehttp.net.acceptor import Acceptor
from gracehttp.net.permits import LocalPermits, PermitPool
from gracehttp.net.restraint import LONGEST_SECONDS, Restraint
from gracehttp.net.shared_permits import SharedPermits
from gracehttp.net.syn_filter import drop_new_connections

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Harness:
    """One acceptor with what it needs; `accepted` grows, and `until` waits for it."""

    def __init__(self, permits, listener=None, make_room=None, room=None):
        self.listener = listener or socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.where = self.listener.getsockname()
        self.accepted: list[socket.socket] = []
        self.published: list[object] = []
        self.clients: list[socket.socket] = []
        self._changed = asyncio.Event()
        self.acceptor = Acceptor(
            self.listener,
            permits,
            self._on_connection,
            address="test",
            loop=asyncio.get_running_loop(),
            publish=self._publish,
            make_room=make_room,
            restraint=Restraint(room, asyncio.get_running_loop()) if room else None,
        )

    def _on_connection(self, sock, peer):
        assert peer == sock.getpeername()
        assert not sock.getblocking()
        self.accepted.append(sock)
        self._changed.set()

    def _publish(self, event):
        self.published.append(event)
        self._changed.set()

    def connect(self, count=1):
        for _ in range(count):
            self.clients.append(socket.create_connection(self.where, timeout=DEADLINE_SECONDS))

    async def until(self, condition):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def close_one(self):
        self.accepted.pop().close()
        self.acceptor.release()

    def close(self):
        self.acceptor.stop()
        for one in (*self.accepted, *self.clients):
            one.close()


async def settle():
    """Let the loop look at its descriptors a few times."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture(params=LOOPS)
def runner(request):
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as made:
        yield made


def test_connections_are_accepted(runner):
    async def scenario():
        harness = Harness(LocalPermits(10))
        harness.acceptor.start()
        harness.connect(3)
        await harness.until(lambda: len(harness.accepted) == 3)
        harness.close()

    runner.run(scenario())


@pytest.mark.skipif(not socket.has_ipv6, reason="this system has no IPv6")
def test_connections_by_ipv6_are_accepted(runner):
    async def scenario():
        harness = Harness(LocalPermits(10), socket.create_server(("::1", 0), family=socket.AF_INET6))
        harness.where = harness.where[:2]
        harness.acceptor.start()
        harness.connect()
        await harness.until(lambda: harness.accepted)
        assert harness.accepted[0].family == socket.AF_INET6
        harness.close()

    runner.run(scenario())


def test_nothing_is_accepted_before_the_start(runner):
    async def scenario():
        harness = Harness(LocalPermits(10))
        harness.connect()
        await settle()
        assert harness.accepted == []
        harness.close()

    runner.run(scenario())


@pytest.mark.parametrize("kind", ["local", "shared"])
def test_a_full_port_leaves_new_connections_in_the_kernel_queue_until_a_place_is_free(runner, kind):
    async def scenario():
        pool = PermitPool(2)
        permits = LocalPermits(2) if kind == "local" else SharedPermits(*duplicates(pool), 0)
        harness = Harness(permits)
        harness.acceptor.start()
        harness.connect(5)
        await harness.until(lambda: len(harness.accepted) == 2)
        await settle()
        assert len(harness.accepted) == 2
        for served in (1, 2, 3):
            harness.close_one()
            await harness.until(lambda: len(harness.accepted) == 2)
            assert permits.held == 2, f"after {served} had left"
        harness.close()
        permits.close()
        pool.close()

    runner.run(scenario())


def test_a_place_that_another_worker_frees_is_seen(runner):
    async def scenario():
        pool = PermitPool(1)
        other = SharedPermits(*duplicates(pool), 1)
        assert other.take()
        permits = SharedPermits(*duplicates(pool), 0)
        harness = Harness(permits)
        harness.acceptor.start()
        harness.connect()
        await settle()
        assert harness.accepted == []
        other.give_back()
        await harness.until(lambda: len(harness.accepted) == 1)
        harness.close()
        for one in (permits, other, pool):
            one.close()

    runner.run(scenario())


def duplicates(pool):
    import os

    return map(os.dup, pool.filenos())


class FailingListener:
    """A listener whose accept fails with the given errors first."""

    def __init__(self, *numbers):
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._numbers = list(numbers)
        self.calls = 0

    def accept(self):
        self.calls += 1
        if self._numbers:
            number = self._numbers.pop(0)
            raise OSError(number, "made up by the test")
        return self._socket.accept()

    def __getattr__(self, name):
        return getattr(self._socket, name)


def test_too_many_open_files_pauses_tells_once_and_goes_on(runner, monkeypatch):
    monkeypatch.setattr(module, "SHORTEST_PAUSE_SECONDS", 0.001)

    async def scenario():
        listener = FailingListener(errno.EMFILE, errno.ENFILE, errno.EMFILE)
        permits = LocalPermits(5)
        harness = Harness(permits, listener)
        harness.acceptor._pause_seconds = 0.001
        harness.connect()
        harness.acceptor.start()
        await harness.until(lambda: harness.accepted)
        assert [type(event) for event in harness.published] == [AcceptPaused]
        assert listener.calls <= 5, "it does not spin"
        assert permits.held == 1, "failed attempts give their permits back"
        harness.close()

    runner.run(scenario())


def test_a_connection_that_died_in_the_queue_is_passed_over_without_a_pause(runner):
    async def scenario():
        listener = FailingListener(errno.ECONNABORTED)
        harness = Harness(LocalPermits(5), listener)
        harness.connect()
        harness.acceptor.start()
        await harness.until(lambda: harness.accepted)
        assert harness.published == []
        harness.close()

    runner.run(scenario())


def test_stopping_accepts_nothing_more_and_closes_only_our_copy(runner):
    async def scenario():
        shared = socket.create_server(("127.0.0.1", 0), backlog=64)
        harness = Harness(LocalPermits(5), shared.dup())
        harness.acceptor.start()
        harness.acceptor.stop()
        harness.connect()
        await settle()
        assert harness.accepted == []
        shared.settimeout(DEADLINE_SECONDS)
        connection, _ = shared.accept()
        connection.close()
        shared.close()
        harness.close()

    runner.run(scenario())


def test_the_rest_of_the_queue_is_accepted_before_it_stops(runner):
    async def scenario():
        harness = Harness(LocalPermits(100))
        harness.connect(40)
        assert drop_new_connections(harness.listener)
        stopped = asyncio.Event()
        harness.acceptor.stop_when_queue_is_empty(stopped.set)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await stopped.wait()
        assert len(harness.accepted) == 40
        harness.close()

    runner.run(scenario())


def test_the_rest_of_the_queue_waits_for_permits_too(runner):
    async def scenario():
        harness = Harness(LocalPermits(1))
        harness.connect(3)
        drop_new_connections(harness.listener)
        stopped = asyncio.Event()
        harness.acceptor.stop_when_queue_is_empty(stopped.set)
        for _ in range(3):
            await harness.until(lambda: harness.accepted)
            assert not stopped.is_set()
            harness.close_one()
        async with asyncio.timeout(DEADLINE_SECONDS):
            await stopped.wait()
        harness.close()

    runner.run(scenario())


def test_the_syn_filter_keeps_new_connections_out_of_the_queue():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert drop_new_connections(listener)
        with socket.socket() as client:
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.connect(listener.getsockname())


class Scans(list):
    """What each scan saw in the queue; `until(n)` waits for n scans more."""

    def __init__(self, monkeypatch):
        scan = backlog_watch.is_readable
        monkeypatch.setattr(backlog_watch, "SCAN_SECONDS", 0.001)
        monkeypatch.setattr(backlog_watch, "is_readable", lambda fd: self.append(scan(fd)) or self[-1])

    async def until(self, more):
        wanted = len(self) + more
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(self) < wanted:
                await asyncio.sleep(0.001)


def test_room_is_made_while_new_connections_wait_for_a_permit_and_not_longer(runner, monkeypatch):
    async def scenario():
        Scans(monkeypatch)
        made = []
        harness = Harness(LocalPermits(2), make_room=lambda waiting: made.append((waiting, harness.close_one())))
        harness.acceptor.start()
        harness.connect(5)
        await harness.until(lambda: len(made) == 3 and len(harness.accepted) == 2)
        assert [waiting for waiting, _ in made] == [3, 2, 1], "one for each of the three that waited"
        await settle()
        assert harness.acceptor._backlog._next is None, "it scans no more"
        harness.close()

    runner.run(scenario())


def test_no_room_is_made_while_no_connection_waits(runner, monkeypatch):
    async def scenario():
        scans, made = Scans(monkeypatch), []
        harness = Harness(LocalPermits(1), make_room=lambda waiting: made.append(1))
        harness.acceptor.start()
        harness.connect(2)
        await harness.until(lambda: harness.acceptor._awaiting_permit)
        harness.listener.accept()[0].close()  # another worker has a permit for the second one
        made_before = len(made)
        await scans.until(3)
        assert len(made) == made_before
        harness.close()

    runner.run(scenario())


def test_a_port_that_is_not_full_scans_nothing(runner):
    async def scenario():
        harness = Harness(LocalPermits(100), make_room=lambda waiting: None)
        harness.acceptor.start()
        harness.connect(3)
        await harness.until(lambda: len(harness.accepted) == 3)
        assert harness.acceptor._backlog._next is None
        harness.close()

    runner.run(scenario())


class CountedPermits(LocalPermits):
    taken = 0

    def take(self):
        self.taken += 1
        return super().take()


def test_a_worker_that_wakes_up_after_another_one_has_accepted_takes_no_permit(runner):
    async def scenario():
        permits = CountedPermits(10)
        harness = Harness(permits)
        harness.acceptor.start()
        harness.connect(2)
        await harness.until(lambda: len(harness.accepted) == 2)
        assert permits.taken == 2
        harness.acceptor._on_acceptable()  # as if the loop had been woken up with the others
        assert permits.taken == 2
        harness.close()

    runner.run(scenario())


class BusyRoom:
    """Of threads that hang."""

    free = 0
    submitted = 1
    finished = 0

    def when_free(self, call):
        pass


def test_each_connection_is_left_to_other_workers_for_a_while_whatever_became_of_the_one_before(runner):
    async def scenario():
        loop = asyncio.get_running_loop()
        harness = Harness(LocalPermits(10), room=BusyRoom())
        harness.acceptor.start()
        for count in (1, 2):
            began = loop.time()
            harness.connect()
            await harness.until(lambda count=count: len(harness.accepted) == count)
            assert loop.time() - began > LONGEST_SECONDS * 0.9, "none of them had another chance"
        harness.close()

    runner.run(scenario())


def test_an_empty_queue_is_the_end_of_a_full_port_too(runner):
    async def scenario():
        harness = Harness(LocalPermits(1))
        harness.acceptor.start()
        harness.connect()
        await harness.until(lambda: harness.accepted)
        stopped = asyncio.Event()
        drop_new_connections(harness.listener)
        harness.acceptor.stop_when_queue_is_empty(stopped.set)
        await asyncio.wait_for(stopped.wait(), DEADLINE_SECONDS)
        harness.close()

    runner.run(scenario())


def test_a_pause_leaves_new_connections_in_the_queue_and_a_second_start_takes_them(runner):
    async def scenario():
        harness = Harness(LocalPermits(10))
        harness.acceptor.start()
        harness.acceptor.pause()
        harness.connect(3)
        await settle()
        assert harness.accepted == []
        harness.acceptor.start()
        await harness.until(lambda: len(harness.accepted) == 3)
        harness.close()

    runner.run(scenario())


@pytest.mark.parametrize("kind", ["local", "shared"])
def test_a_pause_on_a_full_port_ends_the_wait_for_a_permit(runner, kind):
    async def scenario():
        pool = PermitPool(1)
        permits = LocalPermits(1) if kind == "local" else SharedPermits(*duplicates(pool), 0)
        harness = Harness(permits)
        harness.acceptor.start()
        harness.connect(2)
        await harness.until(lambda: harness.acceptor._awaiting_permit)
        harness.acceptor.pause()
        harness.close_one()
        await settle()
        assert (harness.accepted, permits.held) == ([], 0), "the place is for others"
        harness.acceptor.start()
        await harness.until(lambda: len(harness.accepted) == 1)
        harness.close()
        harness.acceptor.release()
        permits.close()
        pool.close()

    runner.run(scenario())


def test_a_paused_acceptor_can_still_empty_the_queue_at_the_end(runner):
    async def scenario():
        harness = Harness(LocalPermits(10))
        harness.acceptor.start()
        harness.acceptor.pause()
        harness.connect(3)
        drop_new_connections(harness.listener)
        stopped = asyncio.Event()
        harness.acceptor.stop_when_queue_is_empty(stopped.set)
        await asyncio.wait_for(stopped.wait(), DEADLINE_SECONDS)
        assert len(harness.accepted) == 3
        harness.close()

    runner.run(scenario())


@pytest.mark.parametrize("free", [0, 1])
def test_a_paused_port_makes_room_if_it_is_full_for_what_other_workers_accept(runner, monkeypatch, free):
    async def scenario():
        scans, made, pool = Scans(monkeypatch), [], PermitPool(2 + free)
        permits = SharedPermits(*duplicates(pool), 0)
        harness = Harness(permits, make_room=made.append)
        harness.acceptor.start()
        harness.connect(2)
        await harness.until(lambda: len(harness.accepted) == 2)
        harness.acceptor.pause()
        harness.connect()
        if free:
            assert permits.available
            await asyncio.sleep(0.02)
            assert made == [], "another worker takes it"
        else:
            await scans.until(3)
            assert set(made) == {1}
        harness.acceptor.stop()
        seen = len(scans)
        await asyncio.sleep(0.02)
        assert len(scans) == seen, "without the listener it scans no more"
        for _ in harness.accepted:
            harness.acceptor.release()
        harness.close()
        permits.close()
        pool.close()

    runner.run(scenario())


def test_a_connection_that_the_system_can_not_serve_makes_accepting_pause(runner, monkeypatch):
    async def scenario():
        monkeypatch.setattr(module, "SHORTEST_PAUSE_SECONDS", 0.01)
        permits = LocalPermits(10)
        harness = Harness(permits)
        refused = []

        def refuse(sock, _peer):
            refused.append(sock)
            sock.close()
            harness.acceptor.release()
            if len(refused) < 4:
                raise OSError(errno.ENOSPC, "no watches")

        harness.acceptor._on_connection = refuse
        harness.acceptor._pause_seconds = 0.01
        harness.acceptor.start()
        harness.connect(5)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(refused) < 3:
                await asyncio.sleep(0)
        assert harness.acceptor._pause_seconds == 0.08, "ever longer, as long as it lasts"
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(refused) < 5:
                await asyncio.sleep(0)
        assert permits.held == 0
        assert harness.published == [], "whoever refused has told"
        harness.close()

    runner.run(scenario())


@pytest.mark.parametrize("what", ["is_readable", "take", "setblocking"])
def test_any_error_on_the_way_to_a_connection_costs_no_permit_and_accepting_goes_on(runner, monkeypatch, what):
    async def scenario():
        monkeypatch.setattr(module, "SHORTEST_PAUSE_SECONDS", 0.01)
        permits = LocalPermits(10)
        harness = Harness(permits, FailingListener())  # it is asked by its methods, which can fail
        failed = []

        def once(real):
            def call(*arguments):
                if not failed:
                    failed.append(what)
                    raise OSError(errno.ENOMEM, "no memory")
                return real(*arguments)

            return call

        if what == "is_readable":
            monkeypatch.setattr(module, "is_readable", once(module.is_readable))
        elif what == "take":
            permits.take = once(permits.take)
        else:
            monkeypatch.setattr(socket.socket, "setblocking", once(socket.socket.setblocking))
        harness.acceptor._pause_seconds = 0.01
        harness.acceptor.start()
        harness.connect(2)
        await harness.until(lambda: len(harness.accepted) == (1 if what == "setblocking" else 2))
        assert failed == [what]
        assert permits.held == len(harness.accepted)
        assert [type(event) for event in harness.published] == [AcceptPaused]
        harness.close()

    runner.run(scenario())


def test_a_listener_that_the_loop_can_not_watch_is_watched_later(monkeypatch):
    """On asyncio: libuv aborts the process then."""

    async def scenario():
        monkeypatch.setattr(module, "SHORTEST_PAUSE_SECONDS", 0.01)
        harness = Harness(LocalPermits(10))
        loop, failed = asyncio.get_running_loop(), []
        add_reader = loop.add_reader

        def once(*arguments):
            if not failed:
                failed.append(arguments)
                raise OSError(errno.ENOSPC, "no watches")
            add_reader(*arguments)

        monkeypatch.setattr(loop, "add_reader", once)
        harness.acceptor._pause_seconds = 0.01
        harness.acceptor.start()
        assert failed
        harness.connect(2)
        await harness.until(lambda: len(harness.accepted) == 2)
        assert [type(event) for event in harness.published] == [AcceptPaused]
        harness.close()

    asyncio.run(scenario())


class TalliedPermits(LocalPermits):
    """Counts how often it is asked."""

    def __init__(self, limit):
        super().__init__(limit)
        self.taken = self.given_back = 0

    def take(self):
        self.taken += 1
        return super().take()

    def give_back(self):
        self.given_back += 1
        super().give_back()


@pytest.mark.parametrize("limit", [1, 10])
def test_the_permit_of_a_connection_that_is_closed_at_once_is_the_next_ones(runner, limit):
    async def scenario():
        permits = TalliedPermits(limit)
        harness = Harness(permits)
        served = []

        def serve(sock, peer):
            sock.close()
            assert permits.held == 1
            harness.acceptor.release()
            assert permits.held == 1, "given back when the wake-up ends"
            served.append(peer)
            harness._changed.set()

        harness.acceptor._on_connection = serve
        harness.connect(5)
        harness.acceptor.start()
        await harness.until(lambda: len(served) == 5)
        await settle()
        assert (permits.taken, permits.given_back, permits.held) == (1, 1, 0)
        harness.close()

    runner.run(scenario())


def test_a_limit_that_is_lowered_within_a_wake_up_holds_for_its_next_connection(runner):
    async def scenario():
        pool = PermitPool(2)
        permits, others = (SharedPermits(*duplicates(pool), slot) for slot in (0, 1))
        assert others.take()
        assert permits.take()
        permits.give_back()  # so that this worker knows that there is no debt
        harness = Harness(permits)
        served = []

        def serve(sock, peer):
            sock.close()
            if not served:
                pool.resize(1)
            harness.acceptor.release()
            served.append(peer)
            assert permits.held + others.held <= pool.limit + (len(served) == 1)
            harness._changed.set()

        harness.acceptor._on_connection = serve
        harness.connect(5)
        harness.acceptor.start()
        await harness.until(lambda: served)
        await settle()
        assert len(served) == 1, "the only permit is held by another worker"
        others.give_back()
        await harness.until(lambda: len(served) == 5)
        await settle()
        assert permits.held == 0
        harness.close()
        for one in (permits, others, pool):
            one.close()

    runner.run(scenario())


def test_a_permit_at_hand_is_given_back_when_a_connection_can_not_be_served(runner):
    async def scenario():
        permits = TalliedPermits(10)
        harness = Harness(permits)
        failed = []

        def fail(sock, peer):
            sock.close()
            harness.acceptor.release()
            failed.append(peer)
            harness._changed.set()
            raise OSError(errno.ENOMEM, "no memory")

        harness.acceptor._on_connection = fail
        harness.connect()
        harness.acceptor.start()
        await harness.until(lambda: failed)
        assert permits.held == 0
        harness.close()

    runner.run(scenario())
