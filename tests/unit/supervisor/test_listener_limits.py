"""What is told of a limit that the system doesn't allow."""

from __future__ import annotations

import pytest

from gracehttp.config import SERVER_OPTIONS
from gracehttp.events import LimitLowered, ListenerOpened
from gracehttp.supervisor.listeners.table import ListenerTable, ListenRequest

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
        assert [str(event) for event in events] == [str(event).replace("ADDRESS", bound) for event in told]
    finally:
        table.close_all()
