"""Counting responses and server errors, while the supervisor wants to know whether new code is good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gracehttp.http.connection import RequestFinished
from gracehttp.http.exchange import RequestHead

TELL_SECONDS = 0.2
"""How long after a response it is told at the latest."""
LONGER_SECONDS = 5.0
"""How much longer than the probation is counted: it is the supervisor that knows when it is over."""
_FIRST_SERVER_ERROR = 500


class Tally:
    """Counts from `begin` on, for `seconds`, and calls `on_count(responses, errors)` with what is new.

    It is a `RequestFinished`, and passes on to `then` what it is told. A response that the application could not give
    whole is an error, whatever its status said (`failed`). A client that was gone before its response is none, and
    neither is a request that the server refused itself, with 501 or 505: it says nothing about the new code.
    """

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop, then: RequestFinished | None = None) -> None:
        self.on_count: Callable[[int, int], None] = lambda responses, errors: None
        self._seconds = seconds + LONGER_SECONDS
        self._loop = loop
        self._then = then
        self._ends_at: float | None = None
        self._responses = 0
        self._errors = 0
        self._failed: RequestHead | None = None
        self._telling: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The worker serves from now on. Said again, it changes nothing."""
        if self._ends_at is None:
            self._ends_at = self._loop.time() + self._seconds

    def end(self) -> None:
        """The worker goes: tell the rest."""
        self._ends_at = 0.0
        if self._telling is not None:
            self._telling.cancel()
            self._tell()

    def failed(self, head: RequestHead) -> None:
        """The application did not answer this request as it should have; the `RequestFinished` of it comes next."""
        self._failed = head

    def __call__(self, head: RequestHead, status: int, body_bytes: int, seconds: float) -> None:
        if self._then is not None:
            self._then(head, status, body_bytes, seconds)
        if status and self._ends_at is not None and self._loop.time() < self._ends_at:
            self._responses += 1
            self._errors += head is self._failed or (status >= _FIRST_SERVER_ERROR and not head.refused)
            if self._telling is None:
                self._telling = self._loop.call_later(TELL_SECONDS, self._tell)
        self._failed = None

    def _tell(self) -> None:
        self._telling = None
        responses, errors = self._responses, self._errors
        self._responses = self._errors = 0
        self.on_count(responses, errors)
