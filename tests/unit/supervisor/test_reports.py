"""What comes of the reports of workers: orders, inputs of the fleet, and events."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from types import SimpleNamespace

import pytest

from gracehttp import events
from gracehttp.events.bus import EventBus
from gracehttp.supervisor import fleet as package
from gracehttp.supervisor.fleet import GenerationState
from gracehttp.supervisor.listeners.ports import Ports
from gracehttp.supervisor.listeners.queues import HandoverQueues
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.metrics.pages import WorkerPages
from gracehttp.supervisor.reception import Reception
from gracehttp.supervisor.reports import Reports
from gracehttp.values import Descriptor, descriptors_in
from gracehttp.wire import messages
from gracehttp.wire.messages import (
    VERSIONS,
    FixedOptions,
    FleetSettings,
    Hello,
    ListenRequest,
    Refuse,
    TakeListener,
    Welcome,
)

REQUESTS = tuple(ListenRequest(f"127.0.0.{number}:0", backlog=5, max_connections=7) for number in (1, 2))
HELLO = Hello(VERSIONS, FleetSettings(), REQUESTS)


class WithoutProcesses:
    """A supervisor without processes: what workers report, and what comes of it."""

    def __init__(self):
        self.told, self.inputs, self.events, self.codes = [], [], [], []
        self.listeners = ListenerTable(descriptors=1000, publish=lambda event: None)
        self.queues = HandoverQueues()
        self.workers = SimpleNamespace(
            send=lambda worker, order: self.told.append(order),
            starter=SimpleNamespace(
                codes=SimpleNamespace(keep=lambda generation, record: self.codes.append((generation, record)))
            ),
            slots=lambda: [],
            none_accepts=False,
        )
        self.certificates = SimpleNamespace(introduced=lambda *_: None, gone=lambda *_: None)
        self.stopping, self.serving = False, None
        self.pages = WorkerPages(self.listeners.name_of)
        self.stopping, self.ending, self.serving, self.coming = False, False, None, None
        self.generation = SimpleNamespace(number=1, wanted=2, state=GenerationState.STARTING)
        self.worker = SimpleNamespace(
            number=5, generation=1, slot=0, pid=4, started_at=0.0, doing="", stopped_accepting=False, introduced=False
        )
        self.worker.early_stderr = SimpleNamespace(release=lambda: "", forget=lambda: None)

    def generation_of(self, worker):
        return self.generation

    def reports(self, stderr=2):
        bus = EventBus()
        bus.subscribe(self.events.append)
        self.workers.stderr = stderr
        ports = Ports(self.listeners, self.queues, self.workers.slots, bus.publish)
        reception = Reception(
            self,
            self.workers,
            ports,
            self.certificates,
            self.pages,
            publish=bus.publish,
            fixed_options=lambda: FixedOptions("/kept.pid"),
        )
        return Reports(
            self,
            self.workers,
            ports,
            self.certificates,
            bus,
            apply=self.inputs.append,
            welcome=reception.welcome,
        )

    def receive(self, *received):
        async def run():
            with open(os.devnull, "wb") as stderr:
                reports = self.reports(stderr.fileno())
                for message in received:
                    reports.receive(self.worker, message)

        asyncio.run(run())

    def close(self):
        self.pages.close()
        self.queues.keep(())
        self.listeners.close_all()


@pytest.fixture
def reception():
    one = WithoutProcesses()
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
    assert "speaks version 2 of the channel to its workers, and the worker" in order.message
    assert "restart --supervisor" in order.hint


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


def test_a_worker_that_can_not_be_answered_is_told_so_instead_of_waiting(reception, monkeypatch):
    def fails(_fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "isatty", fails)
    reception.receive(HELLO)
    assert isinstance(reception.told[-1], Refuse)
    assert "Input/output error" in reception.told[-1].message


def test_a_worker_is_refused_when_the_supervisor_has_a_fault(reception, monkeypatch):
    def fail(*_arguments):
        raise ModuleNotFoundError("No module named 'ctypes'")

    monkeypatch.setattr(reception.certificates, "introduced", fail)
    with pytest.raises(ModuleNotFoundError):
        reception.receive(HELLO)
    order = reception.told[-1]
    assert isinstance(order, Refuse)
    assert order.message == (
        "the supervisor failed to welcome this worker (ModuleNotFoundError: No module named 'ctypes')."
    )


def test_where_a_port_is_is_asked_of_the_kernel_once(reception, monkeypatch):
    reception.receive(HELLO)

    def fails(_sock):
        raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    monkeypatch.setattr(socket.socket, "getsockname", fails)
    assert all(listener.bound.startswith("127.0.0.") for listener in reception.listeners)


@pytest.mark.parametrize(
    ("message", "happened"),
    [
        (messages.Ready(), package.WorkerReady(5)),
        (messages.StoppedAccepting(), package.WorkerStoppedAccepting(5)),
        (messages.Paused(), package.WorkerStoppedAccepting(5)),
        (messages.Alive(), package.WorkerAlive(5)),
        (messages.Answered(40, 3), package.WorkerAnswered(5, 40, 3)),
        (messages.DueForRecycling("it is old"), package.WorkerDueForRecycling(5)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_fleet_is_told_what_a_worker_reports(reception, message, happened):
    reception.receive(message)
    assert reception.inputs == [happened]


def test_what_a_worker_begins_and_why_it_fails_is_kept_with_its_process(reception):
    failed = messages.Failed("no luck", "", "")
    reception.receive(messages.StageBegan("importing main:app"), failed, messages.CodeRecorded(Descriptor(9)))
    assert (reception.worker.stage, reception.worker.failure) == ("importing main:app", failed)
    assert reception.codes == [(1, 9)]
    assert reception.inputs == []


def test_the_listeners_are_closed_at_a_stop_when_the_last_worker_has_stopped_accepting(reception):
    (listener,) = reception.listeners.provide(REQUESTS[:1], 1)
    reception.receive(messages.StoppedAccepting())
    assert listener.open
    reception.stopping = reception.ending = reception.workers.none_accepts = True
    reception.receive(messages.StoppedAccepting())
    assert not listener.open


@pytest.mark.parametrize(("serving", "ignored"), [(None, []), ("a generation", ["pidfile"])])
def test_an_option_that_new_code_can_not_change_is_told_except_at_the_first_start(reception, serving, ignored):
    reception.serving = serving
    reception.receive(Hello(VERSIONS, FleetSettings(), (), fixed=FixedOptions("/other.pid")))
    told = [event.option for event in reception.events if isinstance(event, events.OptionIgnored)]
    assert told == ignored


def test_a_report_that_only_later_releases_know_changes_nothing(reception):
    reception.receive(messages.Forked(1))
    assert (reception.inputs, reception.events, reception.told) == ([], [], [])
