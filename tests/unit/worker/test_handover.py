"""Both ends of the handover queue, over a real socketpair, with ports and permits as in two workers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
import os
import resource
import socket

import pytest
import uvloop

from gracehttp.events import HandoverBroken
from gracehttp.http.connection import HttpSettings
from gracehttp.listeners.permits import LocalPermits, PermitPool, SharedPermits
from gracehttp.supervisor.listeners.queues import HandoverQueue
from gracehttp.worker import handover
from gracehttp.worker.handover import MOST_PIPELINED_BYTES
from gracehttp.worker.manifest import GivenListener
from gracehttp.worker.port import Port

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
LIMIT = 100
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture(params=LOOPS)
def run(request):
    def run(scenario):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(scenario, 20))

    return run


async def until(condition):
    """Let the loop turn until the condition holds; the runner's timeout is the limit."""
    while not condition():
        await asyncio.sleep(0)


class Application:
    """Answers with the name of its worker, at once, or when it is told to."""

    def __init__(self, name):
        self.name = name
        self.waits = False
        self.exchanges = []

    def handle(self, exchange):
        self.exchanges.append(exchange)
        if not self.waits:
            self.answer()

    def answer(self):
        exchange = self.exchanges.pop(0)
        exchange.start_response(200, [])
        exchange.write(self.name, False)
        exchange.end()


class Worker:
    """One port of one worker, with its own view of the permits."""

    def __init__(self, house, slot, name):
        self.house = house
        self.application = Application(name)
        self.published = []
        self.changed = asyncio.Event()
        self.permits = SharedPermits(*map(os.dup, house.pool.filenos()), slot)
        self.listener = house.listener.dup()
        self.port = Port(
            GivenListener(1, "test", self.listener, self.permits, (house.duplicate(0), house.duplicate(1))),
            self.application,
            HttpSettings(),
            tls=None,
            request_finished=None,
            publish=self.published.append,
            on_change=self.changed.set,
            shed_idle_after_seconds=0.0,
        )

    def take_over(self, obey=lambda: None):
        self.port.take_over(obey)

    @property
    def departures(self):
        return self.port._departures

    @property
    def arrivals(self):
        return self.port._arrivals

    @property
    def open(self):
        return len(self.port.connections)

    async def close(self):
        self.port.close_handover()
        self.port.cut()
        await until(lambda: self.port.quiet and self.permits.held == 0)
        self.port.close()


class House:
    """A listener, its permits and the queue, as the supervisor has them, and an old and a new worker."""

    def __init__(self):
        self.pool = PermitPool(LIMIT)
        self.queue = HandoverQueue()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.old = Worker(self, 0, b"old")
        self.new = Worker(self, 1, b"new")
        self.clients = []
        self.old.port.accept()

    def duplicate(self, end):
        sock = socket.socket(fileno=os.dup(self.queue.filenos()[end]))
        sock.setblocking(False)
        return sock

    async def connect(self, count=1):
        for _ in range(count):
            self.clients.append(await asyncio.open_connection(*self.listener.getsockname()))
        await until(lambda: self.old.open + self.new.open == len(self.clients))
        return self.clients[-1]

    def assert_permits_are_exact(self):
        """To be called when nothing is on its way: nobody lost one, nobody has one too many."""
        assert self.queue.empty
        assert self.pool.audit([0, 1], lambda: self.queue.empty) == 0
        assert self.pool.open_connections([0, 1]) == len(self.clients) == self.old.permits.held + self.new.permits.held

    async def close(self):
        for _, writer in self.clients:
            writer.close()
        await self.old.close()
        await self.new.close()
        self.listener.close()
        self.queue.close()
        self.pool.close()


@contextlib.asynccontextmanager
async def opened():
    house = House()
    try:
        yield house
    finally:
        await house.close()


async def ask(client, request=GET):
    """One request; returns the name of the worker that answered, and whether it closes the connection."""
    reader, writer = client
    writer.write(request)
    return await answer_on(reader)


