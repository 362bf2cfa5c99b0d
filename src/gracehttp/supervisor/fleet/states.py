"""The states of a generation and of a worker, and every step from one to another.

Theory of operation
===================

Rules:

1. A generation starts with one worker, the canary. When the canary is ready, its siblings start. When all are ready,
   the generation serves. If anything fails before that, the generation is abandoned.
2. Nothing that happens to a generation that is coming changes the one that serves.
3. At most one generation serves, and at most one is coming. Once a generation has served, one always does, until the
   service stops.
4. When one generation takes over from another, its workers are told to serve before the others are told to stop
   accepting. This holds for the way back as well.
5. A generation stands by only while its successor is on probation. If the successor fails, they change places. If it
   passes, the one that stood by drains.
6. No step leads out of DRAINING or ABANDONED, nor out of KILLED: what is leaving leaves.
7. A state changes by `become` alone, which refuses a step that is not in the tables below.

Reasons:

- Rules 1 and 2 are the promise "never half" (README, 4): a broken deploy can't take the service down, because the old
  code serves until all of the new code is ready. One canary finds most mistakes at the price of one process.
- Rule 3 makes "the new code" and "the old code" words with one meaning, for the log as for `gracehttp status`.
- Rule 4 is the promise "never refuse" (1). In between both generations accept. The other order would leave a moment in
  which no worker does.
- Rule 5 is the promise "the way back" (4). Only a generation that has passed its own probation stands by, so there is
  one step back and never a chain of them.
- Rule 6 lets the fleet forget a generation when its last worker has exited.
- Rule 7 makes a forbidden step a traceback at the line that tried it. Otherwise it shows as a service that stands
  still, some time later.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import TypeVar


class GenerationState(enum.Enum):
    STARTING = "starting"  # the canary is starting
    COMPLETING = "completing"  # the canary is ready, its siblings are starting
    SERVING = "serving"
    STANDING_BY = "standing_by"  # its successor is on probation: it may have to serve again
    DRAINING = "draining"  # it has served
    ABANDONED = "abandoned"  # it was given up before it served


class WorkerState(enum.Enum):
    STARTING = "starting"
    STANDING_BY = "standing_by"  # ready, and accepts nothing that another generation accepts
    SERVING = "serving"
    DRAINING = "draining"
    DUMPING = "dumping"  # it hangs: it must write down where, and is killed next
    KILLED = "killed"


GENERATION_STEPS: Mapping[GenerationState, Set[GenerationState]] = MappingProxyType({
    GenerationState.STARTING: {
        GenerationState.COMPLETING,  # the canary is ready
        GenerationState.ABANDONED,  # it failed, or a newer generation or a stop came first
    },
    GenerationState.COMPLETING: {
        GenerationState.SERVING,  # all workers are ready
        GenerationState.ABANDONED,
    },
    GenerationState.SERVING: {
        GenerationState.STANDING_BY,  # a successor serves on probation
        GenerationState.DRAINING,  # a successor serves for good; or this one failed its probation; or a stop
    },
    GenerationState.STANDING_BY: {
        GenerationState.SERVING,  # the successor failed its probation
        GenerationState.STANDING_BY,  # a newer successor serves on probation
        GenerationState.DRAINING,  # the successor passed; or a newer one has no probation; or a stop
    },
    GenerationState.DRAINING: set(),  # forgotten when its last worker has exited
    GenerationState.ABANDONED: set(),
})  # fmt: skip

WORKER_STEPS: Mapping[WorkerState, Set[WorkerState]] = MappingProxyType({
    WorkerState.STARTING: {
        WorkerState.STANDING_BY,  # it is ready
        WorkerState.DUMPING,  # it was not ready in time
        WorkerState.KILLED,  # it is not needed any more
    },
    WorkerState.STANDING_BY: {
        WorkerState.SERVING,
        WorkerState.STANDING_BY,  # a newer successor serves, perhaps on other listeners
        WorkerState.DRAINING,
        WorkerState.KILLED,
    },
    WorkerState.SERVING: {
        WorkerState.STANDING_BY,
        WorkerState.DRAINING,
        WorkerState.DUMPING,  # it hangs, and its successor serves
        WorkerState.KILLED,
    },
    WorkerState.DRAINING: {
        WorkerState.DRAINING,  # other successors, or less time
        WorkerState.KILLED,
    },
    WorkerState.DUMPING: {WorkerState.KILLED},
    WorkerState.KILLED: set(),  # forgotten when the process has exited
})  # fmt: skip

COMING = frozenset({GenerationState.STARTING, GenerationState.COMPLETING})
IN_USE = frozenset({GenerationState.SERVING, GenerationState.STANDING_BY})
"""The states of a generation that serves, or may have to serve again."""
LEAVING = frozenset({GenerationState.DRAINING, GenerationState.ABANDONED})


class ForbiddenStep(Exception):
    """The fleet tried a step that its tables don't have: a defect of the fleet, never of what happened to it."""


_State = TypeVar("_State", GenerationState, WorkerState)


def step(steps: Mapping[_State, Set[_State]], before: _State, after: _State) -> _State:
    """Returns `after` if `steps` lead there from `before`, else raises `ForbiddenStep`."""
    if after not in steps[before]:
        raise ForbiddenStep(f"{before} can't become {after}")
    return after
