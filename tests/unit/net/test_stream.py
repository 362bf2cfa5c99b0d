"""The plain stream while it is open: reading, writing, what waits, and going to another process."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from floor import BOTH, Client, Seen, aborted, runner_for, turns, until

from gracehttp.net.file_part import FilePart
from gracehttp.net.kernel_view import is_readable
from gracehttp.net.poller import BRIEF_BYTES, BYTES_PER_LINE, BYTES_PER_TURN, MANY_WAIT, Poller
from gracehttp.net.stream import BURST_BYTES, HIGH_WATER_BYTES, PlainStream
from gracehttp.net.system_calls import READ_BYTES

BIG = bytes(range(256)) * 2048
"""Half a MiB, more than the kernel takes for a client that reads nothing."""


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


@pytest.fixture(params=["asyncio-epoll", "uvloop-epoll"])
def run_epoll(request):
    return runner_for(request.param)


# --- reading ---


def test_what_the_client_sends_is_received_in_order(run):
    async def scenario(floor):
        client, _stream, seen = floor.stream()
        for data in (b"one", b"two", b"three"):
            client.send(data)
            await until(lambda data=data: seen.data.endswith(data))
        assert seen.data == b"onetwothree"

    run(scenario)


def test_a_turn_reads_a_bounded_number_of_bytes(run):
    async def scenario(floor):
        client, _stream, seen = floor.stream()
        await client.send_all(BIG)
        await until(lambda: len(seen.data) == len(BIG))
        assert seen.data == BIG
        assert max(map(len, seen.pieces)) <= READ_BYTES

    run(scenario)


def test_while_reading_is_paused_bytes_and_end_wait_in_the_kernel(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.pause_reading()
        assert not stream.reading
        client.send(b"x")
        client.end()
        await turns()
        assert (seen.data, seen.ends) == (b"", 0)
        stream.resume_reading()
        await until(lambda: seen.ends)
        assert seen.data == b"x"

    run(scenario)


def test_a_consumer_that_pauses_in_the_middle_gets_nothing_more(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        seen.on_received = lambda data: stream.pause_reading()
        await client.send_all(BIG[:300_000])
        await until(lambda: seen.pieces)
        await turns()
        assert len(seen.pieces) == 1
        seen.on_received = lambda data: None
        stream.resume_reading()
        await until(lambda: len(seen.data) == 300_000)

    run(scenario)


def test_another_consumer_takes_over_between_two_reads(run):
    async def scenario(floor):
        client, stream, first = floor.stream()
        client.send(b"one")
        await until(lambda: first.data)
        stream.consumer = second = type(first)()
        client.send(b"two")
        await until(lambda: second.data)
        assert (first.data, second.data) == (b"one", b"two")

    run(scenario)


def test_the_end_of_the_clients_half_is_told_once_and_does_not_spin(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        client.send(b"x")
        client.end()
        await until(lambda: seen.ends)
        await turns(20)
        assert (seen.data, seen.ends, seen.closes) == (b"x", 1, 0)
        assert stream.input_over
        assert not stream.reading

    run(scenario)


def test_a_client_that_has_ended_its_half_still_gets_what_is_written(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        client.end()
        await until(lambda: seen.ends)
        stream.write(b"answer")
        assert await client.take(6) == b"answer"
        stream.resume_reading()
        assert not stream.reading, "there is nothing left to read"
        await turns()
        assert seen.ends == 1

    run(scenario)


def test_read_now_reads_what_is_there_without_the_poller(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(make=floor.unix)
        assert not stream.read_now()
        client.send(b"x")
        assert stream.read_now()
        assert seen.data == b"x"
        client.end()
        assert stream.read_now()
        assert seen.ends == 1
        assert not stream.read_now()

    run(scenario)


def test_read_now_leaves_what_comes_to_a_paused_stream(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(make=floor.unix)
        stream.pause_reading()
        client.send(b"x")
        assert not stream.read_now()
        assert seen.data == b""

    run(scenario)


def test_a_reset_by_the_client_closes_the_stream(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        client.reset()
        await until(lambda: seen.closes)
        await turns()
        assert (seen.closes, seen.ends) == (1, 0)
        assert stream.closed

    run(scenario)


@pytest.mark.parametrize("ended", [False, True], ids=["paused", "after the client's end"])
def test_a_reset_by_the_client_is_noticed_while_nothing_is_read(run_epoll, ended):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        if ended:
            client.end()
            await until(lambda: seen.ends)
        else:
            stream.pause_reading()
        client.reset()
        if ended:
            stream.write(b"x")  # a TCP client that has ended its half sends RST only when something comes
        await until(lambda: seen.closes)
        assert seen.closes == 1

    run_epoll(scenario)


# --- writing ---


@pytest.mark.parametrize("pieces", [False, True], ids=["write", "write_pieces"])
def test_what_the_kernel_takes_is_sent_at_once(run, pieces):
    async def scenario(floor):
        client, stream, seen = floor.stream(make=floor.unix)
        if pieces:
            stream.write_pieces([b"an", b"", b"swer"])
        else:
            stream.write(b"answer")
        assert client.socket.recv(100) == b"answer"
        assert (stream.unsent_bytes, stream.writable, seen.rooms) == (0, True, 0)

    run(scenario)


def test_what_the_kernel_does_not_take_waits_and_its_size_is_known(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        assert 0 < stream.unsent_bytes < len(BIG)
        waiting = stream.unsent_bytes
        stream.write(b"x" * 100)
        assert stream.unsent_bytes == waiting + 100
        assert await client.take(len(BIG) + 100) == BIG + b"x" * 100
        await until(lambda: not stream.unsent_bytes)
        assert seen.rooms == 1

    run(scenario)


def test_pieces_are_sent_in_order_wherever_the_kernel_cuts_them(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream(small=True)
        pieces = [BIG[at : at + 7919] for at in range(0, len(BIG), 7919)]
        stream.write_pieces(pieces[:40])  # some at once, one in part, the rest waits
        stream.write_pieces(pieces[40:80])
        for piece in pieces[80:]:
            stream.write(piece)
        assert await client.take(len(BIG)) == BIG
        await until(lambda: not stream.unsent_bytes)

    run(scenario)


def test_many_small_pieces_go_in_few_calls_and_none_is_lost(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream(small=True)
        stream.write(BIG)
        for number in range(1000):
            stream.write(b"%04d" % number)
        taken = await client.take(len(BIG) + 4000)
        assert taken[len(BIG) :] == b"".join(b"%04d" % number for number in range(1000))

    run(scenario)


def test_an_empty_piece_that_waits_is_no_reason_to_spin(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write_pieces([BIG, b""])
        stream.write(b"")
        assert await client.take(len(BIG)) == BIG
        await until(lambda: seen.rooms)
        assert stream.unsent_bytes == 0

    run(scenario)


def test_a_stream_is_writable_until_much_waits_and_again_when_all_of_it_is_sent(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG[:HIGH_WATER_BYTES])
        assert stream.writable, "part of it is with the kernel"
        stream.write(BIG[HIGH_WATER_BYTES:])
        assert not stream.writable
        taken = 0
        while not seen.rooms:
            taken += len(await client.take(1000))
            assert stream.writable is (not stream.unsent_bytes)
        assert stream.writable
        assert seen.rooms == 1
        stream.write(b"x")
        assert await client.take(len(BIG) - taken + 1)

    run(scenario)


def test_reading_goes_on_while_bytes_wait_to_be_sent(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        client.send(b"x")
        await until(lambda: seen.data)
        assert stream.unsent_bytes
        stream.pause_reading()
        client.send(b"y")
        assert await client.take(len(BIG)) == BIG
        assert seen.data == b"x"

    run(scenario)


def test_a_write_error_is_told_in_the_next_turn_and_not_to_the_writer(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(make=floor.unix)
        client.close()
        stream.write(b"x")
        assert stream.shut
        assert not stream.writable, "so that the writer waits for that turn"
        assert (stream.closed, seen.closes) == (False, 0)
        stream.write(b"y")
        stream.write_pieces([b"z"])
        await until(lambda: seen.closes)
        await turns()
        assert seen.closes == 1

    run(scenario)


def test_an_error_while_the_rest_is_sent_closes_the_stream(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.pause_reading()
        stream.write(BIG)
        client.reset()
        await until(lambda: seen.closes)
        assert (stream.unsent_bytes, stream.closed) == (0, True)

    run(scenario)


def test_what_is_written_to_a_closed_stream_is_dropped(run):
    async def scenario(floor):
        _client, stream, _seen = floor.stream()
        stream.abort()
        stream.write(b"x")
        stream.write_pieces([b"x"])
        stream.pause_reading()
        stream.resume_reading()
        assert not stream.read_now()
        assert (stream.unsent_bytes, stream.reading) == (0, False)

    run(scenario)


# --- going to another process ---


def test_a_stream_that_leaves_can_go_on_from_its_descriptor(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        number = stream.leave()
        client.send(b"for the next one")
        await turns()
        assert seen.data == b"", "what comes now is not ours any more"
        copy = os.dup(number)  # as SCM_RIGHTS does
        stream.detach()
        assert (stream.closed, seen.closes) == (True, 1)
        next_one = type(seen)()
        other = floor.own(socket.socket(fileno=copy))
        goes_on = PlainStream(other, floor.services, next_one, next_one)
        await until(lambda: next_one.data == b"for the next one")
        goes_on.write(b"answer")
        assert await client.take(6) == b"answer"
        assert seen.data == b""
        goes_on.abort()

    run(scenario)


def test_the_client_notices_nothing_of_a_detach(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream()
        with socket.socket(fileno=os.dup(stream.leave())):
            stream.detach()
            await turns()
            with pytest.raises(BlockingIOError):
                client.socket.recv(1)

    run(scenario)


def test_a_stream_that_comes_back_reads_what_came_meanwhile(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.leave()
        client.send(b"x")
        stream.come_back()
        await until(lambda: seen.data == b"x")
        client.end()
        await until(lambda: seen.ends)

    run(scenario)


def test_a_stream_that_comes_back_paused_stays_paused(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.pause_reading()
        stream.leave()
        stream.come_back()
        client.send(b"x")
        await turns()
        assert seen.data == b""
        stream.resume_reading()
        await until(lambda: seen.data == b"x")

    run(scenario)


class FullPoller(Poller):
    """For it, epoll_ctl(2) fails."""

    def __init__(self, error):
        self.error = error

    def add(self, *arguments):
        raise self.error


def test_a_stream_that_the_poller_has_no_memory_for_is_closed_when_it_comes_back(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.leave()
        floor.services.poller = FullPoller(OSError(12, "Cannot allocate memory"))
        stream.come_back()
        assert seen.closes == 1
        assert await client.take_all() == b""

    run(scenario)


def test_a_stream_that_the_poller_can_not_watch_is_none(run):
    async def scenario(floor):
        client, server = floor.tcp()
        floor.services.poller = FullPoller(OSError(28, "No space left on device"))
        with server, pytest.raises(OSError, match="No space left"):
            PlainStream(server, floor.services, None, None)
        assert isinstance(client, Client)

    run(scenario)


# --- a client that leaves while it is not read ---


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_end_of_a_client_that_is_not_read_is_told_once_and_before_what_it_has_sent(run_epoll, kind):
    async def scenario(floor):
        client, stream, seen = floor.stream(make=getattr(floor, kind))
        stream.pause_reading()
        client.send(b"later")
        client.end()
        await until(lambda: seen.unread_ends)
        await turns()
        assert (seen.unread_ends, seen.ends, seen.pieces) == (1, 0, [])
        assert stream.half_closed
        assert not stream.input_over
        stream.resume_reading()
        await until(lambda: seen.ends)
        assert (seen.data, seen.unread_ends) == (b"later", 1)
        stream.pause_reading()
        await turns()
        assert seen.unread_ends == 1

    run_epoll(scenario)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_client_that_is_not_read_and_leaves_for_good_is_lost(run_epoll, kind):
    async def scenario(floor):
        client, stream, seen = floor.stream(make=getattr(floor, kind))
        stream.pause_reading()
        if kind == "tcp":
            client.reset()
        else:
            client.close()
        await until(lambda: seen.closes)
        assert stream.closed

    run_epoll(scenario)


def test_a_stream_that_is_read_is_told_of_the_end_when_it_has_read_all(run):
    async def scenario(floor):
        client, _stream, seen = floor.stream()
        client.send(b"first")
        client.end()
        await until(lambda: seen.ends)
        assert (seen.data, seen.unread_ends) == (b"first", 0)

    run(scenario)


# --- how much of a turn ---


def test_what_is_written_in_one_turn_is_bounded_and_the_rest_follows(run):
    async def scenario(floor):
        data = bytes(range(256)) * 16384
        pairs = [floor.stream() for _ in range(4)]
        floor.poller.credit = 100_000
        for _, stream, _ in pairs:
            stream.write_pieces([data[:1000], data[1000:]])
        assert floor.poller.credit == 0
        assert sum(stream.unsent_bytes for _, stream, _ in pairs) == 4 * len(data) - 100_000
        assert not any(stream.writable for _, stream, _ in pairs)
        for client, _, _ in pairs:
            assert await client.take(len(data)) == data
        await until(lambda: all(seen.rooms == 1 for _, _, seen in pairs))

    run(scenario)


def test_slow_readers_for_whom_the_kernel_has_room_take_a_bounded_part_of_each_turn(run):
    async def scenario(floor):
        data = bytes(4_000_000)
        readers = [floor.stream() for _ in range(24)]
        floor.poller.credit = 0
        for _, stream, _ in readers:
            stream.write(data)
        assert floor.services.sent_bytes == 0
        before, largest, idle = 0, 0, 0
        while idle < 20:  # until the kernel has taken what it takes
            await asyncio.sleep(0)
            sent = floor.services.sent_bytes - before
            before += sent
            largest = max(largest, sent)
            idle = 0 if sent else idle + 1
        assert largest <= 2 * (BYTES_PER_LINE + BURST_BYTES)
        assert all(stream.unsent_bytes < len(data) for _, stream, _ in readers), "each had its turn"
        assert before > 4 * largest, "it took several turns"

    run(scenario)


def test_a_brief_response_does_not_wait_behind_long_ones(run):
    async def scenario(floor):
        readers = [floor.stream() for _ in range(24)]
        client, stream, _seen = floor.stream()
        floor.poller.credit = 0
        for _, reader, _ in readers:
            reader.write(bytes(4_000_000))
        stream.write(b"brief")
        assert stream.unsent_bytes == 5
        await turns(2)
        assert stream.unsent_bytes == 0
        assert sum(reader.unsent_bytes == 4_000_000 for _, reader, _ in readers) > 12
        assert await client.take(5) == b"brief"

    run(scenario)


def write_data(stream, data):
    stream.write(data)


def write_pieces(stream, data):
    stream.write_pieces([data[:1000], data[1000:]])


def write_file(stream, data):
    descriptor = os.memfd_create("part")
    os.pwrite(descriptor, data, 0)
    stream.write_file(FilePart(descriptor, 0, len(data)))


@pytest.mark.parametrize("write", [write_data, write_pieces, write_file])
def test_where_many_wait_with_much_another_one_lines_up_behind_them(run, write):
    """So all that callbacks of the loop write adds nothing to what the line sends in a turn."""

    async def scenario(floor):
        data = bytes(BRIEF_BYTES + 1)
        readers = [floor.stream() for _ in range(MANY_WAIT + 1)]
        (_, first, _), (_, second, _), (client, third, _) = [floor.stream() for _ in range(3)]
        floor.poller.credit = 0
        for _, reader, _ in readers[:-1]:
            reader.write(bytes(1_000_000))
        floor.poller.credit = BYTES_PER_TURN
        write(first, data)
        assert first.unsent_bytes == 0, "not so many wait"
        floor.poller.credit = 0
        readers[-1][1].write(bytes(1_000_000))
        floor.poller.credit = BYTES_PER_TURN
        write(second, data)
        assert second.unsent_bytes == len(data)
        write(third, data[:BRIEF_BYTES])
        assert third.unsent_bytes == 0, "it is brief"
        assert await client.take(BRIEF_BYTES) == data[:BRIEF_BYTES]
        await until(lambda: not second.unsent_bytes)

    run(scenario)


def test_a_stream_that_is_closed_in_the_line_is_passed_over(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        other, later, _ = floor.stream()
        floor.poller.credit = 0
        stream.write(b"never")
        later.write(b"later")
        stream.abort()
        assert await other.take(5) == b"later"
        assert await client.take_all() == b""
        assert seen.closes == 1

    run(scenario)


def test_small_pieces_are_sent_at_once_until_the_turn_is_full(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream()
        floor.poller.credit = 10
        for _ in range(5):
            stream.write(b"1234")
        assert stream.unsent_bytes == 20 - 10
        assert await client.take(20) == b"1234" * 5

    run(scenario)


@pytest.mark.parametrize("others", [0, 2])
def test_a_consumer_that_raises_loses_its_connection_and_no_other_one(run, others):
    async def scenario(floor):
        raised = []
        floor.loop.set_exception_handler(lambda loop, context: raised.append(context["exception"]))
        error = RuntimeError("a fault of ours")

        def fail(_):
            raise error

        client, stream, seen = floor.stream()
        seen.on_received = fail
        beside = [floor.stream() for _ in range(others)]
        for one in (client, *(other[0] for other in beside)):
            one.send(b"x")
        await until(lambda: seen.closes and all(other[2].data for other in beside))
        assert (stream.closed, seen.closes, raised) == (True, 1, [error])
        with pytest.raises(ConnectionResetError):
            await client.take_all()
        assert [other[2].closes for other in beside] == [0] * others

    run(scenario)


@pytest.mark.parametrize("start", ["begin", "read_now"])
def test_a_consumer_that_raises_at_once_loses_its_connection(run, start):
    async def scenario(floor):
        def fail(_):
            raise RuntimeError("a fault of ours")

        client, server = floor.tcp()
        seen = Seen()
        seen.on_received = fail
        client.send(b"x")
        await until(lambda: is_readable(server.fileno()))
        stream = floor.own(aborted(PlainStream(server, floor.services, seen, seen, watched=start != "begin")))
        with pytest.raises(RuntimeError, match="a fault of ours"):
            getattr(stream, start)()
        assert (stream.closed, seen.closes) == (True, 1)

    run(scenario)
