"""Both ends of the handover queue, over a real socketpair, with ports and permits as in two workers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import resource
import socket
import sys

import pytest
from deadlines import DEADLINE_SECONDS
from handover_world import GET, Worker, answer_on, ask, opened
from port_world import until

from gracehttp.events import HandoverBroken, HandoverDelayed, HandoverQueueLost
from gracehttp.http.connection import Terms
from gracehttp.http.http2 import library
from gracehttp.net.permits import LocalPermits
from gracehttp.wire.handover import MESSAGE_BYTES, MOST_CONNECTIONS, MOST_PIPELINED_BYTES, Carried, encode
from gracehttp.worker import arrivals, departures
from gracehttp.worker.port_terms import PortTerms


def test_an_idle_connection_goes_on_in_the_other_worker(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            assert await ask(client) == (b"old", False)
            house.new.take_over()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.new.open == 1 and house.old.port.quiet)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_the_connection_of_an_active_client_goes_with_its_next_request(run, monkeypatch):
    monkeypatch.setattr(departures, "ACTIVE_SECONDS", DEADLINE_SECONDS)
    monkeypatch.setattr(departures, "AWAITED_SECONDS", DEADLINE_SECONDS)

    async def scenario():
        async with opened() as house:
            client = await house.connect()
            assert await ask(client) == (b"old", False)
            house.new.take_over()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            for _ in range(20):
                await asyncio.sleep(0)
            assert (house.old.open, house.new.open) == (1, 0)
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
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
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
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
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
            protocol = connection.protocol
            await until(lambda: len(protocol._unparsed) - protocol._taken > MOST_PIPELINED_BYTES)
            house.new.take_over()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
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
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
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
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.departures._full and house.old.open == house.old.permits.held)
            peers = {one.client for one in house.old.port.connections}
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
def test_what_the_kernel_has_no_room_for_is_served_here_and_tried_again(run, name):
    """No event tells that most of these are over, so time has to."""
    refused = []

    class Queue:
        def __init__(self, queue):
            self.queue = queue

        def sendmsg(self, *arguments):
            if len(refused) < 3:
                refused.append(name)
                raise OSError(getattr(errno, name), name)
            return self.queue.sendmsg(*arguments)

        def __getattr__(self, what):
            return getattr(self.queue, what)

    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.old.departures._queue = Queue(house.old.departures._queue)
            house.new.take_over()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: refused)
            await until(lambda: house.new.open == 1)
            assert await ask(client) == (b"new", False)
            assert len(refused) == 3
            house.assert_permits_are_exact()

    run(scenario())


def test_while_it_holds_it_serves_and_then_it_hands_over(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.old.departures.hold()
            house.new.take_over()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            for _ in range(3):
                assert await ask(client) == (b"old", False)
            assert house.queue.empty
            house.old.departures.resume()
            await until(lambda: house.new.open == 1)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_a_paused_port_hands_over_and_after_the_pause_it_keeps_what_comes_back(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.new.take_over()
            house.old.port.pause(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.new.open == 1 and house.old.open == 0)
            assert await ask(client) == (b"new", False)
            house.old.port.accept()
            house.old.take_over()
            house.new.arrivals.close()
            house.new.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.open == 1 and house.new.open == 0)
            for _ in range(3):
                assert await ask(client) == (b"old", False)
            other = await house.connect()
            assert await ask(other) == (b"old", False), "and new connections are accepted again"
            house.assert_permits_are_exact()

    run(scenario())


def test_after_a_pause_a_connection_that_was_to_go_stays(run):
    async def scenario():
        async with opened() as house:
            house.old.application.waits = True
            reader, writer = await house.connect()
            writer.write(GET)
            await until(lambda: house.old.application.exchanges)
            house.old.port.pause(PortTerms(plain=Terms.HAND_OVER))
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
            house.old.port.pause(PortTerms(plain=Terms.HAND_OVER))
            house.old.departures.withdraw()
            house.old.port.accept()
            house.old.departures.resume()
            for _ in range(10):
                await asyncio.sleep(0)
            assert house.queue.empty
            assert {await ask(client) for client in house.clients} == {(b"old", False)}

    run(scenario())


def test_a_paused_port_without_a_queue_says_that_its_responses_are_the_last_until_it_accepts_again(run):
    async def scenario():
        async with opened() as house:
            one, other = await house.connect(), await house.connect()
            house.old.port.pause(PortTerms())
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
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
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
            house.new.take_over(check_orders=lambda: house.new.arrivals.pause())
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
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
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
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
            house.new.take_over(check_orders=lambda: looks.append(1))
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
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.port.quiet)
            assert house.pool.open_connections([0, 1]) == 0
            assert house.pool.audit([0, 1], lambda: house.queue.empty) is None, "it is on its way: no clear picture"
            house.new.take_over()
            await until(lambda: house.new.open == 1)
            house.assert_permits_are_exact()

    run(scenario())


def test_what_waits_for_room_stays_when_the_port_has_no_next_generation_any_more(run):
    async def scenario():
        async with opened() as house:
            house.queue._send_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            await house.connect(60)
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.departures._full and house.old.open == house.old.permits.held)
            left = house.old.open
            assert left, "some wait for room"
            house.old.port.drain(PortTerms())
            assert house.old.departures._scheduled is None
            house.new.take_over()
            await until(lambda: house.new.open == 60 - left)
            answers = [await ask(client) for client in house.clients]
            assert answers.count((b"old", True)) == left, "they are told with their next response"
            assert answers.count((b"new", False)) == 60 - left

    run(scenario())


def test_a_sealed_queue_is_emptied_by_workers_that_drain_themselves(run):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.port.quiet)
            house.new.take_over()
            house.queue.seal()
            house.new.port.drain(PortTerms())
            assert not house.new.port.quiet, "a connection is on its way"
            await until(lambda: house.new.arrivals.ended)
            assert await ask(client) == (b"new", True)
            assert house.new.published == []

    run(scenario())


def test_an_order_that_is_older_than_a_message_is_seen_first(run):
    async def scenario():
        async with opened() as house:
            await house.connect()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.port.quiet)
            house.new.take_over(check_orders=lambda: house.new.arrivals.close())
            await until(lambda: house.new.arrivals.ended)
            assert house.new.open == 0
            assert not house.queue.empty, "it is left to the next generation"
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
            protocol = connection.protocol
            protocol._wait(protocol._waits, 20.0)  # as after 20 seconds
            since = connection.idle_since
            house.new.take_over()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.new.open == 1)
            (connection,) = house.new.port.connections
            assert connection.idle_since == pytest.approx(since, abs=1)
            house.assert_permits_are_exact()

    run(scenario())


@pytest.mark.parametrize("fresh", [True, False])
def test_a_request_that_came_before_the_timeout_is_answered_although_that_is_over(run, fresh):
    async def scenario():
        async with opened() as house:
            client = await put(house, Carried(fresh=fresh, idle_seconds=1000))
            client[1].write(GET)
            await until(lambda: not client[1].transport.get_write_buffer_size())
            house.new.take_over()
            assert await answer_on(client[0]) == (b"new", False)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_a_client_that_was_silent_for_too_long_over_all_workers_is_closed_politely(run):
    async def scenario():
        async with opened() as house:
            reader, writer = await put(house, Carried(fresh=False, idle_seconds=1000))
            house.new.take_over()
            assert await reader.read() == b""
            writer.close()

    run(scenario())


def test_a_port_that_left_the_queue_to_others_closes_its_listener_when_there_are_none(run):
    async def scenario():
        async with opened() as house:
            house.old.port.stop_accepting()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            assert house.old.listener.fileno() >= 0, "there may be room to make"
            house.old.port.drain(PortTerms())
            assert house.old.listener.fileno() == -1

    run(scenario())


async def put_message(house, message, descriptors=1):
    """Put a message into the queue as another release of gracehttp would; returns the clients' ends."""
    pairs = [socket.socketpair() for _ in range(descriptors)]
    socket.send_fds(house.queue._send_end, [message], [theirs.fileno() for theirs, _ in pairs])
    clients = []
    for theirs, ours in pairs:
        theirs.close()
        ours.setblocking(False)
        assert house.old.permits.take()
        clients.append(await asyncio.open_connection(sock=ours))
    with house.old.permits.transfer() as transfer:
        transfer.sent(descriptors)
    house.clients += clients
    return clients


