"""When a drain closes idle connections, and when it ends. Pure.

After a restart an idle connection may stay as long as the drain lasts: its next request is answered here, with
`Connection: close`. When the service stops there is nothing to wait for, so it stays only for a moment, in which a
request that is on its way still arrives.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

IDLE_GRACE_SECONDS = 1.0
LAST_MOMENT_SECONDS = 0.5
"""How long before the end of a drain idle connections are closed, so that one that was just speaking is answered."""


class DrainReason(enum.Enum):
    RESTART = "restart"
    STOP = "stop"


class Action(enum.Enum):
    WAIT = "wait"
    CLOSE_IDLE = "close idle"
    CUT = "cut"


@dataclass(slots=True)
class Drain:
    """One drain. Times are seconds of the clock that `begin` was given."""

    reason: DrainReason
    began_at: float
    ends_at: float
    idle_until: float
    idle_closed: bool = False

    @classmethod
    def begin(cls, reason: DrainReason, timeout_seconds: float, now: float) -> Drain:
        ends_at = now + timeout_seconds
        if reason is DrainReason.STOP:
            idle_until = min(now + IDLE_GRACE_SECONDS, ends_at)
        else:
            idle_until = max(now, ends_at - LAST_MOMENT_SECONDS)
        return cls(reason, now, ends_at, idle_until)

    def ordered_again(self, reason: DrainReason, timeout_seconds: float, now: float) -> None:
        """A later order can only shorten what is promised already."""
        again = Drain.begin(reason, timeout_seconds, now)
        if reason is DrainReason.STOP:
            self.reason = reason
        self.ends_at = min(self.ends_at, again.ends_at)
        self.idle_until = min(self.idle_until, again.idle_until)

    def due(self, now: float) -> Action:
        """What is to be done at `now`."""
        if now >= self.ends_at:
            return Action.CUT
        if now >= self.idle_until and not self.idle_closed:
            return Action.CLOSE_IDLE
        return Action.WAIT

    def seconds_to_next(self, now: float) -> float:
        """How long `due` will say WAIT, if nobody orders anything else."""
        return max(0.0, (self.ends_at if self.idle_closed else min(self.idle_until, self.ends_at)) - now)
