"""Counting responses and server errors, while the supervisor wants to know whether new code is good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gracehttp.http.exchange import RequestHead

REPORT_SECONDS = 0.2
"""How long after a response it is reported at the latest."""
LONGER_SECONDS = 5.0
"""How much longer than the probation is counted: only the supervisor knows when it is over."""
_FIRST_SERVER_ERROR = 500


class ErrorCounter:
    """Counts from `begin` on, for `seconds`, and calls `on_count(responses, errors)` with what is new.

    It is a `RequestFinished`. A response that the application could not complete is an error, whatever its status
    (`failed`). A request whose client left before the response doesn't count. One that the server itself
    refused, with 501 or 505, is no error: it says nothing about the new code.
    """

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.on_count: Callable[[int, int], None] = lambda responses, errors: None
        self._seconds = seconds + LONGER_SECONDS
        self._loop = loop
        self._ends_at: float | None = None
        self._responses = 0
        self._errors = 0
        self._failed: RequestHead | None = None
        self._report_timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The worker serves from now on. A second call changes nothing."""
        if self._ends_at is None:
            self._ends_at = self._loop.time() + self._seconds

    def end(self) -> None:
        """The worker ends: report the rest, and count no more."""
        self._ends_at = 0.0
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._report()

    def failed(self, head: RequestHead) -> None:
        """The application did not answer this request as it should have; its `RequestFinished` comes next."""
        self._failed = head

    def __call__(self, head: RequestHead, status: int, body_bytes: int, seconds: float) -> None:
        if status and self._ends_at is not None and self._loop.time() < self._ends_at:
            self._responses += 1
            self._errors += head is self._failed or (status >= _FIRST_SERVER_ERROR and not head.refused)
            if self._report_timer is None:
                self._report_timer = self._loop.call_later(REPORT_SECONDS, self._report)
        self._failed = None

    def _report(self) -> None:
        self._report_timer = None
        responses, errors = self._responses, self._errors
        self._responses = self._errors = 0
        self.on_count(responses, errors)