async def put(house, carried):
    (client,) = await put_message(house, encode([carried]))
    return client


def message_of(*connections, rest=b""):
    """A message whose facts another release has written."""
    return json.dumps({"version": 2, "connections": connections}).encode() + b"\n" + rest


@pytest.mark.parametrize("added", [{}, {"of_a_later_release": [1, 2]}], ids=["as today", "fields added"])
def test_messages_of_other_releases_are_understood(run, added):
    async def scenario():
        async with opened() as house:
            facts = [{"fresh": True, "received": len(GET), **added}, {"received": 0, **added}]
            one, other = await put_message(house, message_of(*facts, rest=GET), 2)
            house.new.take_over()
            assert await answer_on(one[0]) == (b"new", False)
            assert await ask(one) == (b"new", False)
            assert await ask(other) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_http_2_from_another_release_is_ended_where_nothing_was_prepared_for_it(run, monkeypatch):
    """To import it now would read the folder of a release that may be gone."""
    name = "gracehttp.http.http2.protocol"
    monkeypatch.delitem(sys.modules, name, raising=False)

    async def scenario():
        async with opened() as house:
            reader, writer = await put(house, Carried(fresh=False, protocol="h2"))
            house.new.take_over()
            assert await reader.read() == b""
            writer.close()
            house.clients.clear()
            await until(lambda: not house.new.open)
            house.assert_permits_are_exact()

    run(scenario())
    assert name not in sys.modules


