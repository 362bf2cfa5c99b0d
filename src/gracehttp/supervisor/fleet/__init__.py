"""What the supervisor decides about its workers: a function of what happened and when, without clock or process.

`inputs` go in, `commands` come out, and `fleet.Fleet` keeps what is known in between. Start reading at `states`, which
tells the rules, then `fleet`, which has a step for each input. The steps: `takeover` (which generation serves),
`staffing` (how many workers, and which), `mixtures` (workers that differ), `generation` (one, until it is given up or
gone; `generations`: all of them), `worker`, `probation`, `stop`. All of them write to a `turn`. `backoff` tells how
long to wait, `hang_detector` whether a worker hangs.

The fleet imports nothing that acts: of gracehttp only `values` and `wire.messages`, of the standard library only what
computes. So each of its histories can be tested in memory, and `supervisor.supervisor` carries the commands out.
"""

from gracehttp.supervisor.fleet.commands import (
    AnnounceStop,
    Command,
    Died,
    Differs,
    Dismiss,
    Drain,
    DumpTraceback,
    Finish,
    GivenUp,
    Gone,
    Hold,
    Hung,
    Kill,
    Pause,
    Ping,
    ProbationEnded,
    Promoted,
    Recovered,
    RequestDump,
    Resume,
    RolledBack,
    Serve,
    StartRepeated,
    StartWorker,
    StopAdmitting,
    Superseded,
)
from gracehttp.supervisor.fleet.fleet import Fleet, FleetMemory
from gracehttp.supervisor.fleet.generation import STOP_ACCEPTING_SECONDS, Generation
from gracehttp.supervisor.fleet.inputs import (
    Input,
    RestartRequested,
    ScaleRequested,
    StopRequested,
    TimePassed,
    WorkerAlive,
    WorkerAnswered,
    WorkerDiffers,
    WorkerDueForRecycling,
    WorkerExited,
    WorkerHung,
    WorkerIntroduced,
    WorkerReady,
    WorkerRecovered,
    WorkerStoppedAccepting,
)
from gracehttp.supervisor.fleet.mixtures import MOST_STARTS
from gracehttp.supervisor.fleet.probation import ANSWER_SECONDS, FEWEST_RESPONSES, Probation
from gracehttp.supervisor.fleet.states import GenerationState, WorkerState
from gracehttp.supervisor.fleet.stop import SAME_STOP_SECONDS
from gracehttp.supervisor.fleet.takeover import MOST_DRAINING_GENERATIONS
from gracehttp.supervisor.fleet.turn import Numbers
from gracehttp.supervisor.fleet.worker import HURRY_SECONDS, LIFESPAN_SECONDS, TRACEBACK_SECONDS, Worker
from gracehttp.wire.messages import DrainReason, FleetSettings

__all__ = [
    "ANSWER_SECONDS",
    "FEWEST_RESPONSES",
    "HURRY_SECONDS",
    "LIFESPAN_SECONDS",
    "MOST_DRAINING_GENERATIONS",
    "MOST_STARTS",
    "SAME_STOP_SECONDS",
    "STOP_ACCEPTING_SECONDS",
    "TRACEBACK_SECONDS",
    "AnnounceStop",
    "Command",
    "Died",
    "Differs",
    "Dismiss",
    "Drain",
    "DrainReason",
    "DumpTraceback",
    "Finish",
    "Fleet",
    "FleetMemory",
    "FleetSettings",
    "Generation",
    "GenerationState",
    "GivenUp",
    "Gone",
    "Hold",
    "Hung",
    "Input",
    "Kill",
    "Numbers",
    "Pause",
    "Ping",
    "Probation",
    "ProbationEnded",
    "Promoted",
    "Recovered",
    "RequestDump",
    "RestartRequested",
    "Resume",
    "RolledBack",
    "ScaleRequested",
    "Serve",
    "StartRepeated",
    "StartWorker",
    "StopAdmitting",
    "StopRequested",
    "Superseded",
    "TimePassed",
    "Worker",
    "WorkerAlive",
    "WorkerAnswered",
    "WorkerDiffers",
    "WorkerDueForRecycling",
    "WorkerExited",
    "WorkerHung",
    "WorkerIntroduced",
    "WorkerReady",
    "WorkerRecovered",
    "WorkerState",
    "WorkerStoppedAccepting",
]