async def answer_on(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(3), b"connection: close" in head.lower()


def test_an_idle_connection_goes_on_in_the_other_worker(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            assert await ask(client) == (b"old", False)
            house.new.take_over()
            house.old.port.drain(hand_over=True)
            await until(lambda: house.new.open == 1 and house.old.port.quiet)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_a_busy_connection_goes_after_its_response(run):
    async def scenario():
        async with opened() as house:
            house.old.application.waits = True
            reader, writer = await house.connect()
            writer.write(GET)
            await until(lambda: house.old.application.exchanges)
            house.new.take_over()
            house.old.port.drain(hand_over=True)
            for _ in range(10):
                await asyncio.sleep(0)
            assert house.new.open == 0
            house.old.application.answer()
            assert await answer_on(reader) == (b"old", False)
            assert await ask((reader, writer)) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_pipelined_bytes_go_along(run):
    async def scenario():
        async with opened() as house:
            house.old.application.waits = True
            reader, writer = await house.connect()
            writer.write(GET * 3 + GET[:20])
            await until(lambda: house.old.application.exchanges)
            house.new.take_over()
            house.old.port.drain(hand_over=True)
            house.old.application.answer()
            assert [(await answer_on(reader))[0] for _ in range(3)] == [b"old", b"new", b"new"]
            writer.write(GET[20:])
            assert (await answer_on(reader))[0] == b"new"
            house.assert_permits_are_exact()

    run(scenario())


def test_a_client_that_is_too_far_ahead_is_served_here_until_it_is_not(run):
    async def scenario():
        async with opened() as house:
            house.old.application.waits = True
            reader, writer = await house.connect()
            requests = MOST_PIPELINED_BYTES // len(GET) + 3
            writer.write(GET * requests)
            (connection,) = house.old.port.connections
            await until(lambda: len(connection._unparsed) - connection._offset > MOST_PIPELINED_BYTES)
            house.new.take_over()
            house.old.port.drain(hand_over=True)
            house.old.application.waits = False
            house.old.application.answer()
            names = [(await answer_on(reader))[0] for _ in range(requests)]
            assert names == sorted(names, reverse=True), "once it went, it doesn't come back"
            assert names[1] == b"old"
            assert names[-1] == b"new"
            house.assert_permits_are_exact()

    run(scenario())


def test_what_the_queue_has_no_room_for_is_served_here_until_it_has(run):
    async def scenario():
        async with opened() as house:
            house.queue._send_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel's least
            await house.connect(60)
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.departures._full and house.old.open == house.old.permits.held)
            left = house.old.open
            assert 0 < left < 60
            assert not house.queue.empty
            house.new.take_over()
            await until(lambda: house.old.port.quiet and house.new.open == 60)
            assert {await ask(client) for client in house.clients} == {(b"new", False)}
            house.assert_permits_are_exact()

    run(scenario())


def test_a_connection_that_waits_for_room_is_answered(run):
    async def scenario():
        async with opened() as house:
            house.queue._send_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            await house.connect(60)
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.departures._full and house.old.open == house.old.permits.held)
            peers = {one._transport.get_extra_info("peername") for one in house.old.port.connections}
            waiting = [one for one in house.clients if one[1].get_extra_info("sockname") in peers]
            for _ in range(3):
                assert {await ask(client) for client in waiting} == {(b"old", False)}
            assert len(house.old.departures._waiting) == len(waiting), "each waits once"
            house.new.take_over()
            await until(lambda: house.new.open == 60)

    run(scenario())


PASSING = ["EAGAIN", "ENOBUFS", "ENOMEM", "ETOOMANYREFS", "EMFILE", "ENFILE"]
"""What sendmsg(2) and unix(7) name when there is no room now and there may be later."""


@pytest.mark.parametrize("name", PASSING)
def test_what_the_kernel_has_no_room_for_is_served_here_and_tried_again(run, monkeypatch, name):
    """No event tells that most of these are over, so time has to."""
    refused = []
    send_fds = socket.send_fds

    def send(sock, buffers, fds):
        if len(refused) < 3:
            refused.append(name)
            raise OSError(getattr(errno, name), name)
        return send_fds(sock, buffers, fds)

    async def scenario():
        async with opened() as house:
            client = await house.connect()
            monkeypatch.setattr(socket, "send_fds", send)
            house.new.take_over()
            house.old.port.drain(hand_over=True)
            await until(lambda: refused)
            await until(lambda: house.new.open == 1)
            assert await ask(client) == (b"new", False)
            assert len(refused) == 3
            house.assert_permits_are_exact()

    run(scenario())