def test_http_2_from_another_release_goes_on_where_it_is_spoken(run):
    assert library.available()

    async def scenario():
        async with opened() as house:
            reader, _writer = await put(house, Carried(fresh=False, protocol="h2"))
            house.new.take_over()
            assert (await reader.readexactly(9))[3] == 4, "SETTINGS"

    run(scenario())


UNREADABLE = {
    "the version before": b'{"version": 1, "fresh": false}',
    "a later version": b'{"version": 4, "connections": [{"received": 0}]}',
    "no version": b'{"connections": [{"received": 0}]}',
    "no object": b"[1]",
    "no text": b"\xff",
    "cut": b"{",
    "not whole": b'{"version": 2, "connections": [{"received": 5}]}',
}


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("descriptors", [1, 3])
@pytest.mark.parametrize("head", UNREADABLE.values(), ids=UNREADABLE)
def test_connections_whose_message_can_not_be_read_are_closed_without_a_reset_and_told(run, head, descriptors):
    async def scenario():
        async with opened() as house:
            before = len(os.listdir("/proc/self/fd"))
            for reader, writer in await put_message(house, head + b"\n", descriptors):
                house.new.take_over()
                assert await reader.read() == b""
                writer.close()
            house.clients.clear()
            await until(lambda: house.new.published)
            (event,) = house.new.published
            assert isinstance(event, HandoverBroken)
            assert event.connections == descriptors
            assert head.decode("ascii", "backslashreplace") in str(event)
            house.assert_permits_are_exact()
            house.new.port.close_handover()
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)

    run(scenario())


def test_a_message_that_is_longer_than_any_of_this_release_is_told(run):
    async def scenario():
        async with opened() as house:
            message = message_of({"received": MESSAGE_BYTES}, rest=bytes(MESSAGE_BYTES))
            ((reader, writer),) = await put_message(house, message)
            house.new.take_over()
            assert await reader.read() == b""
            writer.close()
            house.clients.clear()
            await until(lambda: house.new.published)
            assert "too long" in str(house.new.published[0])
            house.assert_permits_are_exact()

    run(scenario())


