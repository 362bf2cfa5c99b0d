"""Counts requests for the metrics: on the path of every request, so it is compiled, and writes words of memory only."""

from __future__ import annotations

from array import array
from collections.abc import Callable

from gracehttp.http.head import RequestHead
from gracehttp.net.worker_page import DURATION_BOUNDS_SECONDS, METHODS, STATUSES

_PLACES = {method: place * len(STATUSES) for place, method in enumerate(METHODS)}
_OTHER = _PLACES["other"]


class RequestCounter:
    """A `RequestFinished`. `Exchange` knows it, and calls `count` itself, which costs a fraction."""

    __slots__ = ("_body_bytes", "_bounds", "_durations", "_most", "_requests", "then")

    def __init__(
        self,
        requests: memoryview,
        durations: memoryview,
        body_bytes: memoryview,
        then: Callable[[RequestHead, int, int, float], None] | None = None,
    ) -> None:
        """The first three are groups of a worker's page (`net.worker_page`). `then` is told as well."""
        self._requests = requests
        self._durations = durations
        self._body_bytes = body_bytes
        self._bounds = memoryview(array("d", DURATION_BOUNDS_SECONDS))
        self._most = len(DURATION_BOUNDS_SECONDS)
        self.then = then

    def __call__(self, head: RequestHead, status: int, body_bytes: int, seconds: float) -> None:
        self.count(head.method, status, body_bytes, seconds)
        if self.then is not None:
            self.then(head, status, body_bytes, seconds)

    def count(self, method: str, status: int, body_bytes: int, seconds: float) -> None:
        """What lasts as long as its connection is no latency: a WebSocket counts as a request alone."""
        place = 0  # METHODS begins with GET
        if method != "GET":  # most are GET, and comparing costs a tenth of looking the place up
            places = _PLACES  # a local one has a type in the .pxd, so that no bound method is made for each request
            place = places.get(method, _OTHER)
        if 100 <= status <= 599:
            place += status // 100
        self._requests[place] += 1
        self._body_bytes[0] += body_bytes
        if status != 101:
            bound = 0
            while bound < self._most and seconds > self._bounds[bound]:
                bound += 1
            self._durations[bound] += 1
            microseconds = int(seconds * 1000000.0)
            self._durations[self._most + 1] += microseconds
