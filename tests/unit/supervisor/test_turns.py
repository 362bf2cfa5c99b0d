"""The turns of the fleet: what ends them."""

from __future__ import annotations

import asyncio

from gracehttp.supervisor.fleet import Finish, RestartRequested
from gracehttp.supervisor.turns import Turns


class EndingFleet:
    """Commands the end of the service, whatever happens."""

    def apply(self, happened, now):
        return [Finish(could_start=True, forced=False)]

    def next_deadline(self):
        return 0.0


class Idle:
    def leave_behind(self):
        return


def test_the_end_of_the_service_ends_the_turns():
    async def one_turn():
        finished = asyncio.get_running_loop().create_future()
        turns = Turns(EndingFleet(), finished, after_turn=lambda: None)
        turns.orders = Idle()
        turns.apply(RestartRequested())
        return finished.result()

    assert asyncio.run(one_turn()) == Finish(could_start=True, forced=False)
