"""All kinds of clients at once, through restarts: none of them loses a request, and none is closed without notice."""

from __future__ import annotations

import pytest
from mixed_load import ANSWERS_PER_RESTART, MixedLoad, write_certificate

SHORT, LONG = 4, 200
"""How many restarts."""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_mixed_load_loses_nothing_through_restarts(begin, soak, loop, tmp_path):
    write_certificate(tmp_path / "cert.pem")
    server = begin(
        loop=loop,
        bind="http://127.0.0.1:0",
        options=("--bind", f"https://localhost:0?certfile={tmp_path / 'cert.pem'}"),
    )
    with MixedLoad(*server.ports) as load:
        for generation in range(2, (LONG if soak else SHORT) + 2):
            load.wait_for_answers(ANSWERS_PER_RESTART)
            server.restart(generation)
        load.wait_for_answers(ANSWERS_PER_RESTART)
    assert not load.failures, load.failures[:3]
    for client in load.clients[:3]:
        assert client.connects == 1, "a plain kept connection lives through all restarts"
    assert "lost between two generations" not in server.log
