"""What is told of a limit that the system doesn't allow."""

from __future__ import annotations

import errno
import os

import pytest

from gracehttp.config import SERVER_OPTIONS
from gracehttp.errors import ListenError
from gracehttp.events import LimitLowered, LimitSplit, ListenerOpened
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.wire.messages import ListenRequest

DEFAULT = SERVER_OPTIONS["max_connections"].default


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (DEFAULT, [ListenerOpened("ADDRESS", 150, 200)]),
        (1000, [ListenerOpened("ADDRESS", 150), LimitLowered("ADDRESS", 1000, 150, 200)]),
        (100, [ListenerOpened("ADDRESS", 100)]),
    ],
    ids=["default", "set", "allowed"],
)
def test_only_a_limit_that_somebody_has_set_is_told_to_be_lowered(wanted, told):
    events = []
    table = ListenerTable(descriptors=200, publish=events.append)
    (listener,) = table.provide([ListenRequest(address="127.0.0.1:0", backlog=5, max_connections=wanted)], 1)
    bound = listener.bound
    try:
        assert [str(event).replace("http://", "") for event in events] == [
            str(event).replace("ADDRESS", bound) for event in told
        ]
    finally:
        table.close_all()


def fails_with(number):
    def fail(*_arguments):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def opened():
    """What is told when a listener is opened, and the listener."""
    events = []
    table = ListenerTable(descriptors=200, publish=events.append)

    def provide():
        (listener,) = table.provide([ListenRequest(address="127.0.0.1:0", backlog=5, max_connections=100)], 1)
        return listener, events

    yield provide
    table.close_all()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_system_whose_kernel_has_no_eventfd_splits_the_limit_and_says_so(monkeypatch, opened, number):
    monkeypatch.setattr(os, "eventfd", fails_with(number))
    listener, events = opened()
    assert listener.pool is None
    assert str(LimitSplit(listener.bound, 100)) in map(str, events)


def test_a_system_with_neither_memfd_nor_a_folder_for_temporary_files_splits_the_limit(monkeypatch, opened):
    monkeypatch.setattr(os, "memfd_create", fails_with(errno.ENOSYS))
    monkeypatch.setattr("tempfile.TemporaryFile", fails_with(errno.ENOENT))
    assert opened()[0].pool is None


def test_a_shortage_of_files_is_an_error(monkeypatch, opened):
    monkeypatch.setattr(os, "eventfd", fails_with(errno.EMFILE))
    with pytest.raises(ListenError, match="Too many open files"):
        opened()