def test_descriptors_that_no_connection_of_the_message_owns_are_closed_and_their_permits_free(run):
    async def scenario():
        async with opened() as house:
            clients = await put_message(house, message_of({"received": 0}, {"received": 0}), 4)
            house.new.take_over()
            assert await ask(clients[0]) == await ask(clients[1]) == (b"new", False)
            for reader, writer in clients[2:]:
                assert await reader.read() == b""
                writer.close()
            house.clients = clients[:2]
            (event,) = house.new.published
            assert event.connections == 2
            house.assert_permits_are_exact()

    run(scenario())


def test_one_message_carries_many_connections(run, monkeypatch):
    monkeypatch.setattr(departures, "ACTIVE_SECONDS", 0.0)

    async def scenario():
        async with opened() as house:
            house.old.port.take_no_more()  # so one worker takes, and need not share
            await house.connect(40)
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.port.quiet)
            sizes = []
            for _ in range(3):
                message, descriptors, _, _ = socket.recv_fds(house.queue._receive_end, MESSAGE_BYTES, 253)
                sizes.append(len(descriptors))
                socket.send_fds(house.queue._send_end, [message], descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
            assert sizes == [MOST_CONNECTIONS, MOST_CONNECTIONS, 8]
            house.new.take_over()
            await until(lambda: house.new.open == 40)
            assert {await ask(client) for client in house.clients} == {(b"new", False)}
            house.assert_permits_are_exact()

    run(scenario())


def test_one_message_carries_few_connections_that_were_active_just_now(run, monkeypatch):
    monkeypatch.setattr(departures, "ACTIVE_SECONDS", DEADLINE_SECONDS)

    async def scenario():
        async with opened() as house:
            house.old.port.take_no_more()  # so one worker takes, and need not share
            await house.connect(6)
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.port.quiet)
            message, descriptors, _, _ = socket.recv_fds(house.queue._receive_end, MESSAGE_BYTES, 253)
            assert len(descriptors) == departures.MOST_ACTIVE
            socket.send_fds(house.queue._send_end, [message], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            house.new.take_over()
            await until(lambda: house.new.open == 6)
            assert {await ask(client) for client in house.clients} == {(b"new", False)}
            house.assert_permits_are_exact()

    run(scenario())


@pytest.mark.parametrize("connections", [2, 8, 60])
def test_workers_share_what_comes(run, connections):
    async def scenario():
        async with opened() as house:
            other = Worker(house, 2, b"2nd")
            for client in [await house.connect() for _ in range(connections)]:
                await ask(client)
            house.old.port.take_no_more()
            house.new.take_over()
            other.take_over()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.new.open + other.open == connections)
            assert abs(house.new.open - other.open) <= connections // 4
            await other.close()

    run(scenario())


@pytest.mark.parametrize("dies", [False, True])
def test_a_worker_takes_also_the_share_of_one_that_hangs_or_has_died(run, dies):
    async def scenario():
        async with opened() as house:
            for client in [await house.connect() for _ in range(8)]:
                await ask(client)
            hanging = Worker(house, 2, b"2nd")
            house.old.port.take_no_more()
            house.new.take_over()
            if dies:
                house.pool.forget(2)
                house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
                assert house.new.port._listener.shares.share() is None
            else:
                house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
                assert house.new.port._listener.shares.share() == 4
            await until(lambda: house.new.open == 8)
            await hanging.close()

    run(scenario())