def test_while_it_holds_it_serves_and_then_it_goes_on(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.old.departures.hold()
            house.new.take_over()
            house.old.port.drain(hand_over=True)
            for _ in range(3):
                assert await ask(client) == (b"old", False)
            assert house.queue.empty
            house.old.departures.go_on()
            await until(lambda: house.new.open == 1)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_a_paused_port_hands_over_and_after_the_pause_it_keeps_what_comes_back(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.new.take_over()
            house.old.port.pause(hand_over=True)
            await until(lambda: house.new.open == 1 and house.old.open == 0)
            assert await ask(client) == (b"new", False)
            house.old.port.accept()
            house.old.take_over()
            house.new.arrivals.close()
            house.new.port.drain(hand_over=True)
            await until(lambda: house.old.open == 1 and house.new.open == 0)
            for _ in range(3):
                assert await ask(client) == (b"old", False)
            other = await house.connect()
            assert await ask(other) == (b"old", False), "and newcomers are accepted again"
            house.assert_permits_are_exact()

    run(scenario())


def test_after_a_pause_a_connection_that_was_to_go_stays(run):
    async def scenario():
        async with opened() as house:
            house.old.application.waits = True
            reader, writer = await house.connect()
            writer.write(GET)
            await until(lambda: house.old.application.exchanges)
            house.old.port.pause(hand_over=True)
            house.old.departures.withdraw()
            house.old.port.accept()
            house.old.application.waits = False
            house.old.application.answer()
            assert await answer_on(reader) == (b"old", False)
            assert await ask((reader, writer)) == (b"old", False)
            assert house.queue.empty

    run(scenario())


def test_what_waits_for_room_in_the_queue_can_be_withdrawn(run):
    async def scenario():
        async with opened() as house:
            await house.connect(5)
            house.old.departures.hold()
            house.old.port.pause(hand_over=True)
            house.old.departures.withdraw()
            house.old.port.accept()
            house.old.departures.go_on()
            for _ in range(10):
                await asyncio.sleep(0)
            assert house.queue.empty
            assert {await ask(client) for client in house.clients} == {(b"old", False)}

    run(scenario())


def test_a_paused_port_without_a_queue_says_that_its_responses_are_the_last_until_it_goes_on(run):
    async def scenario():
        async with opened() as house:
            one, other = await house.connect(), await house.connect()
            house.old.port.pause(hand_over=False)
            assert await ask(one) == (b"old", True)
            house.old.port.accept()
            assert await ask(other) == (b"old", False)

    run(scenario())


def test_a_paused_receiver_leaves_what_comes_to_others_until_it_resumes(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.new.take_over()
            house.new.arrivals.pause()
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.port.quiet)
            for _ in range(10):
                await asyncio.sleep(0)
            assert not house.queue.empty
            house.new.arrivals.resume()
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_a_receiver_that_is_told_to_pause_when_it_looks_takes_nothing(run):
    async def scenario():
        async with opened() as house:
            await house.connect()
            house.new.take_over(obey=lambda: house.new.arrivals.pause())
            house.old.port.drain(hand_over=True)
            await until(lambda: house.new.arrivals._paused)
            assert not house.queue.empty
            assert house.new.open == 0

    run(scenario())


def test_a_sealed_queue_keeps_what_is_in_it_and_takes_no_more(run):
    async def scenario():
        async with opened() as house:
            house.old.application.waits = True
            idle, busy = await house.connect(), await house.connect()
            busy[1].write(GET)
            await until(lambda: house.old.application.exchanges)
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.open == 1)
            house.queue.seal()
            assert not house.queue.empty
            house.old.application.waits = False
            house.old.application.answer()
            assert await answer_on(busy[0]) == (b"old", False)
            assert await ask(busy) == (b"old", False)
            house.new.take_over()
            await until(lambda: house.new.arrivals.ended)
            assert house.queue.empty
            await until(lambda: house.new.open == 1)
            assert await ask(idle) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_the_end_of_a_sealed_queue_is_told_once_and_does_not_spin(run):
    async def scenario():
        async with opened() as house:
            looks = []
            house.new.take_over(obey=lambda: looks.append(1))
            house.queue.seal()
            await until(lambda: house.new.arrivals.ended)
            assert house.new.arrivals.ended
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(looks) == 1

    run(scenario())


def test_the_permits_of_a_connection_in_the_queue_are_found_by_no_audit(run):
    async def scenario():
        async with opened() as house:
            await house.connect()
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.port.quiet)
            assert house.pool.open_connections([0, 1]) == 0
            assert house.pool.audit([0, 1], lambda: house.queue.empty) is None, "it is on its way: no clear picture"
            house.new.take_over()
            await until(lambda: house.new.open == 1)
            house.assert_permits_are_exact()

    run(scenario())


