"""Many idle connections change hands at once. `benchmarks/handover_drain.py` measures it with ten thousand."""

from __future__ import annotations

import contextlib
import socket

import pytest
from deadlines import DEADLINE_SECONDS
from server_harness import PID_APPLICATION, get_on

CONNECTIONS = 1000


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_thousand_idle_connections_go_on_in_the_new_worker_and_the_drain_ends_by_itself(start, loop):
    serve = ("-m", "gracehttp", "serve", "application:app", "-b", "127.0.0.1:0", "--loop", loop)
    # To wait for the end of this drain is to hang.
    server = start(*serve, "--drain-timeout", "1h", files={"application.py": PID_APPLICATION})
    (old,) = server.wait_until_serving()
    with contextlib.ExitStack() as opened:
        address = ("127.0.0.1", server.port)
        clients = [
            opened.enter_context(socket.create_connection(address, timeout=DEADLINE_SECONDS))
            for _ in range(CONNECTIONS)
        ]
        assert {get_on(client) for client in clients} == {(200, str(old))}
        (new,) = server.restart(2)
        server.wait_for(r"drained in [\d.]+ s, no request was cut")
        server.wait_until_gone(1)
        assert {get_on(client) for client in clients} == {(200, str(new))}, "each on the connection that it had"
