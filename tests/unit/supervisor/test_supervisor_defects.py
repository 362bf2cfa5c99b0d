"""A command that can't be carried out, or an input that breaks the table: what comes after it is still done, and the
service can be ended."""

from __future__ import annotations

import asyncio

import pytest
from deadlines import DEADLINE_SECONDS

from gracehttp.errors import StartError
from gracehttp.events.bus import EventBus
from gracehttp.supervisor.fleet import Fleet, FleetSettings, TimePassed
from gracehttp.supervisor.listeners.table import ListenerTable
from gracehttp.supervisor.processes.command_line import CommandLine
from gracehttp.supervisor.processes.workers import WorkerProcesses
from gracehttp.supervisor.supervisor import Supervisor, SupervisorOptions


class Requester:
    def __init__(self):
        self.told = []

    def tell(self, outcome):
        self.told.append(outcome.message)


def fail(*_arguments):
    raise RuntimeError("a defect of ours")


@pytest.mark.parametrize("defects", [("start",), ("start", "stop_admitting")])
def test_a_worker_that_has_no_process_is_no_reason_to_stay(monkeypatch, defects):
    monkeypatch.setattr(WorkerProcesses, "start", fail)
    if "stop_admitting" in defects:
        monkeypatch.setattr(ListenerTable, "stop_admitting", fail)

    async def scenario():
        met = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: met.append(str(context["exception"])))
        command_line = CommandLine(("none",), ".")
        options = SupervisorOptions(release="1", command_line=command_line, fleet=FleetSettings(), control=False)
        supervisor, requester = Supervisor(options, EventBus()), Requester()
        life = asyncio.ensure_future(supervisor.run())
        await asyncio.sleep(0)
        supervisor.requests.stop("a test", requester, force=True)
        assert await life == 1
        assert met == ["a defect of ours"] * len(defects)
        assert requester.told == ["stopped by force"]

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))


def test_a_deadline_that_met_a_defect_of_the_table_comes_again(monkeypatch):
    monkeypatch.setattr(WorkerProcesses, "start", lambda *_arguments: None)
    apply, met = Fleet.apply, []

    def fail_once(fleet, happened, now):
        if isinstance(happened, TimePassed) and not met:
            met.append(happened)
            fail()
        return apply(fleet, happened, now)

    monkeypatch.setattr(Fleet, "apply", fail_once)

    async def scenario():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: None)
        command_line = CommandLine(("none",), ".")
        settings = FleetSettings(ready_timeout_seconds=0.01)
        options = SupervisorOptions(release="1", command_line=command_line, fleet=settings, control=False)
        with pytest.raises(StartError, match="was not ready within"):
            await Supervisor(options, EventBus()).run()
        assert met

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_SECONDS))
