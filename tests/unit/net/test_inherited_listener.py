"""A listener that was inherited lets clients in, whatever a service before has done to it."""

from __future__ import annotations

import contextlib
import socket

from deadlines import DEADLINE_SECONDS

from gracehttp.net.address import DescriptorAddress
from gracehttp.net.bind import open_listener
from gracehttp.net.syn_filter import drop_new_connections


def test_the_filter_of_a_lost_service_is_removed():
    with socket.create_server(("127.0.0.1", 0)) as opened_by_somebody:
        opened_by_somebody.set_inheritable(True)
        assert drop_new_connections(opened_by_somebody)
        with (
            contextlib.closing(open_listener(DescriptorAddress(opened_by_somebody.fileno()), backlog=1)) as listener,
            socket.create_connection(listener.getsockname(), timeout=DEADLINE_SECONDS),
        ):
            pass