def test_what_waits_for_room_stays_when_the_port_has_no_future_any_more(run):
    async def scenario():
        async with opened() as house:
            house.queue._send_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            await house.connect(60)
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.departures._full and house.old.open == house.old.permits.held)
            left = house.old.open
            assert left, "some wait for room"
            house.old.port.drain(hand_over=False)
            assert house.old.departures._scheduled is None
            house.new.take_over()
            await until(lambda: house.new.open == 60 - left)
            answers = [await ask(client) for client in house.clients]
            assert answers.count((b"old", True)) == left, "they are told with their next response"
            assert answers.count((b"new", False)) == 60 - left

    run(scenario())


def test_a_sealed_queue_is_emptied_by_those_who_drain_themselves(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.port.quiet)
            house.new.take_over()
            house.queue.seal()
            house.new.port.drain(hand_over=False)
            assert not house.new.port.quiet, "somebody is on the way"
            await until(lambda: house.new.arrivals.ended)
            assert await ask(client) == (b"new", True)
            assert house.new.published == []

    run(scenario())


def test_an_order_that_is_older_than_a_message_is_seen_first(run):
    async def scenario():
        async with opened() as house:
            await house.connect()
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.port.quiet)
            house.new.take_over(obey=lambda: house.new.arrivals.close())
            await until(lambda: house.new.arrivals.ended)
            assert house.new.open == 0
            assert not house.queue.empty, "it is left to whoever comes after this worker"
            newest = Worker(house, 2, b"3rd")
            newest.take_over()
            await until(lambda: newest.open == 1)
            await newest.close()

    run(scenario())


def test_how_long_it_has_been_idle_goes_along(run):
    async def scenario():
        async with opened() as house:
            assert await ask(await house.connect()) == (b"old", False)
            (connection,) = house.old.port.connections
            connection._deadline.when -= 20  # as after 20 seconds
            since = connection.idle_since
            house.new.take_over()
            house.old.port.drain(hand_over=True)
            await until(lambda: house.new.open == 1)
            (connection,) = house.new.port.connections
            assert connection.idle_since == pytest.approx(since, abs=1)
            house.assert_permits_are_exact()

    run(scenario())


@pytest.mark.parametrize("fresh", [True, False])
def test_a_request_that_came_before_the_timeout_is_answered_although_that_is_over(run, fresh):
    async def scenario():
        async with opened() as house:
            client = await put(house, {"version": 1, "fresh": fresh, "idle_seconds": 1000})
            client[1].write(GET)
            await until(lambda: not client[1].transport.get_write_buffer_size())
            house.new.take_over()
            assert await answer_on(client[0]) == (b"new", False)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_who_was_silent_for_too_long_over_all_workers_is_closed_politely(run):
    async def scenario():
        async with opened() as house:
            reader, writer = await put(house, {"version": 1, "fresh": False, "idle_seconds": 1000})
            house.new.take_over()
            assert await reader.read() == b""
            writer.close()

    run(scenario())


def test_who_leaves_the_queue_to_others_lets_go_of_the_listener_when_there_are_none(run):
    async def scenario():
        async with opened() as house:
            house.old.port.stop_accepting()
            house.old.port.drain(hand_over=True)
            assert house.old.listener.fileno() >= 0, "there may be room to make"
            house.old.port.drain(hand_over=False)
            assert house.old.listener.fileno() == -1

    run(scenario())


