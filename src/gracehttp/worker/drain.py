"""When a drain closes idle connections, how many at a time, and when it ends. Pure.

After a restart an idle connection may stay as long as the drain lasts: its next request is answered here, with
`Connection: close`. Those that nothing was heard of are closed over the last part of the drain, a few at a time, so
that their clients don't come back all at once. When the service stops there is nothing to come back to and nothing to
wait for, so all idle connections stay only for a moment, in which a request that is on its way still arrives.

    |<------------------ timeout ------------------>|
    |            answered, if they speak            |
    |                         closing_from closing_until
    |                                   |xxxxxxxx|  |   after a restart
    | xx                                            |   at a stop
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from gracehttp.wire.messages import DrainReason

IDLE_GRACE_SECONDS = 1.0
LAST_PART = 0.25
"""Over how much of the drain idle connections are closed after a restart, ..."""
SHORTEST_LAST_PART_SECONDS = 0.5
"""... as long as that isn't less than this."""
ANSWERING_PART = 0.2
"""How much of the last part is left when the last of them is closed, so that one that was speaking is answered."""
CLOSING_STEP_SECONDS = 0.1


class Action(enum.Enum):
    WAIT = "wait"
    CLOSE_IDLE = "close idle"
    CUT = "cut"


@dataclass(slots=True)
class Drain:
    """One drain. Times are seconds of the clock that `begin` was given.

    `closing_at` is when idle connections are closed next, and infinite when all were. `owed` is the part of a
    connection by which the closings so far are behind.
    """

    reason: DrainReason
    began_at: float
    ends_at: float
    closing_at: float
    closing_until: float
    owed: float = 0.0

    @classmethod
    def begin(cls, reason: DrainReason, timeout_seconds: float, now: float) -> Drain:
        ends_at = now + timeout_seconds
        if reason is DrainReason.STOP:
            closing_from = closing_until = min(now + IDLE_GRACE_SECONDS, ends_at)
        else:
            last_part = min(timeout_seconds, max(timeout_seconds * LAST_PART, SHORTEST_LAST_PART_SECONDS))
            closing_from, closing_until = ends_at - last_part, ends_at - last_part * ANSWERING_PART
        return cls(reason, now, ends_at, closing_from, closing_until)

    def ordered_again(self, reason: DrainReason, timeout_seconds: float, now: float) -> None:
        """A later order can only shorten what is promised already."""
        again = Drain.begin(reason, timeout_seconds, now)
        if reason is DrainReason.STOP:
            self.reason = reason
        self.ends_at = min(self.ends_at, again.ends_at)
        self.closing_at = min(self.closing_at, again.closing_at)
        self.closing_until = min(self.closing_until, again.closing_until)

    def due(self, now: float) -> Action:
        """What is to be done at `now`. After `CLOSE_IDLE`, call `how_many_to_close`."""
        if now >= self.ends_at:
            return Action.CUT
        return Action.CLOSE_IDLE if now >= self.closing_at else Action.WAIT

    def how_many_to_close(self, idle: int, now: float) -> int:
        """How many of the `idle` connections of this moment are to be closed; sets the time of the next closing."""
        left = self.closing_until - now
        if left <= 0:
            self.closing_at = math.inf
            return idle
        self.closing_at = min(now + CLOSING_STEP_SECONDS, self.closing_until)
        self.owed += max(0.0, idle - self.owed) * min(1.0, CLOSING_STEP_SECONDS / left)
        count = int(self.owed)
        self.owed -= count
        return min(count, idle)

    def seconds_to_next(self, now: float) -> float:
        """How long `due` will say WAIT, if nobody orders anything else."""
        return max(0.0, min(self.closing_at, self.ends_at) - now)
