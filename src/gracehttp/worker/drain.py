"""When a drain closes connections that are at rest, how many at a time, and when it ends. Pure.

After a restart a connection at rest may stay as long as the drain lasts: its next request is answered here, with
`Connection: close`. Those that stay silent are closed over the last part of the drain, a few at a time, so that their
clients don't come back all at once. When the service stops there is nothing to come back to and nothing to wait for, so
they stay only for a moment, in which a request that is on its way still arrives.

    |<------------------ timeout ------------------>|
    |            answered, if they speak            |
    |                         closing_at  closing_until
    |                                   |xxxxxxxx|  |   after a restart
    | xx                                            |   at a stop

After a restart no client is sent away, nor is an application told to do that, while another worker that drains may
accept still: the client would come to that one, and be sent away again. The supervisor tells when none does. A worker
that hangs is not waited for without end (`seconds_for_others`).

Each kind of connection has a pace of its own (`http.connection.Pace`), and so a pacer of its own.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import Final

from gracehttp.http.connection import Pace
from gracehttp.wire.messages import DrainReason

SHORTEST_LAST_PART_SECONDS: Final = 0.5
"""The part of a drain in which connections at rest are closed is never shorter, unless the whole drain is."""
CLOSING_STEP_SECONDS: Final = 0.1
LONGEST_WAIT_SECONDS: Final = 2.0
"""For others that may accept still. The supervisor waits as long before it announces the new generation
(`supervisor.fleet.generation.STOP_ACCEPTING_SECONDS`)."""
_MOST_OF_TIMEOUT: Final = 0.25
"""What that wait may take of a short drain."""
PACE: Final = Pace()


class Action(enum.Enum):
    WAIT = "wait"
    CLOSE_IDLE = "close idle"
    CUT = "cut"


class Order:
    """An order to drain: why, from when on, and until when at the latest."""

    __slots__ = ("began_at", "ends_at", "reason", "sends_away_at")

    def __init__(self, reason: DrainReason, timeout_seconds: float, now: float) -> None:
        self.reason = reason
        self.began_at = self.sends_away_at = now
        self.ends_at = now + timeout_seconds

    def closing(self, pace: Pace) -> tuple[float, float]:
        """When the first and the last connection of this pace is closed."""
        timeout = self.ends_at - self.began_at
        last_part = min(timeout, max(timeout * pace.first_left, SHORTEST_LAST_PART_SECONDS))
        latest = self.ends_at - last_part * pace.last_left / pace.first_left
        if pace.any_time:
            begin = min(self.sends_away_at + pace.grace_seconds, self.ends_at - last_part)
            if self.reason is DrainReason.STOP:
                latest = min(begin + pace.stop_spread_seconds, latest)
            return begin, latest
        if self.reason is DrainReason.STOP:
            begin = min(self.began_at + pace.grace_seconds, self.ends_at)
            return begin, min(begin + pace.stop_spread_seconds, self.ends_at)
        return self.ends_at - last_part, latest


class Pacer:
    """Spreads the closing of the connections of one kind. `closing_at` is when some are closed next, and infinite when
    all were. `owed` is the part of a connection by which the closings so far are behind."""

    __slots__ = ("closing_at", "closing_until", "owed", "pace")

    def __init__(self, closing_at: float, closing_until: float, pace: Pace = PACE) -> None:
        self.closing_at = closing_at
        self.closing_until = closing_until
        self.pace = pace
        self.owed = 0.0

    def hurry(self, closing_at: float, closing_until: float) -> None:
        """A later order can only shorten what an earlier one promised."""
        self.closing_at = min(self.closing_at, closing_at)
        self.closing_until = min(self.closing_until, closing_until)

    def how_many(self, at_rest: int, now: float) -> int:
        """How many of the connections that are at rest at this moment must be closed; sets the time of the next
        closing."""
        left = self.closing_until - now
        if left <= 0:
            # Those that can end at any time may be new: the application took long to accept them.
            self.closing_at = now + CLOSING_STEP_SECONDS if self.pace.any_time else math.inf
            return at_rest
        self.closing_at = min(now + CLOSING_STEP_SECONDS, self.closing_until)
        if self.pace.per_second is not None:
            left = min(left, max(at_rest / self.pace.per_second, CLOSING_STEP_SECONDS))
        self.owed += max(0.0, at_rest - self.owed) * min(1.0, CLOSING_STEP_SECONDS / left)
        count = int(self.owed)
        self.owed -= count
        return min(count, at_rest)


class Drain:
    """One drain. Times are seconds of one clock."""

    def __init__(self, reason: DrainReason, timeout_seconds: float, now: float, *, others_accept: bool = False) -> None:
        """`others_accept`: other workers that drain may accept still, until `others_stopped`."""
        self._orders = [Order(reason, timeout_seconds, now)]
        wait_seconds = min(LONGEST_WAIT_SECONDS, timeout_seconds * _MOST_OF_TIMEOUT)
        self._waits_until = now + wait_seconds if others_accept else now
        self._pacers: dict[Pace, Pacer] = {}
        self.began_at = now

    @property
    def reason(self) -> DrainReason:
        """A stop that was ordered stays one."""
        stops = any(order.reason is DrainReason.STOP for order in self._orders)
        return DrainReason.STOP if stops else DrainReason.RESTART

    @property
    def ends_at(self) -> float:
        return min(order.ends_at for order in self._orders)

    def ordered_again(self, reason: DrainReason, timeout_seconds: float, now: float) -> None:
        """Another order: of two deadlines the earlier one holds."""
        order = Order(reason, timeout_seconds, now)
        self._orders.append(order)
        for pace, pacer in self._pacers.items():
            pacer.hurry(*order.closing(pace))

    def others_stopped(self) -> None:
        """No other worker that drains accepts any more."""
        self._waits_until = self.began_at

    def seconds_for_others(self, now: float) -> float:
        """How long to wait yet for others that may accept, before any client is sent away. At a stop: not at all."""
        if self.reason is DrainReason.STOP:
            return 0.0
        return max(0.0, min(self._waits_until, self.ends_at) - now)

    def send_away(self, now: float) -> None:
        """The applications are told, and clients are sent away from now on. Must be called before `expect`."""
        for order in self._orders:
            order.sends_away_at = now

    def expect(self, paces: Iterable[Pace]) -> None:
        """There are connections of these kinds."""
        for pace in paces:
            if pace not in self._pacers:
                first, *later = [order.closing(pace) for order in self._orders]
                self._pacers[pace] = pacer = Pacer(*first, pace)
                for closing in later:
                    pacer.hurry(*closing)

    def due(self, now: float) -> Action:
        """What must be done at `now`. `CLOSE_IDLE`: see `closing`."""
        if now >= self.ends_at:
            return Action.CUT
        return Action.CLOSE_IDLE if self.closing(now) else Action.WAIT

    def closing(self, now: float) -> list[tuple[Pace, Pacer]]:
        """The kinds of which some connections must be closed at `now`; ask their pacers how many."""
        return [(pace, pacer) for pace, pacer in self._pacers.items() if now >= pacer.closing_at]

    def seconds_to_next(self, now: float) -> float:
        """How long `due` will say WAIT, if there is no other order."""
        return max(0.0, min([self.ends_at, *(pacer.closing_at for pacer in self._pacers.values())]) - now)