def test_no_more_is_sent_than_can_be_taken_soon(run, monkeypatch):
    """A connection in the queue is served by no worker. So the others stay here until the first ones were taken."""
    monkeypatch.setattr(departures, "QUEUED_BYTES", 1)
    monkeypatch.setattr(departures, "ACTIVE_SECONDS", DEADLINE_SECONDS)

    async def scenario():
        async with opened() as house:
            house.old.port.take_no_more()  # so one worker takes, and need not share
            await house.connect(12)
            looks = []
            crowded = departures.Departures._is_crowded
            monkeypatch.setattr(
                departures.Departures, "_is_crowded", lambda self: looks.append(crowded(self)) or looks[-1]
            )
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: looks.count(True) > 3)
            assert house.old.open == 12 - departures.MOST_ACTIVE
            house.new.take_over()
            await until(lambda: house.new.open == 12)
            assert {await ask(client) for client in house.clients} == {(b"new", False)}
            house.assert_permits_are_exact()

    run(scenario())


def test_before_they_would_be_closed_here_all_of_them_are_left_in_the_queue(run, monkeypatch):
    monkeypatch.setattr(departures, "QUEUED_BYTES", 1)
    monkeypatch.setattr(departures, "ACTIVE_SECONDS", DEADLINE_SECONDS)

    async def scenario():
        async with opened() as house:
            house.old.port.take_no_more()
            await house.connect(12)
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.open == 12 - departures.MOST_ACTIVE)
            house.old.port.hurry_handover()
            assert house.old.port.quiet
            house.new.take_over()
            await until(lambda: house.new.open == 12)
            assert {await ask(client) for client in house.clients} == {(b"new", False)}
            house.assert_permits_are_exact()

    run(scenario())


def test_a_busy_connection_among_them_holds_up_no_other_one(run):
    async def scenario():
        async with opened() as house:
            house.old.application.waits = True
            clients = [await house.connect() for _ in range(5)]
            clients[2][1].write(GET)
            await until(lambda: house.old.application.exchanges)
            house.new.take_over()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.new.open == 4)
            house.old.application.answer()
            assert await answer_on(clients[2][0]) == (b"old", False)
            assert await ask(clients[2]) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


def test_pipelined_requests_that_are_too_much_for_one_message_go_in_the_next(run):
    async def scenario():
        async with opened() as house:
            house.old.application.waits = True
            requests = MOST_PIPELINED_BYTES // len(GET) // 2  # of three connections: too much together, not alone
            clients = [await house.connect() for _ in range(3)]
            for _, writer in clients:
                writer.write(GET * requests)
            protocols = [connection.protocol for connection in house.old.port.connections]
            await until(lambda: all(len(one._unparsed) - one._taken == (requests - 1) * len(GET) for one in protocols))
            house.old.departures.hold()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            for _ in clients:
                house.old.application.answer()
            await until(lambda: len(house.old.departures._waiting) == 3)
            house.new.take_over()
            house.old.departures.resume()
            names = [[(await answer_on(reader))[0] for _ in range(requests)] for reader, _ in clients]
            assert all(one == sorted(one, reverse=True) and one[-1] == b"new" for one in names)
            house.assert_permits_are_exact()

    run(scenario())


