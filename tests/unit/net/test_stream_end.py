"""How a plain stream ends: politely, lingering, late, at once, or with a reset."""

from __future__ import annotations

import asyncio
import contextlib
import os

import pytest
from deadlines import DEADLINE_SECONDS
from floor import BOTH, LOOPS, STALL_SECONDS, Seen, opened, runner_for, turns, until
from garbage import garbage_of_ours

from gracehttp.net.ending import LINGER_SECONDS, LONGEST_LINGER_SECONDS
from gracehttp.net.poller import READABLE
from gracehttp.net.stream import HIGH_WATER_BYTES

BIG = bytes(range(256)) * 2048


@pytest.fixture(params=BOTH)
def run(request):
    return runner_for(request.param)


@pytest.fixture(params=["asyncio-epoll", "uvloop-epoll"])
def run_epoll(request):
    return runner_for(request.param)


def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


# --- at once ---


@pytest.mark.parametrize("how", ["abort", "reset", "close"])
def test_the_descriptor_is_free_in_the_moment_in_which_the_end_is_told(run, how):
    async def scenario(floor):
        _client, stream, seen = floor.stream()
        number = stream._socket.fileno()
        open_then = []
        seen.on_closed = lambda: open_then.append(is_open(number))
        if how == "close":
            stream.close(linger=False)
        else:
            getattr(stream, how)()
        assert open_then == [False]
        assert (stream.closed, stream.shut, stream.reading) == (True, True, False)
        for again in (stream.abort, stream.reset, lambda: stream.close(linger=True)):
            again()
        await turns()
        assert seen.closes == 1

    run(scenario)


