"""What a fleet of worker processes is to do: the decisions of the supervisor, pure.

`inputs` go in, `commands` come out, `table.Fleet` keeps what is known in between.
"""

from gracehttp.supervisor.fleet.commands import (
    CloseDoors,
    Command,
    Died,
    DumpTraceback,
    Finish,
    GivenUp,
    Gone,
    GoOn,
    Hold,
    Kill,
    LetServe,
    Promoted,
    Retire,
    StartWorker,
    Superseded,
)
from gracehttp.supervisor.fleet.generation import (
    HURRY_SECONDS,
    LIFESPAN_SECONDS,
    Generation,
    GenerationState,
    Worker,
    WorkerState,
)
from gracehttp.supervisor.fleet.inputs import (
    Input,
    RestartRequested,
    ScaleRequested,
    StopRequested,
    TimePassed,
    WorkerDeaf,
    WorkerExited,
    WorkerIntroduced,
    WorkerReady,
    WorkerTired,
)
from gracehttp.supervisor.fleet.memory import FleetMemory
from gracehttp.supervisor.fleet.settings import FleetSettings
from gracehttp.supervisor.fleet.table import (
    DEAF_SECONDS,
    MOST_DRAINING_GENERATIONS,
    SAME_STOP_SECONDS,
    TRACEBACK_SECONDS,
    Fleet,
)

__all__ = [
    "DEAF_SECONDS",
    "HURRY_SECONDS",
    "LIFESPAN_SECONDS",
    "MOST_DRAINING_GENERATIONS",
    "SAME_STOP_SECONDS",
    "TRACEBACK_SECONDS",
    "CloseDoors",
    "Command",
    "Died",
    "DumpTraceback",
    "Finish",
    "Fleet",
    "FleetMemory",
    "FleetSettings",
    "Generation",
    "GenerationState",
    "GivenUp",
    "GoOn",
    "Gone",
    "Hold",
    "Input",
    "Kill",
    "LetServe",
    "Promoted",
    "RestartRequested",
    "Retire",
    "ScaleRequested",
    "StartWorker",
    "StopRequested",
    "Superseded",
    "TimePassed",
    "Worker",
    "WorkerDeaf",
    "WorkerExited",
    "WorkerIntroduced",
    "WorkerReady",
    "WorkerState",
    "WorkerTired",
]