async def put(house, head, received=b""):
    """Hand a connection over as another release of gracehttp would; returns the client's end."""
    theirs, ours = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        head = head if isinstance(head, bytes) else json.dumps(head).encode()
        socket.send_fds(house.queue._send_end, [head, b"\n", received], [theirs.fileno()])
    assert house.old.permits.take()
    house.old.permits.begin_transfer()
    house.old.permits.end_transfer(-1)
    house.clients.append(await asyncio.open_connection(sock=ours))
    return house.clients[-1]


@pytest.mark.parametrize(
    "head",
    [
        {"version": 1, "fresh": False},
        {"version": 1, "fresh": True},
        {"version": 1, "fresh": False, "of_a_later_release": [1, 2]},
        {"version": 1},
        *[{"version": 1, "idle_seconds": value} for value in (3.5, 1e300, math.inf, math.nan, -5, 10**400, "5", None)],
    ],
    ids=lambda head: json.dumps(head)[:60],
)
def test_messages_of_other_releases_are_understood(run, head):
    async def scenario():
        async with opened() as house:
            client = await put(house, head, GET)
            house.new.take_over()
            assert await answer_on(client[0]) == (b"new", False)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


@pytest.mark.parametrize(
    "head",
    [b'{"version": 2, "fresh": false}', b'{"fresh": false}', b"[1]", b"\xff", b"{"],
    ids=lambda head: ascii(head),
)
def test_what_is_of_no_version_that_we_know_is_closed_without_a_reset_and_told(run, head):
    async def scenario():
        async with opened() as house:
            before = len(os.listdir("/proc/self/fd"))
            reader, writer = await put(house, head)
            house.new.take_over()
            assert await reader.read() == b""
            writer.close()
            house.clients.clear()
            await until(lambda: house.new.published)
            (event,) = house.new.published
            assert isinstance(event, HandoverBroken)
            assert head.decode("ascii", "backslashreplace") in str(event)
            house.assert_permits_are_exact()
            house.new.port.close_handover()
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)

    run(scenario())


@contextlib.contextmanager
def no_free_descriptor():
    """As many files open as the process may have; yields one that may be closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in opened:
            os.close(fd)


def test_a_descriptor_that_finds_no_place_is_told_and_its_permit_is_free(run, monkeypatch):
    """Another thread has been quicker to take the place that was kept (unix(7), MSG_CTRUNC)."""

    async def scenario():
        async with opened() as house:
            reader, writer = await put(house, {"version": 1, "fresh": False})
            house.new.take_over()
            queue, taken = house.new.arrivals._queue, []

            def recv_fds(*arguments):
                with no_free_descriptor():
                    taken.append(socket.socket.recvmsg(queue, 65536, socket.CMSG_LEN(4)))
                    data, _, flags, address = taken[0]
                    return data, [], flags, address

            monkeypatch.setattr(handover.socket, "recv_fds", recv_fds)
            await until(lambda: house.new.published)
            monkeypatch.undo()
            assert taken[0][2] & socket.MSG_CTRUNC
            (event,) = house.new.published
            assert "lost on the way" in str(event)
            assert await reader.read() == b"", "the kernel has closed the only copy"
            writer.close()
            house.clients.clear()
            house.assert_permits_are_exact()

    run(scenario())


def test_a_receiver_without_a_free_descriptor_takes_nothing_and_loses_nothing(run, monkeypatch):
    async def scenario():
        async with opened() as house:
            house.new.take_over()
            client = await house.connect()
            full = [True]
            original = os.open

            def no_room(path, *arguments):
                if path == os.devnull and full[0]:
                    raise OSError(24, "Too many open files")
                return original(path, *arguments)

            monkeypatch.setattr(handover.os, "open", no_room)
            os.close(house.new.arrivals._spare)
            house.new.arrivals._spare = -1
            house.old.port.drain(hand_over=True)
            await until(lambda: house.old.port.quiet and house.new.arrivals._again is not None)
            assert house.new.open == 0
            assert not house.queue.empty
            full[0] = False
            await until(lambda: house.new.open == 1)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_local_permits_change_hands_too():
    sender, receiver = LocalPermits(2), LocalPermits(2)
    sender.take()
    for permits, change in ((sender, -1), (receiver, +1)):
        permits.begin_transfer()
        permits.end_transfer(change)
    assert (sender.held, receiver.held) == (0, 1)
