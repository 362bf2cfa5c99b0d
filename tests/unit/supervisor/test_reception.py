"""What a worker that says hello is told."""

from __future__ import annotations

import errno
import os
import socket
from types import SimpleNamespace

import pytest

from gracehttp.supervisor.listeners.queues import HandoverQueues
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.reception import receive_worker
from gracehttp.values import descriptors_in
from gracehttp.wire.messages import (
    VERSIONS,
    FleetSettings,
    Hello,
    ListenRequest,
    Refuse,
    TakeListener,
    Welcome,
)

REQUESTS = tuple(ListenRequest(f"127.0.0.{number}:0", backlog=5, max_connections=7) for number in (1, 2))
HELLO = Hello(VERSIONS, FleetSettings(), REQUESTS)


class Reception:
    def __init__(self):
        self.told = []
        self.listeners = ListenerTable(descriptors=1000, publish=lambda event: None)
        self.queues = HandoverQueues()
        self.crew = SimpleNamespace(tell=lambda worker, order: self.told.append(order))

    def receive(self, hello):
        worker, generation = SimpleNamespace(number=5, slot=0), SimpleNamespace(number=1, wanted=2)
        with open(os.devnull, "wb") as stderr:
            receive_worker(worker, hello, generation, self.listeners, self.queues, self.crew, stderr.fileno())

    def close(self):
        self.queues.keep(())
        self.listeners.close_all()


@pytest.fixture
def reception():
    one = Reception()
    yield one
    one.close()


def test_a_worker_gets_each_listener_with_its_descriptors_and_then_a_welcome(reception):
    reception.receive(HELLO)
    assert [type(order) for order in reception.told] == [TakeListener, TakeListener, Welcome]
    fds = [len(list(descriptors_in(order))) for order in reception.told]
    assert fds == [6, 6, 1], "socket, three of the permits, two of the queue; stderr"


def test_a_worker_of_another_protocol_is_refused(reception):
    reception.receive(Hello((99,), FleetSettings(), REQUESTS))
    (order,) = reception.told
    assert isinstance(order, Refuse)
    assert "speaks only version" in order.message


def test_a_shortage_refuses_the_worker_before_it_is_told_of_any_listener(reception, monkeypatch):
    pairs = iter([socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)])

    def only_one(*_arguments):
        try:
            return next(pairs)
        except StopIteration:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from None

    monkeypatch.setattr(socket, "socketpair", only_one)
    reception.receive(HELLO)
    (order,) = reception.told
    assert isinstance(order, Refuse)
    assert "Too many open files" in order.message
