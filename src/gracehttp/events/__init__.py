"""The facts of the lifecycle, one class for each, named in the past tense. `str(event)` is its sentence in the log.

`service`: the supervisor, stops and ignored options. `generations`: restarts and how they end. `workers`: single
processes. `connections`: ports, limits and drains. `applications`: their lifespans. `base` has what all events share.

Nothing here logs: `gracehttp.event_bus` tells the events to its subscribers. It may import `values` alone. Start
reading at `base`.
"""

from __future__ import annotations

from gracehttp.events.applications import (
    LifespanCrashed,
    LifespanEnded,
    LifespanShutdownMissed,
    LifespanUnsupported,
)
from gracehttp.events.base import Event, Severity
from gracehttp.events.connections import (
    AcceptPaused,
    ConnectionNotWatched,
    ConnectionsShed,
    DrainFinished,
    DrainStarted,
    HandoverBroken,
    LimitChanged,
    LimitLowered,
    LimitSplit,
    ListenerClosed,
    ListenerOpened,
    PermitsNotCounted,
    PermitsReclaimed,
    RequestsCut,
)
from gracehttp.events.generations import (
    GenerationGivenUp,
    GenerationPromoted,
    GenerationRetired,
    GenerationRolledBack,
    ProbationEnded,
    ProbationStarted,
    RestartRequested,
    StartCalledOff,
)
from gracehttp.events.service import (
    ControlUnavailable,
    OptionIgnored,
    ReplacementGivenUp,
    ReplacementRequested,
    StartFailed,
    StopRequested,
    SubscriberFailed,
    SupervisorLost,
    SupervisorReplaced,
    SupervisorStarted,
    SupervisorStopped,
    VariableIgnored,
)
from gracehttp.events.workers import (
    CodeDiffers,
    PreloadUnavailable,
    TemplateLost,
    TemplateStarted,
    ThreadsNotForked,
    WorkerBecameReady,
    WorkerCut,
    WorkerDied,
    WorkerDueForRecycling,
    WorkerFailedToStart,
    WorkerHangs,
    WorkerStarted,
    WorkerWrote,
)

__all__ = [
    "AcceptPaused",
    "CodeDiffers",
    "ConnectionNotWatched",
    "ConnectionsShed",
    "ControlUnavailable",
    "DrainFinished",
    "DrainStarted",
    "Event",
    "GenerationGivenUp",
    "GenerationPromoted",
    "GenerationRetired",
    "GenerationRolledBack",
    "HandoverBroken",
    "LifespanCrashed",
    "LifespanEnded",
    "LifespanShutdownMissed",
    "LifespanUnsupported",
    "LimitChanged",
    "LimitLowered",
    "LimitSplit",
    "ListenerClosed",
    "ListenerOpened",
    "OptionIgnored",
    "PermitsNotCounted",
    "PermitsReclaimed",
    "PreloadUnavailable",
    "ProbationEnded",
    "ProbationStarted",
    "ReplacementGivenUp",
    "ReplacementRequested",
    "RequestsCut",
    "RestartRequested",
    "Severity",
    "StartCalledOff",
    "StartFailed",
    "StopRequested",
    "SubscriberFailed",
    "SupervisorLost",
    "SupervisorReplaced",
    "SupervisorStarted",
    "SupervisorStopped",
    "TemplateLost",
    "TemplateStarted",
    "ThreadsNotForked",
    "VariableIgnored",
    "WorkerBecameReady",
    "WorkerCut",
    "WorkerDied",
    "WorkerDueForRecycling",
    "WorkerFailedToStart",
    "WorkerHangs",
    "WorkerStarted",
    "WorkerWrote",
]
