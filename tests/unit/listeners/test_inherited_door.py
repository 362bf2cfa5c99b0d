"""A listener that was inherited lets clients in, whatever a service before has done to it."""

from __future__ import annotations

import contextlib
import socket

from gracehttp.address import DescriptorAddress
from gracehttp.listeners.bind import open_listener
from gracehttp.listeners.closing import close_door


def test_a_door_that_a_lost_service_has_closed_is_opened_again():
    with socket.create_server(("127.0.0.1", 0)) as opened_by_somebody:
        opened_by_somebody.set_inheritable(True)
        assert close_door(opened_by_somebody)
        with (
            contextlib.closing(open_listener(DescriptorAddress(opened_by_somebody.fileno()), backlog=1)) as listener,
            socket.create_connection(listener.getsockname(), timeout=5),
        ):
            pass
