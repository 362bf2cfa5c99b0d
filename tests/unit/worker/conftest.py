"""What tests of several parts of a worker share."""

from __future__ import annotations

import asyncio

import pytest
from deadlines import DEADLINE_SECONDS
from port_world import LOOPS


@pytest.fixture(params=LOOPS)
def run(request):
    """Run a coroutine to its end, on each of the two loops."""

    def run(scenario):
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(asyncio.wait_for(scenario, DEADLINE_SECONDS))

    return run