@contextlib.contextmanager
def no_free_descriptor(places=0):
    """As many files open as the process may have, but for `places`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(places):
            os.close(opened.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in opened:
            os.close(fd)


class FullTable:
    """The handover queue of a process whose table of descriptors is full when it receives: another thread has been
    quicker to take the places that were kept (unix(7), MSG_CTRUNC)."""

    def __init__(self, queue, places):
        self.queue = queue
        self.places = places
        self.flags = 0

    def recvmsg_into(self, *arguments):
        with no_free_descriptor(self.places):
            received = self.queue.recvmsg_into(*arguments)
        self.flags = received[2]
        return received

    def __getattr__(self, name):
        return getattr(self.queue, name)


@pytest.mark.parametrize("places", [0, 1, 3])
def test_descriptors_that_find_no_place_are_told_and_their_permits_are_free(run, places):
    async def scenario():
        async with opened() as house:
            carried = [Carried(fresh=False, received=GET) for _ in range(5)]
            clients = await put_message(house, encode(carried), 5)
            house.new.take_over()
            house.new.arrivals._queue = full = FullTable(house.new.arrivals._queue, places)
            await until(lambda: house.new.published)
            house.new.arrivals._queue = full.queue
            assert full.flags & socket.MSG_CTRUNC
            (event,) = house.new.published
            assert "lost on the way" in str(event)
            assert event.connections == 5 - places
            for reader, _ in clients[:places]:
                assert await answer_on(reader) == (b"new", False), "with the bytes that are its own"
            for reader, writer in clients[places:]:
                assert await reader.read() == b"", "the kernel has closed the only copy"
                writer.close()
            house.clients = clients[:places]
            house.assert_permits_are_exact()

    run(scenario())


def test_a_receiver_keeps_as_many_places_as_a_message_needs(run):
    async def scenario():
        async with opened() as house:
            await house.connect(MOST_CONNECTIONS)
            house.new.take_over()
            assert len(house.new.arrivals._kept_places) == MOST_CONNECTIONS
            with no_free_descriptor():
                house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
                await until(lambda: house.new.open == MOST_CONNECTIONS)
            assert house.new.published == []
            assert {await ask(client) for client in house.clients} == {(b"new", False)}
            house.assert_permits_are_exact()

    run(scenario())


def test_a_receiver_without_places_takes_nothing_and_loses_nothing(run, monkeypatch):
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

            monkeypatch.setattr(arrivals.os, "open", no_room)
            house.new.arrivals._free_places()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.old.port.quiet and house.new.arrivals._again is not None)
            assert house.new.open == 0
            assert not house.queue.empty
            full[0] = False
            await until(lambda: house.new.open == 1)
            assert await ask(client) == (b"new", False)
            house.assert_permits_are_exact()

    run(scenario())


class Unreadable:
    """A handover queue whose next receives fail."""

    def __init__(self, queue, *names):
        self.queue = queue
        self.names = list(names)

    def recvmsg_into(self, *arguments):
        if self.names:
            name = self.names.pop(0)
            raise OSError(getattr(errno, name), name)
        return self.queue.recvmsg_into(*arguments)

    def __getattr__(self, what):
        return getattr(self.queue, what)


@pytest.mark.parametrize("name", [*PASSING[1:], "EINTR"])
def test_a_shortage_delays_what_is_received_and_is_told_once(run, name):
    async def scenario():
        async with opened() as house:
            client = await house.connect()
            house.new.take_over()
            house.new.arrivals._queue = Unreadable(house.new.arrivals._queue, name, name, name)
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.new.open == 1)
            assert await ask(client) == (b"new", False)
            assert [type(event) for event in house.new.published] == [HandoverDelayed]
            assert not house.new.arrivals.ended
            house.assert_permits_are_exact()

    run(scenario())


def test_a_queue_that_broke_is_left_to_others_and_nothing_is_called_lost(run):
    async def scenario():
        async with opened() as house:
            house.new.take_over()
            house.new.arrivals._queue = Unreadable(house.new.arrivals._queue, "EBADF")
            await house.connect()
            house.old.port.drain(PortTerms(plain=Terms.HAND_OVER))
            await until(lambda: house.new.arrivals.ended)
            assert [type(event) for event in house.new.published] == [HandoverQueueLost]
            assert not house.queue.empty
            house.new.arrivals._queue = house.new.arrivals._queue.queue
            house.new.port._arrivals = None
            house.new.take_over()  # as another worker does
            await until(lambda: house.new.open == 1)
            house.assert_permits_are_exact()

    run(scenario())


def test_local_permits_change_hands_too():
    sender, receiver = LocalPermits(2), LocalPermits(2)
    sender.take()
    with sender.transfer() as transfer:
        transfer.sent()
    with receiver.transfer() as transfer:
        transfer.received()
    assert (sender.held, receiver.held) == (0, 1)
