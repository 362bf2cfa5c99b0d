"""What the control socket tells of a fleet."""

from __future__ import annotations

from gracehttp.supervisor.control.status import status_of
from gracehttp.supervisor.fleet import (
    Fleet,
    FleetSettings,
    RestartRequested,
    WorkerExited,
    WorkerReady,
)


class NoProcesses:
    """Stands for the workers, what starts them, and their templates."""

    @property
    def starter(self):
        return self

    @property
    def templates(self):
        return self

    def pid(self, number):
        return None


def test_when_the_next_worker_starts_is_told_while_none_runs():
    fleet = Fleet(FleetSettings(workers=1))
    fleet.apply(RestartRequested(), 0.0)
    fleet.apply(WorkerReady(1), 1.0)
    fleet.apply(WorkerExited(1, "was killed"), 2.0)
    told = status_of(fleet, NoProcesses(), (), (), last=None, release="test", started_at=0.0, now=2.025)
    (generation,) = told.generations
    assert (generation.state, generation.workers) == ("serving", ())
    assert generation.starts_in_seconds == (0.075,)
