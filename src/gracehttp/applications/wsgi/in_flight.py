"""The requests that an application works on, and how long they take: the same with threads and without."""

from __future__ import annotations

from collections.abc import Callable

from gracehttp.http.exchange import Exchange


class InFlight:
    """`count` has each request from `begin` to `end`, whether or not the client is still there. For the thread of the
    loop."""

    __slots__ = ("_on_idle", "_timed", "count")

    def __init__(self, on_idle: Callable[[], object], *, timed: bool) -> None:
        """`on_idle` is called each time `count` has come down to 0. With `timed`, `time_out` will be called."""
        self.count = 0
        self._on_idle = on_idle
        self._timed: set[Exchange] | None = set() if timed else None

    def begin(self, exchange: Exchange) -> None:
        """The application has to answer `exchange`."""
        self.count += 1
        if self._timed is not None:
            self._timed.add(exchange)

    def end(self) -> None:
        """The application is done with one."""
        self.count -= 1
        if not self.count:
            self._on_idle()

    def time_out(self, seconds: float) -> None:
        """End those that take longer than `seconds`. What works on them goes on."""
        if self._timed is not None:
            self._timed = {one for one in self._timed if not one.application_ended and not one.disconnected}
            for exchange in list(self._timed):
                if exchange.age_seconds >= seconds:
                    exchange.time_out(seconds)