def test_an_abort_is_an_orderly_end_for_the_client(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream()
        stream.write(b"part")
        stream.abort()
        assert await client.take_all() == b"part"

    run(scenario)


def test_a_reset_is_a_reset_for_the_client(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream()
        stream.reset()
        with pytest.raises(ConnectionResetError):
            await client.take_all()

    run(scenario)


def test_an_abort_loses_what_was_not_sent_and_what_is_with_the_kernel_arrives(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream(small=True)
        stream.write(BIG)
        with_the_kernel = len(BIG) - stream.unsent_bytes
        stream.abort()
        assert stream.unsent_bytes == 0
        assert await client.take_all() == BIG[:with_the_kernel]

    run(scenario)


def test_the_owner_may_be_told_within_a_call_of_its_own_consumer(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        seen.on_received = lambda data: stream.abort()
        client.send(b"x")
        await until(lambda: seen.closes)
        await turns()
        assert (seen.data, seen.ends) == (b"x", 0)

    run(scenario)


# --- politely ---


def test_without_linger_the_descriptor_is_free_at_once_when_all_is_with_the_kernel(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.write(b"answer")
        stream.close(linger=False)
        assert seen.closes == 1
        assert await client.take_all() == b"answer"

    run(scenario)


@pytest.mark.parametrize("linger", [False, True])
def test_what_was_written_is_sent_before_the_end(run, linger):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        stream.close(linger=linger)
        assert stream.shut
        assert not seen.closes
        stream.write(b"too late")
        assert await client.take_all() == BIG
        client.close()
        await until(lambda: seen.closes)
        assert (seen.rooms, seen.ends) == (0, 0), "the consumer hears nothing any more"

    run(scenario)


def test_lingering_shuts_our_half_and_discards_until_the_client_shuts_its_own(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.write(b"answer")
        stream.close(linger=True)
        assert await client.take_all() == b"answer"
        for _ in range(3):
            client.send(b"the rest of an upload")
            await turns()
        assert not seen.closes
        client.end()
        await until(lambda: seen.closes)
        assert (seen.data, seen.ends) == (b"", 0)

    run(scenario)


def test_lingering_destroys_no_response_of_a_client_that_still_sends(run):
    """A close would make the kernel answer with RST, which destroys what the client has not read yet."""

    async def scenario(floor):
        client, stream, seen = floor.stream()
        await client.send_all(BIG)  # of which hardly anything is read
        stream.write(b"too large")
        stream.close(linger=True)
        await client.send_all(BIG)
        assert await client.take_all() == b"too large"
        client.end()
        await until(lambda: seen.closes)

    run(scenario)


def test_lingering_reads_on_although_reading_was_paused(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.pause_reading()
        stream.close(linger=True)
        client.end()
        await until(lambda: seen.closes)

    run(scenario)


def test_a_client_that_has_ended_its_half_already_is_not_lingered_for(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        client.end()
        await until(lambda: seen.ends)
        stream.close(linger=True)
        assert seen.closes == 1

    run(scenario)


def test_a_client_that_ends_its_half_while_the_rest_is_sent_still_gets_it(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        stream.close(linger=True)
        client.end()
        await until(lambda: stream.input_over)
        assert not seen.closes
        assert await client.take_all() == BIG
        await until(lambda: seen.closes)

    run(scenario)


def test_a_client_that_resets_ends_the_lingering(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        stream.close(linger=True)
        client.reset()
        await until(lambda: seen.closes)

    run(scenario)


# --- patience ---


def test_a_silent_client_is_lingered_for_a_moment(run):
    async def scenario(floor):
        _client, stream, seen = floor.stream()
        stream.close(linger=True)
        floor.clock.pass_time(LINGER_SECONDS - 0.1)
        assert not seen.closes
        floor.clock.pass_time(0.2)
        assert seen.closes == 1

    run(scenario)


def test_a_client_that_sends_is_lingered_for_longer_but_not_without_end(run):
    async def scenario(floor):
        client, stream, seen = floor.stream()
        stream.close(linger=True)
        began = floor.clock.now
        while not seen.closes:
            floor.clock.pass_time(LINGER_SECONDS - 0.1)
            if not seen.closes:
                client.send(b"x")
                await turns()
        assert floor.clock.now - began == pytest.approx(LONGEST_LINGER_SECONDS, abs=LINGER_SECONDS)

    run(scenario)


def test_a_client_that_takes_nothing_is_waited_for_as_long_as_it_may_stall(run):
    async def scenario(floor):
        _client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        assert not stream.writable
        floor.clock.pass_time(STALL_SECONDS - 0.1)
        assert not seen.closes
        floor.clock.pass_time(0.2)
        assert seen.closes == 1

    run(scenario)


def test_less_than_the_high_water_mark_sets_no_deadline(run):
    async def scenario(floor):
        _client, stream, seen = floor.stream(small=True)
        stream.write(BIG[:HIGH_WATER_BYTES])
        assert stream.unsent_bytes
        floor.clock.pass_time(STALL_SECONDS * 3)
        assert not seen.closes

    run(scenario)


def test_a_client_that_takes_slowly_is_never_given_up(run):
    """Not even when the kernel takes nothing more from us meanwhile: that the client acknowledges is enough."""

    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        for _ in range(20):
            await client.take(20_000)
            await turns()
            floor.clock.pass_time(STALL_SECONDS)
            assert not seen.closes
        floor.clock.pass_time(STALL_SECONDS)
        floor.clock.pass_time(STALL_SECONDS)
        assert seen.closes == 1

    run(scenario)


def test_all_is_taken_so_the_deadline_is_gone(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        await client.take(len(BIG))
        await until(lambda: stream.writable)
        floor.clock.pass_time(STALL_SECONDS * 3)
        assert not seen.closes
        assert len(floor.services.stall) == 0

    run(scenario)


@pytest.mark.parametrize("linger", [False, True])
def test_a_client_that_takes_nothing_of_the_last_response_is_given_up_too(run, linger):
    async def scenario(floor):
        _client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        stream.close(linger=linger)
        floor.clock.pass_time(STALL_SECONDS - LINGER_SECONDS)
        assert not seen.closes
        floor.clock.pass_time(2 * LINGER_SECONDS)
        assert seen.closes == 1

    run(scenario)


def test_a_client_that_takes_the_last_response_slowly_gets_it(run):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        stream.close(linger=True)
        taken = 0
        while taken < len(BIG) - 60_000:
            taken += len(await client.take(50_000))
            await turns()
            floor.clock.pass_time(STALL_SECONDS - LINGER_SECONDS)
            assert not seen.closes
        assert len(await client.take_all()) + taken == len(BIG)

    run(scenario)


def test_a_client_that_takes_the_last_response_slowly_and_sends_gets_it(run):
    """The time for what it still sends begins when all was sent."""

    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        stream.close(linger=True)
        taken = 0
        while taken < len(BIG) - 60_000:
            taken += len(await client.take(50_000))
            client.send(b"x")
            await turns()
            floor.clock.pass_time(LONGEST_LINGER_SECONDS / 3)
            assert not seen.closes
        assert len(await client.take_all()) + taken == len(BIG)

    run(scenario)


@pytest.mark.parametrize("linger", [True, False])
def test_a_client_that_sends_and_takes_nothing_of_the_last_response_is_given_up(run, linger):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        stream.close(linger=linger)
        for _ in range(int(STALL_SECONDS + 3 * LINGER_SECONDS)):
            if not seen.closes:
                client.send(b"x")
                await turns()
                floor.clock.pass_time(1)
        assert seen.closes == 1

    run(scenario)


def test_a_stall_that_is_shorter_than_the_lingering_is_kept_too(run):
    async def scenario(floor):
        floor.services.stall.seconds = 0.5
        _client, stream, seen = floor.stream(small=True)
        stream.write(BIG)
        stream.close(linger=True)
        floor.clock.pass_time(0.4)
        assert not seen.closes
        floor.clock.pass_time(0.7)
        assert seen.closes == 1

    run(scenario)


# --- what is left ---


@pytest.mark.parametrize("how", ["abort", "close", "linger"])
def test_a_copy_of_the_descriptor_in_another_process_does_not_keep_the_client_waiting(run, how):
    """As a process has that the application has forked."""

    async def scenario(floor):
        client, stream, _seen = floor.stream()
        floor.own(stream._socket.dup())
        stream.write(b"answer")
        if how == "abort":
            stream.abort()
        else:
            stream.close(linger=how == "linger")
        assert await client.take_all() == b"answer"

    run(scenario)


@contextlib.contextmanager
def child():
    """A process that this one forks, and that executes nothing."""
    leave, stay = os.pipe()
    number = os.fork()
    if not number:
        os.close(stay)
        os.read(leave, 1)
        os._exit(0)
    os.close(leave)
    try:
        yield
    finally:
        os.close(stay)
        os.waitpid(number, 0)


def test_a_reset_reaches_the_client_although_the_application_has_forked(run):
    async def scenario(floor):
        client, stream, _seen = floor.stream()
        other, kept, seen = floor.stream()
        with child():
            stream.write(b"part")
            stream.reset()
            with pytest.raises(ConnectionResetError):
                await client.take_all()
            kept.write(b"answer")
            assert await other.take(6) == b"answer"
            other.send(b"more")
            await until(lambda: seen.data == b"more")

    run(scenario)


def test_a_killed_worker_ends_its_connections_although_the_application_has_forked(run):
    """A copy of the descriptor stands for the worker: only the kernel closes it."""

    async def scenario(floor):
        client, server = floor.tcp()
        floor.poller.add(server.fileno(), Seen(), READABLE)
        with child():
            floor.poller.remove(server.fileno())
            server.close()
            assert await client.take_all() == b""

    run(scenario)


@pytest.mark.parametrize("how", ["abort", "reset", "close", "by the client", "lingering", "stalled"])
@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_is_left_to_the_garbage_collector(loop, how):
    async def scenario():
        async with opened() as floor:
            client, stream, seen = floor.stream(small=True)
            match how:
                case "close":
                    stream.close(linger=False)
                case "by the client":
                    client.reset()
                    await until(lambda: seen.closes)
                case "lingering":
                    stream.close(linger=True)
                    client.end()
                    await until(lambda: seen.closes)
                case "stalled":
                    stream.write(BIG)
                    stream.close(linger=True)
                    floor.clock.pass_time(2 * STALL_SECONDS)
                case _:
                    getattr(stream, how)()
            assert seen.closes == 1
            assert not len(floor.services.stall)
            assert not len(floor.services.linger)

    with garbage_of_ours() as found, asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
    assert found == []


@pytest.mark.parametrize("linger", [False, True])
def test_what_comes_is_discarded_while_something_waits_also_if_reading_was_paused(run, linger):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        stream.pause_reading()
        stream.write(BIG)
        stream.close(linger=linger)
        stream.pause_reading()
        client.send(b"x")
        before = floor.services.received_bytes
        await until(lambda: floor.services.received_bytes > before)
        assert (seen.data, stream.closed) == (b"", False)

    run(scenario)


@pytest.mark.parametrize("pause", ["before", "after"])
def test_what_a_client_sends_while_it_takes_the_rest_resets_nothing(run, pause):
    async def scenario(floor):
        client, stream, seen = floor.stream(small=True)
        if pause == "before":
            stream.pause_reading()
        stream.write(BIG)
        stream.close(linger=True)
        if pause == "after":
            stream.pause_reading()
        taken = b""
        while len(taken) < len(BIG):
            client.send(b"x")
            taken += await client.take(min(65536, len(BIG) - len(taken)))
        assert await client.take_all() == b""
        assert taken == BIG
        client.end()
        await until(lambda: stream.closed)
        assert seen.data == b""

    run(scenario)
