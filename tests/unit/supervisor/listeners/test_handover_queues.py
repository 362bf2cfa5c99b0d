"""The queues of all listeners, as the supervisor keeps them."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from gracehttp.errors import StartError
from gracehttp.events import HandoverBroken
from gracehttp.supervisor.listeners.queues import HandoverQueues, QueueRecord
from gracehttp.values import Descriptor


@pytest.fixture
def queues():
    kept = HandoverQueues()
    yield kept
    kept.keep(())


def put_somebody_into(queue):
    with socket.socket() as sock:
        socket.send_fds(queue._send_end, [b"{}\n"], [sock.fileno()])


@pytest.fixture
def no_queues(monkeypatch):
    """Make the system refuse new queues, with the error that the test gives."""

    def refuse_with(number):
        def refuse(*_arguments):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(socket, "socketpair", refuse)

    return refuse_with


def test_where_the_system_has_no_such_queues_there_are_none(queues, no_queues):
    no_queues(errno.EPROTONOSUPPORT)
    assert queues.of(1, 7) is None


def test_a_shortage_is_a_failed_start_and_not_a_generation_without_a_queue(queues, no_queues):
    no_queues(errno.EMFILE)
    with pytest.raises(StartError, match="no queue can be made to hand connections over: Too many open files"):
        queues.of(1, 7)


def test_all_generations_that_have_a_listener_have_its_queue(queues):
    assert queues.of(1, 7) is queues.of(1, 7)
    assert queues.of(1, 7) is not queues.of(2, 7)


def test_who_is_on_the_way_to_one_listener_is_not_on_the_way_to_another(queues):
    put_somebody_into(queues.of(1, 7))
    queues.of(2, 7)
    assert not queues.empty(1)
    assert queues.empty(2)
    assert queues.empty(3), "nobody ever asked for it"


def test_nobody_gets_into_the_queue_of_a_listener_that_is_left_out(queues):
    one, two = queues.of(1, 7), queues.of(2, 7)
    queues.seal([1, 3])
    with pytest.raises(BrokenPipeError):
        put_somebody_into(one)
    put_somebody_into(two)


def test_a_listener_that_comes_back_gets_another_queue_and_the_sealed_one_still_counts(queues):
    sealed = queues.of(1, 7)
    put_somebody_into(sealed)
    queues.seal([1])
    assert not (again := queues.of(1, 7)).sealed
    assert again.empty
    assert not queues.empty(1)
    sealed._receive_end.recv(100)
    assert queues.empty(1)


def test_with_its_listener_a_queue_is_closed_and_who_is_in_it_is_told(queues):
    put_somebody_into(queues.of(1, 7))
    queues.of(2, 7)
    assert len(queues.keep({2})) == 1
    assert queues.keep(()) == []


def test_the_next_image_knows_which_queues_are_sealed(queues):
    put_somebody_into(queues.of(1, 7))
    queues.seal([1])
    queues.of(1, 7)
    copied = {
        number: [
            QueueRecord(
                send_end=Descriptor(os.dup(one.send_end)),
                receive_end=Descriptor(os.dup(one.receive_end)),
                sealed=one.sealed,
            )
            for one in records
        ]
        for number, records in queues.carry().items()
    }
    after = HandoverQueues(copied)
    assert [one.sealed for one in after._queues[1]] == [True, False]
    assert len(after.keep(())) == 1


def test_a_sealed_queue_goes_with_the_last_generation_that_had_it_and_who_is_in_it_is_told(queues):
    sealed = queues.of(1, 7)
    queues.of(1, 8)
    put_somebody_into(sealed)
    queues.seal([1])
    alive = queues.of(1, 9)
    assert queues.live() == (alive.identity,)
    assert queues.forget(7) == []
    assert [type(event) for event in queues.forget(8)] == [HandoverBroken]
    assert queues.empty(1)
    assert queues.forget(9) == []
    assert queues.of(1, 10) is alive


def test_no_queue_is_ever_taken_for_an_older_one(queues):
    first = queues.of(1, 7).identity
    queues.seal([1])
    second = queues.of(1, 8).identity
    assert second > first
    assert second in [one.identity for one in queues.carry()[1]]


def test_all_who_are_left_in_a_queue_are_counted(queues):
    queue = queues.of(1, 7)
    for _ in range(3):
        put_somebody_into(queue)
    assert [event.connections for event in queues.keep(())] == [3]
