"""A command that can't be carried out: what comes after it is still done, and the service can be ended."""

from __future__ import annotations

import asyncio

import pytest

from gracehttp.event_bus import EventBus
from gracehttp.supervisor.command_line import CommandLine
from gracehttp.supervisor.crew import Crew
from gracehttp.supervisor.fleet import FleetSettings
from gracehttp.supervisor.listener_table import ListenerTable
from gracehttp.supervisor.supervisor import Supervisor, SupervisorOptions


class Requester:
    def __init__(self):
        self.told = []

    def tell(self, outcome):
        self.told.append(outcome.message)


def fail(*_arguments):
    raise RuntimeError("a defect of ours")


@pytest.mark.parametrize("defects", [("start",), ("start", "close_doors")])
def test_a_worker_that_has_no_process_is_no_reason_to_stay(monkeypatch, defects):
    monkeypatch.setattr(Crew, "start", fail)
    if "close_doors" in defects:
        monkeypatch.setattr(ListenerTable, "close_doors", fail)

    async def scenario():
        met = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: met.append(str(context["exception"])))
        command_line = CommandLine(("none",), ".")
        options = SupervisorOptions(release="1", command_line=command_line, fleet=FleetSettings(), control=False)
        supervisor, requester = Supervisor(options, EventBus()), Requester()
        life = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(0)
        supervisor.stop("a test", requester, force=True)
        assert await life == 1
        assert met == ["a defect of ours"] * len(defects)
        assert requester.told == ["stopped by force"]

    asyncio.run(asyncio.wait_for(scenario(), 20))
